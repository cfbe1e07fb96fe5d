"""Networks by the names that `timed.py --architecture` takes, each without or with classes.

| name | parameters | predicts | to a bundle by |
| --- | --- | --- | --- |
| `small` | 3.2 M | v | scripts/export |
| `base` | 12.9 M | v | scripts/export |
| `ddpm-cifar10-32` | 35.7 M | epsilon | scripts/importer, as `google/ddpm-cifar10-32` |

With classes a network takes a label a row; the last label stands for none, and training puts it in the place of one
label in ten, so that the network can be guided without a classifier (Ho & Salimans 2022, arXiv:2207.12598).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from ddpm_cifar10_32 import CONFIG, Ddpm
from recipe import Diffusion
from torch import Tensor, nn
from unet import Config, UNet

# Share of labels that training replaces by "none".
NO_LABEL = 0.1


@dataclass(frozen=True)
class Batch:
    """Clean images, noise, times, and labels where the network has classes."""

    x_0: Tensor
    epsilon: Tensor
    timestep: Tensor
    label: Tensor | None


@dataclass(frozen=True)
class Architecture:
    """How a network is made, and what its output is."""

    build: Callable[[int | None, float], nn.Module]  # classes or None, rate of dropout
    predicts: str  # "v" or "epsilon"

    def loss(self, diffusion: Diffusion, out: Tensor, batch: Batch, v: Tensor) -> Tensor:
        """Mean weighted square over the batch: the recipe's weights in v, the paper's own unit weights in epsilon."""
        if self.predicts == "epsilon":
            return (out.float() - batch.epsilon).square().mean()
        error = (out.float() - v).square().mean(dim=(1, 2, 3))
        return (diffusion.weight[batch.timestep] * error).mean()

    def epsilon(self, diffusion: Diffusion, out: Tensor, x_t: Tensor, timestep: Tensor) -> Tensor:
        """The noise that the network's output says is in x_t."""
        if self.predicts == "epsilon":
            return out.float()
        return diffusion.at(diffusion.a, timestep) * out.float() + diffusion.at(diffusion.s, timestep) * x_t


def _unet(config: Config) -> Callable[[int | None, float], nn.Module]:
    return lambda n_classes, dropout: UNet(replace(config, n_classes=n_classes, dropout=dropout))


def _ddpm(n_classes: int | None, dropout: float) -> nn.Module:
    return Ddpm(None if n_classes is None else n_classes + 1, dropout)


ARCHITECTURES = {
    "small": Architecture(_unet(Config()), "v"),
    "base": Architecture(_unet(Config(width=128, n_groups=32)), "v"),
    "ddpm-cifar10-32": Architecture(_ddpm, "epsilon"),
}


def metadata(model: nn.Module) -> dict[str, str]:
    """What a safetensors file of its weights says beside them."""
    if isinstance(model, UNet):
        return {"format": "dubench-ddpm-small 1", "config": json.dumps(model.config.as_dict())}
    return {"format": "diffusers UNet2DModel", "config": json.dumps({**CONFIG, "num_class_embeds": model.n_labels})}


def some_without_label(label: Tensor, n_classes: int) -> Tensor:
    """Labels of a batch, one in ten replaced by "none"."""
    return torch.where(torch.rand(label.shape, device=label.device) < NO_LABEL, n_classes, label)
