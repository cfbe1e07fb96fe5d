"""Tiny diffusion networks in PyTorch, one a family, for `graph_fixtures.py`.

Each takes x [n, 3, 8, 8] and t [n] (f32) and returns a prediction. They have the operators of the published networks
in their order, at a few thousand parameters: a DDPM block stack, an ADM block stack (FiLM, resampling residual blocks,
Einsum attention, learned variance channels) and a U-ViT stack (patch convolution, LayerNorm, GELU, long skip).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 8


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Sines and cosines of t [n] -> [n, width]."""
    frequencies = torch.exp(-math.log(100.0) * torch.arange(width // 2) / (width // 2)).to(t)
    angles = t[:, None] * frequencies[None, :]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class DdpmBlock(nn.Module):
    """GroupNorm, SiLU, conv; + time; GroupNorm, SiLU, dropout, conv; + skip."""

    def __init__(self, n_in: int, n_out: int, n_time: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(2, n_in), nn.Conv2d(n_in, n_out, 3, padding=1)
        self.time = nn.Linear(n_time, n_out)
        self.norm2, self.conv2 = nn.GroupNorm(2, n_out), nn.Conv2d(n_out, n_out, 3, padding=1)
        self.dropout = nn.Dropout(0.25)
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.skip(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class MatMulAttention(nn.Module):
    """Single-head attention over positions by linear layers, as diffusers writes it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(2, width), nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x).reshape(n, c, h * w).transpose(1, 2)).chunk(3, dim=-1)
        weights = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(c), dim=-1)
        return x + self.out(weights @ v).transpose(1, 2).reshape(n, c, h, w)


class Ddpm(nn.Module):
    """Two levels; the way down pads right and bottom by one before its stride-2 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.time = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(8, 8)
        self.down = DdpmBlock(6, 6, 8)
        self.stride = nn.Conv2d(6, 6, 3, stride=2)
        self.low, self.attention = DdpmBlock(6, 8, 8), MatMulAttention(8)
        self.smooth = nn.Conv2d(8, 8, 3, padding=1)
        self.up = DdpmBlock(14, 6, 8)
        self.norm, self.last = nn.GroupNorm(2, 6), nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time = self.time(timestep_embedding(t, 8))
        skip = self.down(self.stem(x), time)
        h = self.attention(self.low(self.stride(F.pad(skip, (0, 1, 0, 1))), time))
        h = self.smooth(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        h = self.up(torch.cat([h, skip], dim=1), time)
        return self.last(F.silu(self.norm(h)))


class AdmBlock(nn.Module):
    """Residual block with FiLM; resamples both branches before the first convolution."""

    def __init__(self, n_in: int, n_out: int, n_time: int, resample: str = "") -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(2, n_in), nn.Conv2d(n_in, n_out, 3, padding=1)
        self.film = nn.Linear(n_time, 2 * n_out)
        self.norm2, self.conv2 = nn.GroupNorm(2, n_out), nn.Conv2d(n_out, n_out, 3, padding=1)
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        self.mode = resample

    def resample(self, x: Tensor) -> Tensor:
        if self.mode == "down":
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=2.0, mode="nearest") if self.mode == "up" else x

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(self.resample(F.silu(self.norm1(x))))
        scale, shift = self.film(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        return self.skip(self.resample(x)) + self.conv2(F.silu(h))


class EinsumAttention(nn.Module):
    """Two heads, 1-D convolutions and Einsum, scaled on both sides."""

    def __init__(self, width: int, n_heads: int = 2) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.GroupNorm(2, width)
        self.qkv, self.out = nn.Conv1d(width, 3 * width, 1), nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        flat, width = x.reshape(n, c, h * w), c // self.n_heads
        qkv = self.qkv(self.norm(flat)).reshape(n * self.n_heads, 3 * width, h * w)
        q, k, v = qkv.split(width, dim=1)
        scale = width**-0.25
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q * scale, k * scale), dim=-1)
        mixed = torch.einsum("bts,bcs->bct", weights, v).reshape(n, c, h * w)
        return (flat + self.out(mixed)).reshape(n, c, h, w)


class Adm(nn.Module):
    """Six output channels: the noise and its variance."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.time = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(8, 8)
        self.down = AdmBlock(6, 6, 8, "down")
        self.middle, self.attention = AdmBlock(6, 8, 8), EinsumAttention(8)
        self.up = AdmBlock(8, 6, 8, "up")
        self.norm, self.last = nn.GroupNorm(2, 12), nn.Conv2d(12, 6, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        time, h = self.time(timestep_embedding(t, 8)), self.stem(x)
        low = self.attention(self.middle(self.down(h, time), time))
        h = torch.cat([self.up(low, time), h], dim=1)
        return self.last(F.silu(self.norm(h)))


class UVitBlock(nn.Module):
    """LayerNorm, attention with heads, LayerNorm, GELU network; `skip` joins a long skip first."""

    def __init__(self, width: int, *, skip: bool = False) -> None:
        super().__init__()
        self.join = nn.Linear(2 * width, width) if skip else None
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        if self.join is not None and skip is not None:
            x = self.join(torch.cat([x, skip], dim=-1))
        n, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, length, 3, 2, width // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-2, -1) * (width // 2) ** -0.5, dim=-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(n, length, width))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


class UVit(nn.Module):
    """Patches of 2x2 and one time token; the last layer is a 3x3 convolution after the patches are laid out."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.patch, self.time = nn.Conv2d(3, width, 2, stride=2), nn.Linear(8, width)
        self.position = nn.Parameter(torch.randn(1, 1 + SIZE * SIZE // 4, width) * 0.1)
        self.first, self.second = UVitBlock(width), UVitBlock(width, skip=True)
        self.norm, self.head, self.last = nn.LayerNorm(width), nn.Linear(width, 12), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        time = self.time(timestep_embedding(t, 8))[:, None]
        skip = torch.cat([time, tokens], dim=1) + self.position
        h = self.norm(self.second(self.first(skip), skip))
        patches = self.head(h)[:, 1:].reshape(x.shape[0], SIZE // 2, SIZE // 2, 2, 2, 3)
        image = patches.permute(0, 5, 1, 3, 2, 4).reshape(x.shape[0], 3, SIZE, SIZE)
        return self.last(image)
