"""Fisher information of the last layer of the bundled model by PyTorch autograd, for the test of `dubench fit-laplace`.

    python scripts/golden/laplace.py

Needs torch (see scripts/train/README.md), safetensors, and what scripts/checks/recompute.py imports: times and noise are
drawn by that script, which was written from docs/reimplement.md. Prints the numbers of `the_information_is_that_of_autograd`
in harness/src/stage/laplace/tests.rs. Run it again after the weights have changed.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, safe_open

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "scripts/train"), str(ROOT / "scripts/checks")]
import recompute  # noqa: E402
from unet import Config, UNet  # noqa: E402

WEIGHTS = ROOT / "experiments/models/ddpm-cifar10-small/weights.safetensors"
SEED, N_TIMES, FIT = 3, 1000, 8
PLACES = (0, 3, 6)
SHOWN = (0, 1, 575, 1000, 2345, 3456, 4000, 5000, 6000, 6911, 6912, 6923)


def waves(place: int) -> np.ndarray:
    """Image number `place` of the test, u8 [3, 32, 32]."""
    c, y, x = np.indices((3, 32, 32), dtype=np.float64)
    return (127.5 + 100 * np.sin(place + 0.3 * (c + 1) * x + 0.2 * y)).astype(np.uint8)


def network() -> UNet:
    """The shipped network, in float32."""
    with safe_open(WEIGHTS, "pt") as file:
        config = json.loads(file.metadata()["config"])
    net = UNet(Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}))
    net.load_state_dict(load_file(WEIGHTS))
    return net.float().eval()


def squared_gradient(net: UNet, place: int, alpha_bar: np.ndarray) -> np.ndarray:
    """Squares of the gradient of sum (epsilon_hat(x_t, t) - e)^2 by the last layer, weights before biases."""
    word = recompute.blocks(FIT, place, 0, 0, 1)[0].astype(object)
    t = (word[1] * 2**32 + word[0]) * N_TIMES >> 64
    a, s = np.sqrt(alpha_bar[t]), np.sqrt(1 - alpha_bar[t])
    e = recompute.normals(FIT, place, 0, 1)
    x_0 = (waves(place) / 127.5 - 1).astype(np.float32)
    x_t = torch.from_numpy((a * x_0.astype(np.float64) + s * e).astype(np.float32))[None]
    epsilon = float(a) * net(x_t, torch.tensor([t])) + float(s) * x_t
    loss = ((epsilon - torch.from_numpy(e)) ** 2).sum()
    parts = torch.autograd.grad(loss, [net.out_conv.weight, net.out_conv.bias])
    return np.concatenate([part.double().flatten().numpy() for part in parts]) ** 2


def main() -> None:
    """Print one line a number."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    recompute.SEED = SEED
    alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, N_TIMES))
    net = network()
    information = sum(squared_gradient(net, place, alpha_bar) for place in PLACES) / 2
    for index in SHOWN:
        print(f"({index}, {information[index]:.6g}),")


if __name__ == "__main__":
    main()
