"""U-Net of `ddpm-cifar10-small`: a DDPM U-Net behind a 2x2 space-to-depth stem.

Ho et al. 2020 (arXiv:2006.11239) work at 32x32; here a 2x2 block of pixels becomes one position of 12 channels, so
that the widest arithmetic runs at 16x16, 8x8 and 4x4. The network predicts v (Salimans & Ho 2022, arXiv:2202.00512):

    v = a_t * epsilon - s_t * x_0,   a_t = sqrt(alpha_bar_t),   s_t = sqrt(1 - alpha_bar_t)
    epsilon = a_t * v + s_t * x_t

`scripts/export/ddpm_small.py` writes the same network as ONNX from the names and shapes of this state dict.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """Shape of the network; stored in the safetensors metadata beside the weights."""

    width: int = 64
    multipliers: tuple[int, ...] = (1, 2, 2)
    n_blocks: tuple[int, ...] = (1, 1, 1)  # residual blocks a level, the same on the way up
    n_middle: int = 2
    n_groups: int = 16
    attention_level: int = 1
    dropout: float = 0.1
    n_classes: int | None = None  # with classes, label `n_classes` stands for none

    def as_dict(self) -> dict:
        """Plain values, for JSON; what is not set is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def timestep_embedding(timestep: Tensor, width: int) -> Tensor:
    """Sinusoids of `timestep` [n] -> [n, width]: cosines first, frequencies 10000^(-k / (width / 2)).

    Why f64 inside? A frequency that is one f32 step off moves the angle at t = 999 by 6e-5, and the exporter, which
    has no torch, must arrive at the same f32 frequencies.
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float64, device=timestep.device) / half
    frequencies = torch.exp(-math.log(10_000.0) * exponents).float()
    angles = timestep.float()[:, None] * frequencies[None, :]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, conv; + time; GroupNorm, SiLU, dropout, conv; + skip. [n, c_in, h, w] -> [n, c_out, h, w]."""

    def __init__(self, n_in: int, n_out: int, n_time: int, config: Config) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(config.n_groups, n_in, eps=1e-5)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.time = nn.Linear(n_time, n_out)
        self.norm2 = nn.GroupNorm(config.n_groups, n_out, eps=1e-5)
        self.dropout = nn.Dropout(config.dropout)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`time` is the activated embedding [n, n_time]."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time(time)[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return self.skip(x) + h


class Attention(nn.Module):
    """Single-head self-attention over positions, with residual. [n, c, h, w] -> the same."""

    def __init__(self, channels: int, config: Config) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(config.n_groups, channels, eps=1e-5)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """softmax(q^T k / sqrt(c)) applied to v."""
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, c, h * w).unbind(1)
        weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(c), dim=-1)
        mixed = v @ weights.transpose(1, 2)
        return x + self.out(mixed.reshape(n, c, h, w))


class Upsample(nn.Module):
    """Nearest x2, then 3x3 conv."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> [n, c, 2h, 2w]."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class UNet(nn.Module):
    """v-prediction network: x [n, 3, 32, 32] in [-1, 1] + noise, timestep [n] in 0..999 -> v [n, 3, 32, 32]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * m for m in config.multipliers]
        n_time = 4 * config.width
        self.time1 = nn.Linear(config.width, n_time)
        self.time2 = nn.Linear(n_time, n_time)
        if config.n_classes is not None:
            self.label = nn.Embedding(config.n_classes + 1, n_time)
            nn.init.zeros_(self.label.weight)
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)

        self.down = nn.ModuleList()
        n_skips, n_in = [], widths[0]
        for level, n_out in enumerate(widths):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(config.n_blocks[level]):
                stage["blocks"].append(ResidualBlock(n_in, n_out, n_time, config))
                if level == config.attention_level:
                    stage["attention"].append(Attention(n_out, config))
                n_in = n_out
                n_skips.append(n_out)
            if level + 1 < len(widths):
                stage["downsample"] = nn.Conv2d(n_out, n_out, 3, stride=2, padding=1)
            self.down.append(stage)

        self.middle = nn.ModuleList(ResidualBlock(n_in, n_in, n_time, config) for _ in range(config.n_middle))

        self.up = nn.ModuleList()
        for level, n_out in reversed(list(enumerate(widths))):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(config.n_blocks[level]):
                stage["blocks"].append(ResidualBlock(n_in + n_skips.pop(), n_out, n_time, config))
                if level == config.attention_level:
                    stage["attention"].append(Attention(n_out, config))
                n_in = n_out
            if level > 0:
                stage["upsample"] = Upsample(n_out)
            self.up.append(stage)

        self.out_norm = nn.GroupNorm(config.n_groups, widths[0], eps=1e-5)
        self.out_conv = nn.Conv2d(widths[0], 12, 3, padding=1)
        nn.init.zeros_(self.out_conv.weight)
        nn.init.zeros_(self.out_conv.bias)

    def forward(self, x: Tensor, timestep: Tensor, label: Tensor | None = None) -> Tensor:
        """Predict v; `label` [n] where the network has classes."""
        time = timestep_embedding(timestep, self.config.width)
        time = self.time2(F.silu(self.time1(time)))
        time = F.silu(time if label is None else time + self.label(label))
        h = self.stem(F.pixel_unshuffle(x, 2))
        skips = []
        for stage in self.down:
            h = run_stage(stage, h, time, skips, push=True)
            if "downsample" in stage:
                h = stage["downsample"](h)
        for block in self.middle:
            h = block(h, time)
        for stage in self.up:
            h = run_stage(stage, h, time, skips, push=False)
            if "upsample" in stage:
                h = stage["upsample"](h)
        return F.pixel_shuffle(self.out_conv(F.silu(self.out_norm(h))), 2)


def run_stage(stage: nn.ModuleDict, h: Tensor, time: Tensor, skips: list[Tensor], *, push: bool) -> Tensor:
    """Residual blocks of one resolution: the way down leaves its outputs in `skips`, the way up takes them."""
    for index, block in enumerate(stage["blocks"]):
        h = block(h if push else torch.cat([h, skips.pop()], dim=1), time)
        if len(stage["attention"]) > 0:
            h = stage["attention"][index](h)
        if push:
            skips.append(h)
    return h
