"""The measure of a network while it is trained: squared error of epsilon on clean images, at t = 25, 75 .. 975."""

from collections.abc import Callable

import torch
from recipe import N_TIMESTEPS, Diffusion
from torch import Tensor

TIMESTEPS = range(25, N_TIMESTEPS, 50)
# (x_t, timestep) -> epsilon
Estimate = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def epsilon_errors(estimate: Estimate, diffusion: Diffusion, x_0: Tensor, t: int, generator: torch.Generator) -> Tensor:
    """Mean squared error of epsilon at `t` for each image of `x_0` [n, 3, 32, 32], [n]; noise from `generator`."""
    epsilon = torch.randn(x_0.shape, device=x_0.device, generator=generator)
    timestep = torch.full((len(x_0),), t, device=x_0.device)
    x_t, _ = diffusion.noise(x_0, epsilon, timestep)
    return (estimate(x_t, timestep) - epsilon).square().mean(dim=(1, 2, 3))
