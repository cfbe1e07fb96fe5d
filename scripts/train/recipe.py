"""What is trained, and how fast: forward process and loss weights, learning rate, moving averages of the weights.

The choices that both trainers take on their command lines are a `Recipe`; it is stored with the weights.
"""

import argparse
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

N_TIMESTEPS = 1000
GAMMA = 5.0

# Weight of a squared error of v, by SNR = alpha_bar / (1 - alpha_bar); SNR / (SNR + 1) times it is that of epsilon.
LOSS_WEIGHTS = {
    "min-snr": lambda snr: np.minimum(snr, GAMMA) / (snr + 1.0),  # Hang et al. 2023, arXiv:2303.09556, gamma = 5
    "v": np.ones_like,  # Salimans & Ho 2022, arXiv:2202.00512: SNR + 1 in terms of x_0
    "epsilon": lambda snr: snr / (snr + 1.0),  # Ho et al. 2020, arXiv:2006.11239: the plain square of epsilon
}
# Of the averages, in images.
HALF_LIVES = (50_000, 150_000, 400_000)


@dataclass(frozen=True)
class Recipe:
    """What can be chosen of the training beside data and network."""

    loss_weights: str
    learning_rate: float
    dropout: float
    flips: bool
    batch: int
    precision: str

    @staticmethod
    def of(arguments: argparse.Namespace, *, may_flip: bool) -> "Recipe":
        """As the command line has it, on a data set whose images may be mirrored or not."""
        chosen = {field.name: getattr(arguments, field.name) for field in fields(Recipe)}
        return Recipe(**{**chosen, "flips": arguments.flips and may_flip})

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def add_options(parser: argparse.ArgumentParser, *, batch: int, learning_rate: float, precision: str) -> None:
    """The options of a `Recipe`, and the half-lives of the averages."""
    parser.add_argument("--loss-weights", choices=sorted(LOSS_WEIGHTS), default="min-snr", help="over noise levels")
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--dropout", type=float, default=0.1, help="rate; 0 leaves MC-Dropout nothing to vary")
    parser.add_argument("--no-flips", dest="flips", action="store_false", help="never mirror an image")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--precision", choices=["bf16", "f32"], default=precision, help="of the layers")
    text = "of the averages of the weights, in images: all are kept, so that one can be chosen afterwards"
    parser.add_argument("--half-lives", type=int, nargs="+", default=list(HALF_LIVES), metavar="IMAGES", help=text)


class Diffusion:
    """The forward process: linear betas 1e-4..0.02, T = 1000. Tables in f32, computed in f64."""

    def __init__(self, loss_weights: str = "min-snr") -> None:
        alpha_bar = np.cumprod(1.0 - np.linspace(1e-4, 0.02, N_TIMESTEPS))
        snr = alpha_bar / (1.0 - alpha_bar)
        self.a = torch.tensor(np.sqrt(alpha_bar), dtype=torch.float32)
        self.s = torch.tensor(np.sqrt(1.0 - alpha_bar), dtype=torch.float32)
        self.weight = torch.tensor(LOSS_WEIGHTS[loss_weights](snr), dtype=torch.float32)

    def to(self, device: torch.device) -> "Diffusion":
        """With its tables on `device`."""
        self.a, self.s, self.weight = (table.to(device) for table in (self.a, self.s, self.weight))
        return self

    def at(self, table: Tensor, timestep: Tensor) -> Tensor:
        """Values of `table` at `timestep` [n], as [n, 1, 1, 1]."""
        return table[timestep][:, None, None, None]

    def noise(self, x_0: Tensor, epsilon: Tensor, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """x_t = a x_0 + s epsilon and the target v = a epsilon - s x_0."""
        a, s = self.at(self.a, timestep), self.at(self.s, timestep)
        return a * x_0 + s * epsilon, a * epsilon - s * x_0


class Schedule:
    """Learning rate by images seen: warm-up, constant, then linear to zero over the last 20 %."""

    def __init__(self, peak: float, warmup: int, total: int) -> None:
        self.peak, self.warmup, self.began_at = peak, warmup, 0
        self.planned = self.total = total
        self.decay_from, self.level = round(0.8 * total), 1.0

    def share(self, images: int) -> float:
        """Share of the peak rate, warm-up apart."""
        if images <= self.decay_from:
            return self.level
        return self.level * max(0.02, (self.total - images) / max(1, self.total - self.decay_from))

    def finish_at(self, total: int, images: int) -> None:
        """End at `total`: the decay starts at 80 % of it, or now, from the present rate, if that is later."""
        if total != self.total:
            self.level = self.share(images)
            self.total, self.decay_from = total, max(images, round(0.8 * total))

    def __call__(self, images: int) -> float:
        """Learning rate after `images` images."""
        return self.peak * min(1.0, (images - self.began_at + 1) / self.warmup) * self.share(images)

    def state(self) -> dict[str, float]:
        """What a resumed run needs to go on with the same plan."""
        names = ("planned", "total", "decay_from", "level", "began_at")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, float]) -> None:
        """Go on with a stored plan, unless the command line now asks for another number of images."""
        self.began_at = state["began_at"]
        if state["planned"] == self.planned:
            self.total, self.decay_from, self.level = state["total"], state["decay_from"], state["level"]


class Averages:
    """Moving averages of the weights, one a half-life in images.

    Short of a half-life, an eighth of what was seen stands in for it: the first weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, half_lives: Iterable[int]) -> None:
        start = model.state_dict()
        self.weights = {n: {name: value.detach().clone() for name, value in start.items()} for n in half_lives}

    @torch.no_grad()
    def update(self, model: nn.Module, batch: int, seen: int) -> None:
        """Take in the weights after one optimiser step on `batch` images, `seen` with them."""
        current = model.state_dict()
        for half_life, average in self.weights.items():
            kept = 0.5 ** (batch / min(half_life, max(1, seen / 8)))
            torch._foreach_lerp_(list(average.values()), [current[name] for name in average], 1.0 - kept)


def stratified_timesteps(n: int, device: torch.device | str, generator: torch.Generator | None = None) -> Tensor:
    """`n` times, one in each n-th part of 0..999, in random order."""
    kwargs = {"device": device, "generator": generator}
    strata = (torch.randperm(n, **kwargs) + torch.rand(n, **kwargs)) / n
    return (strata * N_TIMESTEPS).long().clamp(max=N_TIMESTEPS - 1)
