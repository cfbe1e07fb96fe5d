"""The network of the paper on CIFAR-10: DDPM (Ho et al. 2020, arXiv:2006.11239), 35,746,307 parameters, predicts epsilon.

Its state dict has the keys of `UNet2DModel` of diffusers, so that a checkpoint goes the way of the published
`google/ddpm-cifar10-32`: `just import ddpm-cifar10-32 FILE.safetensors`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What the `config.json` of the published checkpoint says of its shape.
CONFIG = {
    "sample_size": 32,
    "block_out_channels": [128, 256, 256, 256],
    "layers_per_block": 2,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "attention_head_dim": None,
    "norm_eps": 1e-6,
}
DROPOUT = 0.1


def norm(channels: int) -> nn.GroupNorm:
    """GroupNorm of 32 groups."""
    return nn.GroupNorm(32, channels, eps=CONFIG["norm_eps"])


def sinusoids(timestep: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of `timestep` [n]: frequencies 10000^(-k / (width / 2 - 1)), [n, width]."""
    half = width // 2
    steps = torch.arange(half, dtype=torch.float64, device=timestep.device)
    frequencies = torch.exp(-math.log(10_000.0) * steps / (half - CONFIG["freq_shift"])).float()
    angles = timestep.float()[:, None] * frequencies[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Residual(nn.Module):
    """Norm, SiLU, conv; + time; norm, SiLU, dropout, conv; + skip."""

    def __init__(self, n_in: int, n_out: int, n_time: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm1, self.conv1 = norm(n_in), nn.Conv2d(n_in, n_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(n_time, n_out)
        self.norm2, self.conv2 = norm(n_out), nn.Conv2d(n_out, n_out, 3, padding=1)
        if n_in != n_out:
            self.conv_shortcut = nn.Conv2d(n_in, n_out, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`time` is the activated embedding."""
        h = self.conv1(F.silu(self.norm1(x))) + self.time_emb_proj(time)[:, :, None, None]
        h = self.conv2(F.dropout(F.silu(self.norm2(h)), self.dropout, self.training))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class Attention(nn.Module):
    """Self-attention of one head over positions, with residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.group_norm = norm(channels)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])
        nn.init.zeros_(self.to_out[0].weight)
        nn.init.zeros_(self.to_out[0].bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> the same."""
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (part(tokens)[:, None] for part in (self.to_q, self.to_k, self.to_v))
        mixed = self.to_out[0](F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + mixed.transpose(1, 2).reshape(x.shape)


class Conv(nn.Module):
    """A convolution under the name that diffusers gives it."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=1 if stride == 1 else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Down by two behind a row and a column of zeros, or up by two before it."""
        if self.conv.stride == (2, 2):
            return self.conv(F.pad(x, (0, 1, 0, 1)))
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Level(nn.Module):
    """Residual blocks of one resolution, attention behind each where it has some, and the change of resolution."""

    def __init__(self, blocks: list[Residual], channels: int, *, attends: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(blocks)
        self.attentions = nn.ModuleList(Attention(channels) for _ in blocks if attends)

    def block(self, index: int, h: Tensor, time: Tensor) -> Tensor:
        """Block `index` and its attention."""
        h = self.resnets[index](h, time)
        return self.attentions[index](h) if self.attentions else h


class Ddpm(nn.Module):
    """Noise prediction: x [n, 3, 32, 32], timestep [n] and, with classes, label [n] -> [n, 3, 32, 32]."""

    def __init__(self, n_labels: int | None = None, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.n_labels = n_labels
        widths, n_layers = CONFIG["block_out_channels"], CONFIG["layers_per_block"]
        n_time = 4 * widths[0]
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.time_embedding = nn.ModuleDict(
            {"linear_1": nn.Linear(widths[0], n_time), "linear_2": nn.Linear(n_time, n_time)}
        )
        if n_labels is not None:
            self.class_embedding = nn.Embedding(n_labels, n_time)
        n_in, skips = widths[0], [widths[0]]
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for index, (kind, width) in enumerate(zip(CONFIG["down_block_types"], widths, strict=True)):
            blocks = [Residual(n_in if layer == 0 else width, width, n_time, dropout) for layer in range(n_layers)]
            level = Level(blocks, width, attends="Attn" in kind)
            skips += [width] * n_layers
            if index + 1 < len(widths):
                level.downsamplers = nn.ModuleList([Conv(width, 2)])
                skips.append(width)
            self.down_blocks.append(level)
            n_in = width
        self.mid_block = Level([Residual(n_in, n_in, n_time, dropout) for _ in range(2)], n_in, attends=False)
        self.mid_block.attentions = nn.ModuleList([Attention(n_in)])
        for index, (kind, width) in enumerate(zip(CONFIG["up_block_types"], reversed(widths), strict=True)):
            blocks = []
            for _ in range(n_layers + 1):
                blocks.append(Residual(n_in + skips.pop(), width, n_time, dropout))
                n_in = width
            level = Level(blocks, width, attends="Attn" in kind)
            if index + 1 < len(widths):
                level.upsamplers = nn.ModuleList([Conv(width, 1)])
            self.up_blocks.append(level)
        self.conv_norm_out, self.conv_out = norm(widths[0]), nn.Conv2d(widths[0], 3, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, x: Tensor, timestep: Tensor, label: Tensor | None = None) -> Tensor:
        """Predict epsilon."""
        time = self.time_embedding["linear_1"](sinusoids(timestep, CONFIG["block_out_channels"][0]))
        time = self.time_embedding["linear_2"](F.silu(time))
        time = F.silu(time if label is None else time + self.class_embedding(label))
        h = self.conv_in(x)
        skips = [h]
        for level in self.down_blocks:
            for index in range(len(level.resnets)):
                h = level.block(index, h, time)
                skips.append(h)
            if hasattr(level, "downsamplers"):
                h = level.downsamplers[0](h)
                skips.append(h)
        h = self.mid_block.attentions[0](self.mid_block.resnets[0](h, time))
        h = self.mid_block.resnets[1](h, time)
        for level in self.up_blocks:
            for index in range(len(level.resnets)):
                h = level.block(index, torch.cat([h, skips.pop()], dim=1), time)
            if hasattr(level, "upsamplers"):
                h = level.upsamplers[0](h)
        return self.conv_out(F.silu(self.conv_norm_out(h)))
