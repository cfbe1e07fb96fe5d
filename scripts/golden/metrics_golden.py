"""Golden values for the metrics package, from other tools.

Every value comes from a published tool, or from a definition written out in NumPy without any of our code; each
file names the tool and its version. Run from the root of the repository:

    python -m venv .venv-golden
    .venv-golden/bin/pip install -r scripts/golden/requirements.txt
    .venv-golden/bin/pip install --no-deps -r scripts/golden/requirements-no-deps.txt
    .venv-golden/bin/python scripts/golden/metrics_golden.py --out metrics/tests/data

The numbers are a fixed function of the seeds below; a new version of a tool may move last digits.
"""

import argparse
import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np

SEED = 20261124


def versions(*packages: str) -> dict[str, str]:
    """Versions of the tools that a file rests on."""
    return {name: importlib.metadata.version(name) for name in packages}


def short(array: np.ndarray, digits: int = 4) -> list:
    """Values with few digits, so that files stay small and inputs are exact in JSON."""
    return np.round(np.asarray(array, dtype=np.float64), digits).tolist()


def features(rng: np.random.Generator, n: int, d: int, shift: float = 0.0) -> np.ndarray:
    """Correlated rows, f64, four decimals."""
    mix = rng.normal(size=(d, d)) / np.sqrt(d) + np.eye(d)
    return np.round(rng.normal(size=(n, d)) @ mix + shift, 4)


def frechet() -> dict:
    """pytorch-fid's distance, and the nuclear norm where covariances have no full rank."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    rng = np.random.default_rng(SEED)
    cases = []
    for n_a, n_b, d in [(40, 50, 6), (300, 12, 8), (5, 30, 9), (4, 6, 10)]:
        a, b = features(rng, n_a, d), features(rng, n_b, d, 0.3)
        mu_a, mu_b = a.mean(0), b.mean(0)
        s_a, s_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
        y_a = (a - mu_a) / np.sqrt(n_a - 1)
        y_b = (b - mu_b) / np.sqrt(n_b - 1)
        nuclear = np.linalg.svd(y_a @ y_b.T, compute_uv=False).sum()
        by_nuclear = float(((mu_a - mu_b) ** 2).sum() + np.trace(s_a) + np.trace(s_b) - 2 * nuclear)
        full_rank = min(n_a, n_b) > d
        pytorch_fid = float(calculate_frechet_distance(mu_a, s_a, mu_b, s_b)) if full_rank else None
        cases.append({"a": a.tolist(), "b": b.tolist(), "nuclear": by_nuclear, "pytorch_fid": pytorch_fid})
    return {"tools": versions("pytorch-fid", "scipy", "numpy"), "cases": cases}


def kid() -> dict:
    """torch-fidelity's KID (f32 kernel) and RandomState streams."""
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    rng = np.random.default_rng(SEED + 1)
    fake, real = features(rng, 60, 8, 0.2), features(rng, 50, 8)
    result = kid_features_to_metric(
        torch.from_numpy(fake),
        torch.from_numpy(real),
        kid_subsets=20,
        kid_subset_size=30,
        kid_degree=3,
        kid_gamma=None,
        kid_coef0=1,
        rng_seed=2020,
        verbose=False,
    )
    state = np.random.RandomState(2020)
    return {
        "tools": versions("torch-fidelity", "numpy"),
        "fake": fake.tolist(),
        "real": real.tolist(),
        "subsets": 20,
        "subset_size": 30,
        "seed": 2020,
        "kid": result["kernel_inception_distance_mean"],
        "sd": result["kernel_inception_distance_std"],
        "permutation_23": state.permutation(23).tolist(),
        "choice_1500_7": state.choice(1500, 7, replace=False).tolist(),
    }


def weyl(n: int, d: int, shift: float) -> np.ndarray:
    """Rows that a test makes again from the formula alone: no two are equal, and every bit is fixed by IEEE 754."""
    return np.modf(np.arange(1, n + 1)[:, None] * np.sqrt(np.arange(2, d + 2)))[0] + shift


