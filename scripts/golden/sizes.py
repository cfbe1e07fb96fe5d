"""Every metric at its defaults on sets of the size that people have, from other tools.

    pip install -r scripts/golden/requirements.txt
    pip install --no-deps -r scripts/golden/requirements-no-deps.txt
    python scripts/golden/sizes.py harness/tests/data/sizes.json

Features are 1237 and 1100 rows of 2048 columns: no multiple of any block, and fewer rows than columns, as most people
have. They are a Weyl sequence, so a test makes them again from the formula alone.
"""

import argparse
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import torch
from prdc import compute_prdc
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric


def weyl(n: int, d: int, shift: float = 0.0) -> np.ndarray:
    """Rows of which no two are equal; every bit is fixed by IEEE 754."""
    return np.modf(np.arange(1, n + 1)[:, None] * np.sqrt(np.arange(2, d + 2)))[0] + shift


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance; the trace term is the nuclear norm of the product of the centred rows."""
    mu_a, mu_b = a.mean(0), b.mean(0)
    y_a, y_b = (a - mu_a) / np.sqrt(len(a) - 1), (b - mu_b) / np.sqrt(len(b) - 1)
    nuclear = np.linalg.svd(y_a @ y_b.T, compute_uv=False).sum()
    return float(((mu_a - mu_b) ** 2).sum() + (y_a**2).sum() + (y_b**2).sum() - 2 * nuclear)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0)


def closed_manifold(fake: np.ndarray, real: np.ndarray, k: int) -> dict[str, float]:
    """Improved precision and recall with `<=`: guided-diffusion's rule, in f64."""
    radius = lambda rows: np.sort(distances(rows, rows) + np.diag(np.full(len(rows), -1.0)), 1)[:, k]
    cross = distances(fake, real)
    return {
        "precision": float((cross <= radius(real)[None]).any(1).mean()),
        "recall": float((cross.T <= radius(fake)[None]).any(1).mean()),
    }


def spheres(fake: np.ndarray, real: np.ndarray, k: int) -> dict[str, float]:
    """Realism (arXiv:1904.06991) and rarity (arXiv:2206.08549) by their definitions; the lower of two middle values."""
    middle = lambda values: float(np.sort(values)[(len(values) - 1) // 2])
    beside_real = lambda row: np.sqrt(((row - real) ** 2).sum(1))
    cross = np.array([beside_real(row) for row in fake])
    own = np.array([np.sort(beside_real(row))[k] for row in real])
    small = own <= np.median(own)
    rarity = np.where(cross < own, own, np.inf).min(1)
    return {
        "realism": middle((own[small] / cross[:, small]).max(1)),
        "rarity": middle(rarity[np.isfinite(rarity)]),
        "outside": int(np.isinf(rarity).sum()),
    }


def gaussian_mmd(x: np.ndarray, y: np.ndarray, sigma: float) -> float:
    """Unbiased squared maximum mean discrepancy."""
    kernel = lambda a, b: np.exp(-distances(a, b) / (2 * sigma**2))
    own = lambda a: (kernel(a, a).sum() - len(a)) / (len(a) * (len(a) - 1))
    return float(own(x) + own(y) - 2 * kernel(x, y).mean())


def ause(error: np.ndarray, uncertainty: np.ndarray) -> tuple[float, float]:
    """Mean AUSE and AURG of rows, over every number of pixels kept."""
    n = error.shape[1]

    def area(order: np.ndarray) -> np.ndarray:
        squares = np.take_along_axis(error**2, order, 1)
        return np.sqrt(np.cumsum(squares, 1) / np.arange(1, n + 1)).mean(1)

    by_method = area(np.argsort(uncertainty, 1, kind="stable"))
    by_oracle = area(np.argsort(np.abs(error), 1, kind="stable"))
    chance = np.sqrt((error**2).mean(1))
    return float((by_method - by_oracle).mean()), float((chance - by_method).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    real, fake, other = weyl(1237, 2048), weyl(1100, 2048, 0.01), weyl(1100, 2048, 0.02)
    kid = kid_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real), kid_subsets=100, kid_subset_size=1000,
        kid_degree=3, kid_gamma=None, kid_coef0=1, rng_seed=2020, verbose=False,
    )
    logits = 4 * weyl(2500, 1008)
    isc = isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=True, rng_seed=2020)
    scores = weyl(1100, 1)[:, 0]
    order = np.argsort(scores, kind="stable")
    pair = weyl(1500, 3072)
    areas = ause(pair[:700] - 0.5, pair[800:])
    right = {
        "tools": {
            name: importlib.metadata.version(name) for name in ("numpy", "prdc", "torch", "torch-fidelity")
        },
        "fid": frechet(real, fake),
        "fid_other": frechet(real, other),
        "fid_keep_lowest": frechet(real, fake[order[:300]]),
        "fid_keep_highest": frechet(real, fake[order[-300:]]),
        "kid": kid["kernel_inception_distance_mean"],
        "kid_sd": kid["kernel_inception_distance_std"],
        "mmd_squared": gaussian_mmd(fake, real, 10.0),
        "adm": closed_manifold(fake, real, 3),
        "spheres": spheres(fake, real, 3),
        "prdc": {k: float(v) for k, v in compute_prdc(real, fake, nearest_k=5).items()},
        "is": isc["inception_score_mean"],
        "is_sd": isc["inception_score_std"],
        "ause": areas[0],
        "aurg": areas[1],
    }
    out.write_text(json.dumps(right, indent=1) + "\n")


if __name__ == "__main__":
    main()
