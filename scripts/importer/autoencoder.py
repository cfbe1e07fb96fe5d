"""Decoder and encoder of the KL autoencoder (arXiv:2112.10752) as ONNX, from two layouts of keys.

CompVis (also U-ViT's `autoencoder_kl.pth`): `encoder.down.{i}.block.{j}`, `decoder.up.{i}.block.{j}` with the finest
level first. diffusers (`AutoencoderKL`): `encoder.down_blocks.{i}.resnets.{j}`, `decoder.up_blocks.{i}` with the
coarsest level first. The decoder takes `latent`, already divided by the scale of the latents; the encoder returns
`moments`, the mean and then the log variance.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import layers as nn
from .graph import Graph, Network, Port, Value
from .unet2d import NEW_NAMES, OLD_NAMES

N_GROUPS = 32
EPSILON = 1e-6


@dataclass(frozen=True)
class Config:
    """The entries of the CompVis `ddconfig` that shape the network."""

    resolution: int = 256
    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    z_channels: int = 4
    embed_dim: int = 4
    in_channels: int = 3
    out_ch: int = 3

    @property
    def latent(self) -> tuple[int, int, int]:
        """Shape of a latent."""
        side = self.resolution // 2 ** (len(self.ch_mult) - 1)
        return (self.embed_dim, side, side)


@dataclass(frozen=True)
class _Layout:
    """How a checkpoint names things."""

    diffusers: bool
    attention: tuple[str, str, str, str]
    rank: int

    def block(self, way: str, level: int, block: int, n_levels: int) -> str:
        """A residual block; `level` counts from the finest."""
        if not self.diffusers:
            return f"{way}.{level}.block.{block}"
        return f"{way}_blocks.{level if way == 'down' else n_levels - 1 - level}.resnets.{block}"

    def resample(self, way: str, level: int, n_levels: int) -> str:
        """The convolution beside a change of size."""
        if not self.diffusers:
            return f"{way}.{level}.{way}sample.conv"
        return f"{way}_blocks.{level if way == 'down' else n_levels - 1 - level}.{way}samplers.0.conv"

    def __getitem__(self, part: str) -> str:
        return _PARTS[part][self.diffusers]


_PARTS = {
    "first": ("mid.block_1", "mid_block.resnets.0"),
    "attention": ("mid.attn_1", "mid_block.attentions.0"),
    "second": ("mid.block_2", "mid_block.resnets.1"),
    "norm": ("norm", "group_norm"),
    "shortcut": ("nin_shortcut", "conv_shortcut"),
    "norm_out": ("norm_out", "conv_norm_out"),
}


def _layout(keys: frozenset[str]) -> _Layout:
    if not any(".mid_block." in key for key in keys):
        return _Layout(False, ("q", "k", "v", "proj_out"), 4)
    return _Layout(True, OLD_NAMES if any(".query." in key for key in keys) else NEW_NAMES, 2)


def build_decoder(
    config: Config, *, train: bool = False, half: bool = False, keys: frozenset[str] = frozenset()
) -> Network:
    """`latent` -> `image` in [-1, 1]; the number of residual blocks a level is one more than in the encoder."""
    g = Graph(train, half)
    part = _Half(g, "decoder", _layout(keys))
    n_levels = len(config.ch_mult)
    h = nn.conv(g, nn.body(g, Value("latent", config.latent)), "post_quant_conv", config.z_channels, kernel=1)
    h = part.middle(nn.conv(g, h, "decoder.conv_in", config.ch * config.ch_mult[-1]))
    for level in reversed(range(n_levels)):
        for block in range(config.num_res_blocks + 1):
            h = part.residual(h, part.layout.block("up", level, block, n_levels), config.ch * config.ch_mult[level])
        if level > 0:
            name = f"decoder.{part.layout.resample('up', level, n_levels)}"
            h = nn.conv(g, nn.upsample_nearest(g, h, f"{name}.nearest"), name, h.shape[0])
    nn.last_conv(g, part.norm_silu(h, part.layout["norm_out"]), "decoder.conv_out", config.out_ch, "image")
    side = config.resolution
    return Network("decoder", g, [Port("latent", config.latent)], Port("image", (config.out_ch, side, side)))


def build_encoder(
    config: Config, *, train: bool = False, half: bool = False, keys: frozenset[str] = frozenset()
) -> Network:
    """`image` in [-1, 1] -> `moments`, [mean, log variance] of the latent before scaling."""
    g = Graph(train, half)
    part = _Half(g, "encoder", _layout(keys))
    n_levels, shape = len(config.ch_mult), (config.in_channels, config.resolution, config.resolution)
    h = nn.conv(g, nn.body(g, Value("image", shape)), "encoder.conv_in", config.ch)
    for level, mult in enumerate(config.ch_mult):
        for block in range(config.num_res_blocks):
            h = part.residual(h, part.layout.block("down", level, block, n_levels), config.ch * mult)
        if level + 1 < n_levels:
            name = f"encoder.{part.layout.resample('down', level, n_levels)}"
            h = nn.conv(g, h, name, h.shape[0], stride=2, pads=(0, 0, 1, 1))
    h = part.norm_silu(part.middle(h), part.layout["norm_out"])
    h = nn.last_conv(g, h, "encoder.conv_out", 2 * config.z_channels, "encoded")
    weight = g.weight("quant_conv.weight", (2 * config.embed_dim, 2 * config.z_channels, 1, 1))
    inputs = [h.name, weight, g.weight("quant_conv.bias", (2 * config.embed_dim,))]
    g.node("Conv", inputs, "moments", kernel_shape=[1, 1])
    _, side, _ = config.latent
    return Network("encoder", g, [Port("image", shape)], Port("moments", (2 * config.embed_dim, side, side)))


class _Half:
    """Blocks that encoder and decoder share, under their prefix."""

    def __init__(self, g: Graph, prefix: str, layout: _Layout) -> None:
        self.g, self.prefix, self.layout = g, prefix, layout

    def norm_silu(self, x: Value, name: str) -> Value:
        """GroupNorm and SiLU, in float32."""
        name = f"{self.prefix}.{name}"
        return nn.silu(self.g, nn.group_norm(self.g, x, name, N_GROUPS, EPSILON), f"{name}.act")

    def residual(self, x: Value, name: str, n_out: int) -> Value:
        """Norm, SiLU, conv, twice, and the skip."""
        g, full = self.g, f"{self.prefix}.{name}"
        h = nn.conv(g, nn.body(g, self.norm_silu(x, f"{name}.norm1")), f"{full}.conv1", n_out)
        h = nn.conv(g, nn.body(g, self.norm_silu(h, f"{name}.norm2")), f"{full}.conv2", n_out)
        shortcut = f"{full}.{self.layout['shortcut']}"
        skip = x if x.shape[0] == n_out else nn.conv(g, x, shortcut, n_out, kernel=1)
        return nn.add(g, skip, h, f"{full}.sum")

    def middle(self, h: Value) -> Value:
        """Two residual blocks around an attention."""
        h = self.residual(h, self.layout["first"], h.shape[0])
        h = self.attention(h, f"{self.prefix}.{self.layout['attention']}")
        return self.residual(h, self.layout["second"], h.shape[0])

    def attention(self, x: Value, name: str) -> Value:
        """Single-head self-attention over positions, with residual."""
        g, (c, h, w) = self.g, x.shape
        normal = nn.body(g, nn.group_norm(g, x, f"{name}.{self.layout['norm']}", N_GROUPS, EPSILON))
        *parts, out = (f"{name}.{part}" for part in self.layout.attention)
        q, k, v = (
            nn.reshape(g, nn.conv(g, normal, part, c, kernel=1, rank=self.layout.rank), f"{part}.heads", (1, c, h * w))
            for part in parts
        )
        mixed = nn.image_of(g, nn.attend(g, q, k, v, name), f"{name}.mixed", x.shape)
        mixed = nn.conv(g, mixed, out, c, kernel=1, rank=self.layout.rank)
        return nn.add(g, x, mixed, f"{name}.residual")
