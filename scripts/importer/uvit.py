"""U-ViT (arXiv:2209.12152) as ONNX, from the keys of its checkpoints.

Tokens are [label, time, patches]; the second half of the blocks takes the outputs of the first half, last one first.
The reference builds it without dropout, so there is no train graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from . import layers as nn
from . import tokens
from .graph import Graph, Network, Value, denoiser_ports


@dataclass(frozen=True)
class Config:
    """The arguments of the reference network."""

    img_size: int
    patch_size: int
    in_chans: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float = 4.0
    qkv_bias: bool = False
    mlp_time_embed: bool = False
    num_classes: int = -1
    conv: bool = True
    skip: bool = True

    @property
    def n_side(self) -> int:
        """Patches along a side."""
        return self.img_size // self.patch_size

    @property
    def n_extras(self) -> int:
        """Tokens before the patches."""
        return 2 if self.num_classes > 0 else 1


def build(config: Config, *, train: bool = False, half: bool = False, keys: frozenset[str] = frozenset()) -> Network:
    """The network. `train` and `keys` change nothing: it has no dropout and one layout."""
    del keys
    g = Graph(train, half)
    shape = (config.in_chans, config.img_size, config.img_size)
    x = _tokens(g, nn.body(g, Value("sample", shape)), config)
    skips = []
    for index in range(config.depth // 2):
        x = _block(g, x, f"in_blocks.{index}", config)
        skips.append(x)
    x = _block(g, x, "mid_block", config)
    for index in range(config.depth // 2):
        x = _block(g, x, f"out_blocks.{index}", config, skip=skips.pop())
    _image(g, tokens.layer_norm(g, x, "norm"), config)
    inputs, output = denoiser_ports(shape, config.in_chans, config.num_classes > 0)
    return Network("uvit", g, inputs, output)


def _tokens(g: Graph, sample: Value, c: Config) -> Value:
    """[label, time, patches] + position."""
    width, n_patches = c.embed_dim, c.n_side**2
    patches = nn.conv(g, sample, "patch_embed.proj", width, kernel=c.patch_size, stride=c.patch_size, pads=(0, 0, 0, 0))
    rows = nn.reshape(g, patches, "patches.rows", (width, n_patches))
    patches = g.node("Transpose", [rows.name], "patches", perm=[0, 2, 1])
    time = nn.sinusoids(g, width)
    if c.mlp_time_embed:
        time = nn.silu(g, nn.linear(g, time, "time_embed.0", 4 * width), "time_embed.1")
        time = nn.linear(g, time, "time_embed.2", width)
    vectors = [("time", time)]
    if c.num_classes > 0:
        vectors.insert(0, ("label", nn.embedding(g, "label_emb", c.num_classes, width)))
    extras = [nn.body(g, nn.reshape(g, vector, f"{name}.token", (1, width))).name for name, vector in vectors]
    length = c.n_extras + n_patches
    joined = g.node("Concat", [*extras, patches], "tokens", axis=1)
    position = g.weight("pos_embed", (1, length, width), half=g.half)
    return Value(g.node("Add", [joined, position], "tokens.placed"), (length, width))


def _block(g: Graph, x: Value, name: str, c: Config, skip: Value | None = None) -> Value:
    """Pre-norm attention and MLP, each with residual; out blocks first mix in an output of the encoder."""
    if skip is not None and c.skip:
        both = g.node("Concat", [x.name, skip.name], f"{name}.concat", axis=2)
        x = tokens.matmul(g, Value(both, (x.shape[0], 2 * x.shape[1])), f"{name}.skip_linear", c.embed_dim)
    h = tokens.attention(g, tokens.layer_norm(g, x, f"{name}.norm1"), f"{name}.attn", c.num_heads, qkv_bias=c.qkv_bias)
    x = nn.add(g, x, h, f"{name}.attended")
    h = tokens.matmul(g, tokens.layer_norm(g, x, f"{name}.norm2"), f"{name}.mlp.fc1", int(c.embed_dim * c.mlp_ratio))
    h = tokens.matmul(g, tokens.gelu(g, h, f"{name}.mlp"), f"{name}.mlp.fc2", c.embed_dim)
    return nn.add(g, x, h, f"{name}.out")


def _image(g: Graph, x: Value, c: Config) -> None:
    """From tokens to `eps`: the extra tokens are dropped, a patch is [row, column, channel]."""
    p, n, channels = c.patch_size, c.n_side, c.in_chans
    x = tokens.matmul(g, x, "decoder_pred", p * p * channels)
    ends = [g.shape(c.n_extras), g.shape(x.shape[0]), g.shape(1)]
    patches = Value(g.node("Slice", [x.name, *ends], "patches.out"), (n * n, p * p * channels))
    grid = nn.reshape(g, patches, "patches.grid", (n, n, p, p, channels))
    moved = g.node("Transpose", [grid.name], "patches.moved", perm=[0, 5, 1, 3, 2, 4])
    shape = (channels, c.img_size, c.img_size)
    image = nn.reshape(g, Value(moved, shape), "image" if c.conv or g.half else "eps", shape)
    if not c.conv and g.half:
        nn.cast(g, image.name, "eps", TensorProto.FLOAT)
    if c.conv:
        single = nn.cast(g, image.name, "image.single", TensorProto.FLOAT)
        nn.last_conv(g, Value(single, shape), "final_layer", channels, "eps")