def kid_defaults() -> dict:
    """torch-fidelity at its defaults (100 subsets of 1000, seed 2020), on sets that are no multiple of a block."""
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    cases = []
    for n_fake, n_real, d, shift in [(1300, 1500, 200, 0.02), (1100, 1237, 2048, 0.01), (2600, 1000, 3, 0.1)]:
        fake, real = weyl(n_fake, d, shift), weyl(n_real, d, 0.0)
        # In f64, so that the value is right to rounding and not to the 6 digits of its f32 kernel.
        found = kid_features_to_metric(
            torch.from_numpy(fake),
            torch.from_numpy(real),
            kid_subsets=100,
            kid_subset_size=1000,
            kid_degree=3,
            kid_gamma=None,
            kid_coef0=1,
            rng_seed=2020,
            verbose=False,
        )
        cases.append({
            "n_fake": n_fake,
            "n_real": n_real,
            "d": d,
            "shift": shift,
            "kid": found["kernel_inception_distance_mean"],
            "sd": found["kernel_inception_distance_std"],
        })
    return {"tools": versions("torch-fidelity", "torch", "numpy"), "cases": cases}


def inception_score() -> dict:
    """torch-fidelity's Inception Score with its shuffle."""
    import torch
    from torch_fidelity.metric_isc import isc_features_to_metric

    rng = np.random.default_rng(SEED + 2)
    logits = np.round(2 * rng.normal(size=(57, 6)), 3)
    result = isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=True, rng_seed=2020)
    return {
        "tools": versions("torch-fidelity"),
        "logits": logits.tolist(),
        "mean": result["inception_score_mean"],
        "sd": result["inception_score_std"],
    }


def closed_manifold(fake: np.ndarray, real: np.ndarray, k: int) -> dict[str, float]:
    """Precision and recall with `<=`, the rule of guided-diffusion and torch-fidelity, by all distances."""

    def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))

    def radii(x: np.ndarray) -> np.ndarray:
        return np.sort(distances(x, x), axis=1)[:, k]

    between = distances(real, fake)
    return {
        "precision": float((between <= radii(real)[:, None]).any(0).mean()),
        "recall": float((between <= radii(fake)[None]).any(1).mean()),
    }


def prdc() -> dict:
    """prdc's four numbers, and closed balls on a grid, where many distances are equal."""
    from prdc import compute_prdc

    rng = np.random.default_rng(SEED + 3)
    fake, real = features(rng, 90, 5, 0.4), features(rng, 110, 5)
    grid_fake = rng.integers(0, 5, size=(40, 2)).astype(float)
    grid_real = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2)
    return {
        "tools": versions("prdc", "numpy"),
        "fake": fake.tolist(),
        "real": real.tolist(),
        "k": 5,
        "prdc": {key: float(v) for key, v in compute_prdc(real, fake, 5).items()},
        "grid_fake": grid_fake.tolist(),
        "grid_real": grid_real.tolist(),
        "grid_closed": closed_manifold(grid_fake, grid_real, 3),
        "grid_open": {key: float(v) for key, v in compute_prdc(grid_real, grid_fake, 3).items()},
    }


def half_distances(x: np.ndarray, y: np.ndarray, sums: type) -> np.ndarray:
    """Squared distances as guided-diffusion asks TensorFlow for them: f16 values, every result f16. In which precision
    the sums of products run is up to the device: `sums`."""
    x, y = x.astype(np.float16), y.astype(np.float16)

    def products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        total = np.zeros(np.broadcast_shapes(a.shape[:-1], b.shape[:-1]), sums)
        for k in range(a.shape[-1]):
            total = (total + a[..., k].astype(sums) * b[..., k].astype(sums)).astype(sums)
        return total.astype(np.float16)

    norms_x, norms_y = products(x, x), products(y, y)
    distances = norms_x[:, None] - np.float16(2) * products(x[:, None], y[None]) + norms_y[None]
    return np.maximum(distances, np.float16(0)).astype(np.float64)


def adm_f16() -> dict:
    """guided-diffusion's precision and recall in half precision beside those of all distances in f64."""
    rng = np.random.default_rng(SEED + 16)
    # Non-negative and about 500 in squared norm, as pool3 features are.
    fake, real = (np.round(rng.gamma(2.0, scale, size=(120, 32)), 3) for scale in (1.6, 1.5))

    def by(sums: type) -> dict[str, float]:
        def radii(x: np.ndarray) -> np.ndarray:
            return np.sort(half_distances(x, x, sums), axis=1)[:, 3]

        between = half_distances(real, fake, sums)
        return {
            "precision": float((between <= radii(real)[:, None]).any(0).mean()),
            "recall": float((between <= radii(fake)[None]).any(1).mean()),
        }

    return {
        "tools": versions("numpy"),
        "fake": fake.tolist(),
        "real": real.tolist(),
        "exact": closed_manifold(fake, real, 3),
        "f16_f32_sums": by(np.float32),
        "f16_f16_sums": by(np.float16),
    }


