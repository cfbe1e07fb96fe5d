"""The U-Net of guided-diffusion (ADM, arXiv:2105.05233) as ONNX, from the keys of its checkpoints.

Encoder, middle and decoder are numbered lists `input_blocks.{i}.{j}`, `middle_block.{j}`, `output_blocks.{i}.{j}`;
the time embedding is an MLP on sinusoids, to which the row of the class is added. Output: 3 channels of epsilon and,
with `learn_sigma`, 3 of the variance behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import layers as nn
from .graph import Graph, Network, Value, denoiser_ports

Resample = Callable[[Graph, Value, str], Value]
N_GROUPS = 32
EPSILON = 1e-5


@dataclass(frozen=True)
class Config:
    """The flags of the reference code that shape the network."""

    image_size: int
    num_channels: int
    num_res_blocks: int
    channel_mult: tuple[float, ...]
    attention_resolutions: tuple[int, ...]
    num_heads: int = 4
    num_head_channels: int = -1
    num_heads_upsample: int = -1
    num_classes: int | None = None
    learn_sigma: bool = False
    use_scale_shift_norm: bool = True
    resblock_updown: bool = False
    use_new_attention_order: bool = False
    dropout: float = 0.0

    @property
    def n_outputs(self) -> int:
        """Channels of the output."""
        return 6 if self.learn_sigma else 3

    def width(self, mult: float) -> int:
        """Channels of a level."""
        return int(mult * self.num_channels)


def build(config: Config, *, train: bool = False, half: bool = False, keys: frozenset[str] = frozenset()) -> Network:
    """The network; `train` keeps its `Dropout` nodes. `keys` decide nothing here: there is one layout."""
    del keys
    g = Graph(train, half)
    shape = (3, config.image_size, config.image_size)
    unet = _UNet(g, config)
    h, skips = unet.encoder(nn.body(g, Value("sample", shape)))
    h = unet.decoder(unet.middle(h), skips)
    unet.head(h)
    inputs, output = denoiser_ports(shape, config.n_outputs, config.num_classes is not None)
    return Network("adm", g, inputs, output)


class _UNet:
    """Builds the parts in the order of the forward pass."""

    def __init__(self, g: Graph, config: Config) -> None:
        self.g, self.c = g, config
        self.time = self._time()

    def _time(self) -> Value:
        """SiLU of the embedding of time and class, which every residual block takes. [n, 4 c, 1, 1] f32."""
        g, c = self.g, self.c
        width = 4 * c.num_channels
        h = nn.silu(g, nn.linear(g, nn.sinusoids(g, c.num_channels), "time_embed.0", width), "time_embed.1")
        h = nn.linear(g, h, "time_embed.2", width)
        if c.num_classes is not None:
            h = nn.add(g, h, nn.embedding(g, "label_emb", c.num_classes, width), "time_and_label")
        return nn.silu(g, h, "time_act")

    def encoder(self, x: Value) -> tuple[Value, list[Value]]:
        """Output and all outputs kept for the decoder."""
        c, index = self.c, 1
        h = nn.conv(self.g, x, "input_blocks.0.0", c.width(c.channel_mult[0]))
        skips = [h]
        for level, mult in enumerate(c.channel_mult):
            for _ in range(c.num_res_blocks):
                h = self.residual(h, f"input_blocks.{index}.0", c.width(mult))
                h = self.attention_where_due(h, f"input_blocks.{index}.1", c.num_heads)
                skips.append(h)
                index += 1
            if level + 1 < len(c.channel_mult):
                h = self.down(h, f"input_blocks.{index}.0")
                skips.append(h)
                index += 1
        return h, skips

    def middle(self, h: Value) -> Value:
        """Two residual blocks around an attention block."""
        h = self.residual(h, "middle_block.0", h.shape[0])
        h = self.attention(h, "middle_block.1", self.c.num_heads)
        return self.residual(h, "middle_block.2", h.shape[0])

    def decoder(self, h: Value, skips: list[Value]) -> Value:
        """The way up; each block takes the latest kept output of the encoder."""
        c, index = self.c, 0
        n_heads = c.num_heads if c.num_heads_upsample == -1 else c.num_heads_upsample
        for level, mult in reversed(list(enumerate(c.channel_mult))):
            for block in range(c.num_res_blocks + 1):
                name = f"output_blocks.{index}"
                h = nn.concat(self.g, h, skips.pop(), f"{name}.concat")
                h = self.residual(h, f"{name}.0", c.width(mult))
                attended = self.attention_where_due(h, f"{name}.1", n_heads)
                n_layers = 1 + (attended is not h)
                h = attended
                if level > 0 and block == c.num_res_blocks:
                    h = self.up(h, f"{name}.{n_layers}")
                index += 1
        return h

    def head(self, h: Value) -> None:
        """Norm, SiLU and the last convolution, in float32."""
        g = self.g
        h = nn.silu(g, nn.group_norm(g, h, "out.0", N_GROUPS, EPSILON), "out.1")
        nn.last_conv(g, h, "out.2", self.c.n_outputs, "eps")

    def residual(self, x: Value, name: str, n_out: int, resample: Resample | None = None) -> Value:
        """A residual block; `resample` changes the size of both branches before the first convolution."""
        g, c = self.g, self.c
        h = nn.norm_silu(g, x, f"{name}.in_layers.0", N_GROUPS, EPSILON)
        if resample is not None:
            h, x = resample(g, h, f"{name}.h_upd"), resample(g, x, f"{name}.x_upd")
        h = nn.conv(g, h, f"{name}.in_layers.2", n_out)
        h = self.modulated(h, name)
        h = nn.dropout(g, h, f"{name}.out_layers.2", c.dropout)
        h = nn.conv(g, h, f"{name}.out_layers.3", n_out)
        skip = x if x.shape[0] == n_out else nn.conv(g, x, f"{name}.skip_connection", n_out, kernel=1)
        return nn.add(g, skip, h, f"{name}.sum")

    def modulated(self, h: Value, name: str) -> Value:
        """Norm and SiLU under the time embedding: scale and shift after the norm, or a sum before it."""
        g, n_out = self.g, h.shape[0]
        norm = f"{name}.out_layers.0"
        if not self.c.use_scale_shift_norm:
            time = nn.body(g, nn.linear(g, self.time, f"{name}.emb_layers.1", n_out))
            return nn.norm_silu(g, nn.add(g, h, time, f"{name}.add_time"), norm, N_GROUPS, EPSILON)
        both = nn.linear(g, self.time, f"{name}.emb_layers.1", 2 * n_out)
        h = nn.scale_shift(g, nn.group_norm(g, h, norm, N_GROUPS, EPSILON), both, name)
        return nn.body(g, nn.silu(g, h, f"{name}.out_act"))

    def down(self, h: Value, name: str) -> Value:
        """Half the size: by a residual block, or by a convolution of stride 2."""
        if self.c.resblock_updown:
            return self.residual(h, name, h.shape[0], nn.average_pool)
        return nn.conv(self.g, h, f"{name}.op", h.shape[0], stride=2)

    def up(self, h: Value, name: str) -> Value:
        """Twice the size: by a residual block, or by nearest neighbour and a convolution."""
        if self.c.resblock_updown:
            return self.residual(h, name, h.shape[0], nn.upsample_nearest)
        return nn.conv(self.g, nn.upsample_nearest(self.g, h, f"{name}.nearest"), f"{name}.conv", h.shape[0])

    def attention_where_due(self, h: Value, name: str, n_heads: int) -> Value:
        """Attention at the resolutions that have it."""
        return self.attention(h, name, n_heads) if h.shape[1] in self.c.attention_resolutions else h

    def attention(self, x: Value, name: str, n_heads: int) -> Value:
        """Self-attention over positions, with residual. Two orders of the channels of qkv exist: [3, heads, d] (new)
        and [heads, 3, d] (legacy)."""
        g, (c, h, w) = self.g, x.shape
        heads = n_heads if self.c.num_head_channels == -1 else c // self.c.num_head_channels
        d, n = c // heads, h * w
        normal = nn.body(g, nn.group_norm(g, x, f"{name}.norm", N_GROUPS, EPSILON))
        qkv = nn.conv(g, normal, f"{name}.qkv", 3 * c, kernel=1, rank=3)
        names = [f"{name}.{part}" for part in "qkv"]
        if self.c.use_new_attention_order:
            parts = nn.split(g, qkv, names, axis=1)
            q, k, v = (nn.reshape(g, part, f"{part.name}.heads", (heads, d, n)) for part in parts)
        else:
            rows = nn.reshape(g, qkv, f"{name}.heads", (heads, 3 * d, n))
            q, k, v = nn.split(g, rows, names, axis=2)
        mixed = nn.image_of(g, nn.attend(g, q, k, v, name), f"{name}.mixed", x.shape)
        out = nn.conv(g, mixed, f"{name}.proj_out", c, kernel=1, rank=3)
        return nn.add(g, x, out, f"{name}.residual")
