"""`UNet2DModel` of diffusers as ONNX, from its `config.json` and the keys of its checkpoints.

`google/ddpm-cifar10-32` is one. Attention has two sets of keys, the old one (`query`, `key`, `value`, `proj_attn`) and
the one since 2023 (`to_q`, `to_k`, `to_v`, `to_out.0`): the checkpoint says which.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import layers as nn
from .graph import Graph, Network, Value, denoiser_ports

DOWN = {"DownBlock2D": False, "AttnDownBlock2D": True}
UP = {"UpBlock2D": False, "AttnUpBlock2D": True}
OLD_NAMES = ("query", "key", "value", "proj_attn")
NEW_NAMES = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True)
class Config:
    """The entries of `config.json` that shape the network; `attention_dropout` is ours (see `build`)."""

    sample_size: int
    block_out_channels: tuple[int, ...]
    down_block_types: tuple[str, ...]
    up_block_types: tuple[str, ...]
    in_channels: int = 3
    out_channels: int = 3
    layers_per_block: int = 2
    downsample_padding: int = 1
    flip_sin_to_cos: bool = True
    freq_shift: float = 0.0
    attention_head_dim: int | None = 8
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    resnet_time_scale_shift: str = "default"
    add_attention: bool = True
    num_class_embeds: int | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0


def build(config: Config, *, train: bool = False, half: bool = False, keys: frozenset[str] = frozenset()) -> Network:
    """The network; `train` keeps its `Dropout` nodes.

    Why is there an `attention_dropout`? diffusers gives the dropout behind each attention a ratio of 0 whatever its
    `dropout` is, and the released code of arXiv:2412.00205 overwrites the ratio of every dropout module, these too.
    """
    g = Graph(train, half)
    shape = (config.in_channels, config.sample_size, config.sample_size)
    unet = _UNet(g, config, OLD_NAMES if any(".query." in key for key in keys) else NEW_NAMES)
    h, skips = unet.encoder(nn.body(g, Value("sample", shape)))
    h = unet.decoder(unet.middle(h), skips)
    h = nn.silu(g, unet.norm(h, "conv_norm_out"), "conv_act")
    nn.last_conv(g, h, "conv_out", config.out_channels, "eps")
    inputs, output = denoiser_ports(shape, config.out_channels, config.num_class_embeds is not None)
    return Network("unet2d", g, inputs, output)


class _UNet:
    """Builds the parts in the order of the forward pass."""

    def __init__(self, g: Graph, config: Config, attention_names: tuple[str, str, str, str]) -> None:
        self.g, self.c, self.names = g, config, attention_names
        self.time = self._time()

    def _time(self) -> Value:
        """SiLU of the embedding of time and class."""
        g, c = self.g, self.c
        width = 4 * c.block_out_channels[0]
        h = nn.sinusoids(g, c.block_out_channels[0], shift=c.freq_shift, sine_first=not c.flip_sin_to_cos)
        h = nn.silu(g, nn.linear(g, h, "time_embedding.linear_1", width), "time_embedding.act")
        h = nn.linear(g, h, "time_embedding.linear_2", width)
        if c.num_class_embeds is not None:
            h = nn.add(g, h, nn.embedding(g, "class_embedding", c.num_class_embeds, width), "time_and_label")
        return nn.silu(g, h, "time_act")

    def norm(self, x: Value, name: str) -> Value:
        """GroupNorm, in float32."""
        return nn.group_norm(self.g, x, name, self.c.norm_num_groups, self.c.norm_eps)

    def norm_silu(self, x: Value, name: str) -> Value:
        """GroupNorm and SiLU."""
        return nn.body(self.g, nn.silu(self.g, self.norm(x, name), f"{name}.act"))

    def encoder(self, x: Value) -> tuple[Value, list[Value]]:
        """Output and all outputs kept for the decoder."""
        g, c = self.g, self.c
        h = nn.conv(g, x, "conv_in", c.block_out_channels[0])
        skips = [h]
        for level, (kind, width) in enumerate(zip(c.down_block_types, c.block_out_channels, strict=True)):
            name = f"down_blocks.{level}"
            for layer in range(c.layers_per_block):
                h = self.residual(h, f"{name}.resnets.{layer}", width)
                if DOWN[kind]:
                    h = self.attention(h, f"{name}.attentions.{layer}")
                skips.append(h)
            if level + 1 < len(c.block_out_channels):
                p = c.downsample_padding
                pads = (0, 0, 1, 1) if p == 0 else (p,) * 4
                h = nn.conv(g, h, f"{name}.downsamplers.0.conv", width, stride=2, pads=pads)
                skips.append(h)
        return h, skips

    def middle(self, h: Value) -> Value:
        """Two residual blocks around an attention."""
        h = self.residual(h, "mid_block.resnets.0", h.shape[0])
        if self.c.add_attention:
            h = self.attention(h, "mid_block.attentions.0")
        return self.residual(h, "mid_block.resnets.1", h.shape[0])

    def decoder(self, h: Value, skips: list[Value]) -> Value:
        """The way up."""
        g, c = self.g, self.c
        for level, (kind, width) in enumerate(zip(c.up_block_types, reversed(c.block_out_channels), strict=True)):
            name = f"up_blocks.{level}"
            for layer in range(c.layers_per_block + 1):
                block = f"{name}.resnets.{layer}"
                h = self.residual(nn.concat(g, h, skips.pop(), f"{block}.concat"), block, width)
                if UP[kind]:
                    h = self.attention(h, f"{name}.attentions.{layer}")
            if level + 1 < len(c.block_out_channels):
                h = nn.upsample_nearest(g, h, f"{name}.nearest")
                h = nn.conv(g, h, f"{name}.upsamplers.0.conv", width)
        return h

    def residual(self, x: Value, name: str, n_out: int) -> Value:
        """Norm, SiLU, conv, time, norm, SiLU, dropout, conv, and the skip."""
        g = self.g
        h = nn.conv(g, self.norm_silu(x, f"{name}.norm1"), f"{name}.conv1", n_out)
        time = nn.body(g, nn.linear(g, self.time, f"{name}.time_emb_proj", n_out))
        h = self.norm_silu(nn.add(g, h, time, f"{name}.add_time"), f"{name}.norm2")
        h = nn.conv(g, nn.dropout(g, h, f"{name}.dropout", self.c.dropout), f"{name}.conv2", n_out)
        skip = x if x.shape[0] == n_out else nn.conv(g, x, f"{name}.conv_shortcut", n_out, kernel=1)
        return nn.add(g, skip, h, f"{name}.sum")

    def attention(self, x: Value, name: str) -> Value:
        """Self-attention over positions, with residual; q, k, v and the output are matrices [c, c] with bias."""
        g, (c, h, w) = self.g, x.shape
        heads = c // (self.c.attention_head_dim or c)
        normal = nn.body(g, self.norm(x, f"{name}.group_norm"))
        *parts, out = (f"{name}.{part}" for part in self.names)
        q, k, v = (
            nn.reshape(g, nn.conv(g, normal, part, c, kernel=1, rank=2), f"{part}.heads", (heads, c // heads, h * w))
            for part in parts
        )
        mixed = nn.image_of(g, nn.attend(g, q, k, v, name), f"{name}.mixed", x.shape)
        mixed = nn.conv(g, mixed, out, c, kernel=1, rank=2)
        return nn.add(g, nn.dropout(g, mixed, f"{name}.dropout", self.c.attention_dropout), x, f"{name}.residual")
