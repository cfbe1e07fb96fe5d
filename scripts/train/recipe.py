"""What is trained, and how fast: forward process and loss weights, learning rate, moving average of the weights.

Loss: v-prediction with min-SNR weights (Hang et al. 2023, arXiv:2303.09556), gamma = 5. In terms of v the weight is
min(SNR, gamma) / (SNR + 1), with SNR = alpha_bar / (1 - alpha_bar).
"""

import numpy as np
import torch
from torch import Tensor, nn

N_TIMESTEPS = 1000
GAMMA = 5.0


class Diffusion:
    """The forward process: linear betas 1e-4..0.02, T = 1000. Tables in f32, computed in f64."""

    def __init__(self) -> None:
        alpha_bar = np.cumprod(1.0 - np.linspace(1e-4, 0.02, N_TIMESTEPS))
        snr = alpha_bar / (1.0 - alpha_bar)
        self.a = torch.tensor(np.sqrt(alpha_bar), dtype=torch.float32)
        self.s = torch.tensor(np.sqrt(1.0 - alpha_bar), dtype=torch.float32)
        self.weight = torch.tensor(np.minimum(snr, GAMMA) / (snr + 1.0), dtype=torch.float32)

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


class Ema:
    """Moving average of the weights; the decay grows as (1 + n) / (10 + n) up to `decay`."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.n_updates = decay, 0
        self.weights = {name: p.detach().clone() for name, p in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after one optimiser step."""
        self.n_updates += 1
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        current = model.state_dict()
        torch._foreach_lerp_(list(self.weights.values()), [current[name] for name in self.weights], 1.0 - decay)
