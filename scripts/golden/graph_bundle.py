"""Gradients and masked outputs of the bundled model by PyTorch autograd, for the tests of the graph passes.

    python scripts/golden/graph_bundle.py

Needs torch (see scripts/train/README.md) and safetensors. Reads weights.safetensors of
experiments/models/ddpm-cifar10-small and writes harness/graph/tests/data/ddpm_cifar10_small.json. Run it again after the
weights have changed: the JSON holds their hash and the test refuses others. Inputs come from a generator that the test repeats, so only samples of the
results are stored. Everything is computed in float64.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, safe_open
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "train"))
from unet import Config, UNet  # noqa: E402

WEIGHTS = ROOT / "experiments" / "models" / "ddpm-cifar10-small" / "weights.safetensors"
GOLDEN = ROOT / "harness" / "graph" / "tests" / "data" / "ddpm_cifar10_small.json"
TIMES, STRIDE, P = [10, 250, 500, 990], 61, 0.5
MASK64 = (1 << 64) - 1


def noise(count: int, seed: int) -> np.ndarray:
    """The generator of harness/graph/src/testing.rs: f32 in (-1, 1)."""
    state = (seed * 0x9E3779B97F4A7C15 + 1) & MASK64
    values = np.empty(count, np.float32)
    for index in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK64
        values[index] = np.float32(state >> 40) / np.float32(1 << 23) - np.float32(1)
    return values


class Masked(nn.Module):
    """Inverted dropout under given masks [n, elements]."""

    def __init__(self, masks: Tensor) -> None:
        super().__init__()
        self.masks = masks

    def forward(self, x: Tensor) -> Tensor:
        return x * self.masks.reshape(x.shape) / (1 - P)


def recorder(sites: list[tuple[nn.Module, int]], owner: nn.Module) -> Callable[..., None]:
    """A hook that notes the elements of one image at a site."""

    def record(_: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
        sites.append((owner, inputs[0][0].numel()))

    return record


def mask_sites(net: UNet, run: Callable[[], Tensor], masks: np.ndarray) -> None:
    """Put the masks of one row after the other, in the order in which the network meets its dropout."""
    sites: list[tuple[nn.Module, int]] = []
    hooks = []
    for module in net.modules():
        if isinstance(getattr(module, "dropout", None), nn.Dropout):
            hooks.append(module.dropout.register_forward_hook(recorder(sites, module)))
    run()
    for hook in hooks:
        hook.remove()
    total = sum(size for _, size in sites)
    rows = torch.from_numpy(masks[: len(TIMES) * total].reshape(len(TIMES), total).astype(np.float64))
    offset = 0
    for owner, size in sites:
        owner.dropout = Masked(rows[:, offset : offset + size])
        offset += size


def sampled(values: Tensor) -> dict:
    """Every STRIDE-th value and the largest."""
    flat = values.detach().flatten()
    return {"values": [float(f"{v:.9g}") for v in flat[::STRIDE].tolist()], "largest": float(flat.abs().max())}


def main() -> int:
    """Write the golden file."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not WEIGHTS.is_file():
        print(f"{WEIGHTS}: missing, train or check out the bundle first", file=sys.stderr)
        return 3
    torch.set_num_threads(1)
    with safe_open(WEIGHTS, "pt") as file:
        config = json.loads(file.metadata()["config"])
    net = UNet(Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}))
    net.load_state_dict(load_file(WEIGHTS))
    net = net.double().eval()
    net.time1.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    alpha_bar = torch.from_numpy(np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000)))
    t = torch.tensor(TIMES)
    a, s = (f(alpha_bar[t])[:, None, None, None] for f in (torch.sqrt, lambda v: torch.sqrt(1 - v)))
    shape = (len(TIMES), 3, 32, 32)
    x = torch.from_numpy(noise(4 * 3 * 32 * 32, 1).reshape(shape)).double().requires_grad_()
    v = torch.from_numpy(noise(4 * 3 * 32 * 32, 2).reshape(shape)).double()

    def epsilon() -> Tensor:
        return a * net(x, t) + s * x

    eps = epsilon()
    (jtv,) = torch.autograd.grad(eps, x, v)
    variance = epsilon().var(dim=0, unbiased=True)
    (by_row,) = torch.autograd.grad(variance.sum(), x)
    arrays = {"eps": eps, "jtv": jtv, "variance": variance, "gradient": by_row.sum(dim=0)}
    with torch.no_grad():
        mask_sites(net, epsilon, (noise(4 * 100_000, 3) > 0).astype(np.uint8))
        arrays["eps_masked"] = epsilon()
    document = {
        "tool": f"torch {torch.__version__} autograd, float64",
        "weights_sha256": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest(),
        "times": TIMES,
        "stride": STRIDE,
        "keep_scale": 1 / (1 - P),
        "arrays": {name: sampled(array) for name, array in arrays.items()},
    }
    GOLDEN.write_text(json.dumps(document, separators=(",", ":")) + "\n")
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