def rank() -> dict:
    """SciPy's Spearman and Kendall on values with ties."""
    from scipy import stats

    rng = np.random.default_rng(SEED + 4)
    x = rng.integers(0, 12, size=40)
    y = np.round(x + 4 * rng.normal(size=40))
    return {
        "tools": versions("scipy"),
        "x": x.tolist(),
        "y": y.tolist(),
        "spearman": float(stats.spearmanr(x, y).statistic),
        "kendall": float(stats.kendalltau(x, y).statistic),
    }


def percentile_area(keys: np.ndarray, squared: np.ndarray, intervals: int) -> tuple[float, list[float]]:
    """Area of mono-uncertainty's curve: NumPy percentiles of `keys`, keep at or above, append 0, trapezoid."""
    thresholds = [np.percentile(keys, 100 * k / intervals) for k in range(intervals)]
    curve = [float(np.sqrt(squared[keys >= t].mean())) for t in thresholds] + [0.0]
    return float(np.trapezoid(curve, dx=1 / intervals)), curve


def mean_of_kept(order: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Mean error of the first i + 1 of an order."""
    return np.cumsum(error[order]) / np.arange(1, len(error) + 1)


def torch_uncertainty_ause(error: np.ndarray, uncertainty: np.ndarray) -> float:
    """AUSE as torch-uncertainty computes it: its own class, from its file (the package's front imports Lightning)."""
    import importlib.util

    import torch

    name = "torch_uncertainty/metrics/sparsification.py"
    file = next(file for file in importlib.metadata.files("torch-uncertainty") or [] if str(file) == name)
    spec = importlib.util.spec_from_file_location("torch_uncertainty_sparsification", file.locate())
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    metric = module.AUSE()
    metric.update(torch.from_numpy(uncertainty), torch.from_numpy(error))
    return float(metric.compute())


def sparsification() -> dict:
    """torch-uncertainty itself, and definitions in NumPy: its curve with equal values in their order, mono-uncertainty's
    percentiles, the exact area."""
    rng = np.random.default_rng(SEED + 5)
    error = np.round(3 * rng.normal(size=(4, 60)), 3)
    noise = np.round(np.abs(error) + 2 * rng.random(size=error.shape), 3)
    tied = np.round(noise)
    cases = {}
    # The tool leaves the order of equal values open, so its own class is asked where there are none.
    unique = np.round(noise + 1e-6 * np.arange(noise.size).reshape(noise.shape), 6)
    for name, uncertainty in [("distinct", noise), ("tied", tied), ("unique", unique)]:
        e, u = error.ravel(), uncertainty.ravel()
        squared, rmse = e**2, float(np.sqrt((e**2).mean()))
        method, _ = percentile_area(-u, squared, 50)
        oracle, _ = percentile_area(-squared, squared, 50)
        by_u, by_e = np.argsort(u, kind="stable"), np.argsort(np.abs(e), kind="stable")
        torch_method = mean_of_kept(by_u, np.abs(e))[::-1] / np.abs(e).mean()
        torch_oracle = mean_of_kept(by_e, np.abs(e))[::-1] / np.abs(e).mean()
        by_definition = float(np.trapezoid(torch_method - torch_oracle, dx=1 / len(e)))
        # Ties at their mean: the average of the squared error over equal uncertainties.
        levelled = squared.copy()
        for value in np.unique(u):
            levelled[u == value] = squared[u == value].mean()
        exact_method = np.sqrt(mean_of_kept(by_u, levelled)).mean()
        exact_oracle = np.sqrt(mean_of_kept(by_e, squared)).mean()
        cases[name] = {
            "uncertainty": uncertainty.tolist(),
            "mono": {"ause": method - oracle, "aurg": rmse - method},
            "torch_ause": torch_uncertainty_ause(np.abs(e), u) if name == "unique" else by_definition,
            "exact": {"ause": float(exact_method - exact_oracle), "aurg": float(rmse - exact_method)},
        }
    tools = versions("numpy", "torch", "torch-uncertainty")
    return {"tools": tools, "error": error.tolist(), "rmse": rmse, "cases": cases}


def adm_crop(image: np.ndarray, size: int) -> np.ndarray:
    """guided-diffusion's centre crop, with Pillow doing the resizing."""
    from PIL import Image

    picture = Image.fromarray(image)
    while min(picture.size) >= 2 * size:
        picture = picture.resize(tuple(side // 2 for side in picture.size), resample=Image.BOX)
    scale = size / min(picture.size)
    picture = picture.resize(tuple(round(side * scale) for side in picture.size), resample=Image.BICUBIC)
    array = np.array(picture)
    top, left = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
    return array[top : top + size, left : left + size]


def resize_plane() -> dict:
    """Torch, Pillow and torch-fidelity on one small image at several sizes (height, width)."""
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    rng = np.random.default_rng(SEED + 6)
    image = rng.integers(0, 256, size=(9, 12, 3), dtype=np.uint8)
    plane = torch.from_numpy(image[..., 0].astype(np.float32))[None, None]
    filters = {"box": Image.BOX, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
    cases = []
    for height, width in [(20, 17), (5, 7), (9, 30), (4, 12), (3, 2)]:
        size = (height, width)
        case = {
            "to": size,
            "torch": F.interpolate(plane, size, mode="bilinear", align_corners=False)[0, 0].tolist(),
            "torch_antialias": F.interpolate(
                plane, size, mode="bilinear", align_corners=False, antialias=True
            )[0, 0].tolist(),
            "tf1": interpolate_bilinear_2d_like_tensorflow1x(plane, size, align_corners=False)[0, 0].tolist(),
        }
        for name, resample in filters.items():
            u8 = Image.fromarray(image).resize((width, height), resample)
            f32 = Image.fromarray(image[..., 0].astype(np.float32), mode="F").resize((width, height), resample)
            case[name] = {"u8": np.array(u8).tolist(), "f32": np.array(f32).tolist()}
        cases.append(case)
    tall = rng.integers(0, 256, size=(45, 31, 3), dtype=np.uint8)
    return {
        "tools": versions("torch", "Pillow", "torch-fidelity"),
        "image": image.tolist(),
        "cases": cases,
        "crop_image": tall.tolist(),
        "crop": {str(size): adm_crop(tall, size).tolist() for size in (8, 20)},
    }


def preprocess() -> dict:
    """What each tool feeds the network, at 300 pixels of a 32 px image and of a 330 x 310 one."""
    import torch
    import torch.nn.functional as F
    from cleanfid.resize import make_resizer
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    rng = np.random.default_rng(SEED + 7)
    cases = []
    for height, width in [(32, 32), (33, 31)]:
        image = rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        at = np.stack([rng.integers(0, bound, size=300) for bound in (3, 299, 299)], 1)
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        small = F.interpolate(batch / 255, (299, 299), mode="bilinear", align_corners=False)
        tf1 = interpolate_bilinear_2d_like_tensorflow1x(batch, (299, 299), align_corners=False)
        clean = make_resizer("PIL", False, "bicubic", (299, 299))(image).clip(0, 255)
        outputs = {
            "pytorch-fid": (2 * small - 1)[0].numpy(),
            "torch-fidelity": ((tf1 - 128) / 128)[0].numpy(),
            "clean-fid": (clean.transpose(2, 0, 1) - np.float32(128)) / np.float32(128),
        }
        picked = {name: out[at[:, 0], at[:, 1], at[:, 2]].tolist() for name, out in outputs.items()}
        cases.append({"image": image.tolist(), "at": at.tolist(), "values": picked})
    return {"tools": versions("torch", "torch-fidelity", "clean-fid", "Pillow"), "cases": cases}


SECTIONS = {
    "frechet": frechet,
    "kid": kid,
    "kid_defaults": kid_defaults,
    "inception_score": inception_score,
    "prdc": prdc,
    "adm_f16": adm_f16,
    "rank": rank,
    "sparsification": sparsification,
    "resize": resize_plane,
    "preprocess": preprocess,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write golden values of the metrics package.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the JSON files")
    parser.add_argument("--only", choices=sorted(SECTIONS), nargs="*", help="write only these files")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only or SECTIONS:
        try:
            content = SECTIONS[name]()
        except ImportError as error:
            print(f"error: {name} needs a package that is missing: {error}", file=sys.stderr)
            return 2
        (args.out / f"{name}.json").write_text(json.dumps(content) + "\n")
        print(f"wrote {args.out / name}.json")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
