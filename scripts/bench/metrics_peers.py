"""Time the metrics package beside the tools of the field on the same data, after asserting equal results.

Builds nothing: give it the binary of the example `metrics_bench` of the metrics package.

    cargo build --release -p dubench-metrics --example metrics_bench
    pip install numpy scipy pillow torch && pip install --no-deps torch-fidelity==0.3.0
    python scripts/bench/metrics_peers.py --binary target/release/examples/metrics_bench \
        --size full --out results/bench-metrics

Writes table.json and table.md. Resizes run on one core, all else on `--threads`. Needs a quiet machine; the load is
written beside the numbers.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
if __name__ == "__main__" and "--threads" in sys.argv[:-1]:
    # Read by the libraries when they are loaded.
    os.environ.update(dict.fromkeys(THREADS, sys.argv[sys.argv.index("--threads") + 1]))

import numpy as np  # noqa: E402
from scipy import linalg  # noqa: E402

SIZES = {
    "small": {"rows": 4096, "dim": 512, "pool": 6144, "draws": 4, "neighbours": 2048, "crowd": 4096, "images": 160},
    "full": {"rows": 50_000, "dim": 2048, "pool": 60_000, "draws": 6, "neighbours": 10_000, "crowd": 50_000, "images": 5000},
}
PIXELS = 3 * 64 * 64
PERMUTATIONS = 200
MASK = (1 << 64) - 1


def mixed(z: int) -> int:
    """The mixing function of SplitMix64."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform(seed: int, count: int) -> np.ndarray:
    """Uniform f32 numbers of a seed and a counter, the same as in the Rust example."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def features(seed: int, n: int, d: int) -> np.ndarray:
    """Features with falling variances."""
    scale = np.float32(1) + np.arange(d, dtype=np.float32) / np.float32(64)
    return uniform(seed, n * d).reshape(n, d) / scale


def subset(index: int, n: int, k: int) -> np.ndarray:
    """The k of n rows that the metrics package draws for a seed of 0: the start of a Fisher-Yates shuffle."""
    step = 0x9E3779B97F4A7C15
    state = mixed(step) ^ ((index * 0xD1342543DE82EF95) & MASK)
    state = mixed((state + step) & MASK)
    order = list(range(n))
    for i in range(k):
        bound = n - i
        while True:
            state = (state + step) & MASK
            word = mixed(state)
            if word < MASK - MASK % bound:
                break
        j = i + word % bound
        order[i], order[j] = order[j], order[i]
    return np.sort(order[:k])


def statistics(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance in f64."""
    return rows.mean(0, dtype=np.float64), np.cov(rows, rowvar=False)


def frechet(real: tuple, fake: tuple, root_trace: Callable[[np.ndarray, np.ndarray], float]) -> float:
    """The Fréchet distance with a given way to the trace of the root."""
    (mu_a, s_a), (mu_b, s_b) = real, fake
    return float(((mu_a - mu_b) ** 2).sum() + np.trace(s_a) + np.trace(s_b) - 2 * root_trace(s_a, s_b))


def sqrtm_trace(a: np.ndarray, b: np.ndarray) -> float:
    """pytorch-fid, clean-fid and guided-diffusion."""
    return float(np.trace(linalg.sqrtm(a @ b)).real)


def eigvals_trace(a: np.ndarray, b: np.ndarray) -> float:
    """torch-fidelity and torchmetrics."""
    return float(np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum())


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By one product in f32, as blocked implementations do."""
    d = a @ b.T
    d *= -2
    d += (a * a).sum(1)[:, None]
    d += (b * b).sum(1)[None]
    return d


def overlap(fake: np.ndarray, real: np.ndarray, k: int = 5, block: int = 1024) -> list[float]:
    """prdc's four numbers without a whole matrix of distances."""

    def radii(rows: np.ndarray) -> np.ndarray:
        parts = [squared_distances(rows[i : i + block], rows) for i in range(0, len(rows), block)]
        return np.concatenate([np.partition(part, k, axis=1)[:, k] for part in parts])

    real_radii, fake_radii = radii(real), radii(fake)
    balls, recalled, covered = np.zeros(len(fake), int), [], []
    for i in range(0, len(real), block):
        d = squared_distances(real[i : i + block], fake)
        inside = d < real_radii[i : i + block, None]
        balls += inside.sum(0)
        recalled.append((d < fake_radii).any(1))
        covered.append(inside.any(1))
    recall, coverage = np.concatenate(recalled).mean(), np.concatenate(covered).mean()
    return [float((balls > 0).mean()), float(recall), float(balls.mean() / k), float(coverage)]


def percentile_areas(error: np.ndarray, uncertainty: np.ndarray, intervals: int = 50) -> list[float]:
    """mono-uncertainty: masks at percentile thresholds. AUSE and AURG."""
    squared = error.astype(np.float64) ** 2

    def area(keys: np.ndarray) -> float:
        thresholds = [np.percentile(keys, 100 * k / intervals) for k in range(intervals)]
        curve = [np.sqrt(squared[keys >= t].mean()) for t in thresholds] + [0.0]
        return float(np.trapezoid(curve, dx=1 / intervals))

    method = area(-uncertainty.astype(np.float64))
    return [method - area(-squared), float(np.sqrt(squared.mean())) - method]


def network_inputs(side: int) -> dict[str, tuple[str, Callable[[], np.ndarray]]]:
    """For each preprocessing: the tool, and what makes the network's input of 64 images."""
    import torch
    from PIL import Image
    from torch.nn.functional import interpolate
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    torch.set_num_threads(1)
    i, y, x, c = np.ix_(range(64), range(side), range(side), range(3))
    images = ((i * 31 + y * 7 + x * 13 + c * 101) % 256).astype(np.uint8)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)

    def pytorch_fid() -> np.ndarray:
        unit = batch.float() / 255
        return (2 * interpolate(unit, (299, 299), mode="bilinear", align_corners=False) - 1).numpy()

    def torch_fidelity() -> np.ndarray:
        resized = interpolate_bilinear_2d_like_tensorflow1x(batch.float(), (299, 299), align_corners=False)
        return ((resized - 128) / 128).numpy()

    def clean_fid() -> np.ndarray:
        out = np.empty((64, 3, 299, 299), np.float32)
        for n in range(64):
            for channel in range(3):
                plane = Image.fromarray(images[n, ..., channel].astype(np.float32))
                out[n, channel] = np.asarray(plane.resize((299, 299), Image.BICUBIC))
        return (out.clip(0, 255) - 128) / 128

    return {
        "pytorch-fid": ("torch interpolate", pytorch_fid),
        "torch-fidelity": ("torch-fidelity TF1 resize", torch_fidelity),
        "clean-fid": ("Pillow bicubic", clean_fid),
    }


def timed(function: Callable[[], object]) -> tuple[float, float, object]:
    """Seconds, processor seconds, result."""
    wall, processor = time.perf_counter(), time.process_time()
    result = function()
    return time.perf_counter() - wall, time.process_time() - processor, result


class Table:
    """Rows of the table: our case beside a peer, asserted equal first."""

    def __init__(self, binary: Path, size: dict[str, int]) -> None:
        self.binary, self.size, self.rows = binary, size, []

    def ours(self, case: str, threads: str | None = None, **changed: int) -> dict[str, dict]:
        """Runs one case of the Rust example."""
        arguments = [f"--{key}={value}".split("=") for key, value in {**self.size, **changed}.items()]
        command = [str(self.binary), case, *(part for pair in arguments for part in pair)]
        environment = {**os.environ, "RAYON_NUM_THREADS": threads} if threads else None
        out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        return {row["name"]: row for row in map(json.loads, out.splitlines())}

    def add(self, case: str, own: dict, peer: str, theirs: tuple[float, float], target: str, hit: bool) -> None:
        """One row. `theirs`: seconds and processor seconds."""
        row = {"case": case, "peer": peer, "target": target, "hit": bool(hit)}
        row |= {"seconds": own["seconds"], "processor_seconds": own["processor_seconds"]}
        row |= {"peer_seconds": theirs[0], "peer_processor_seconds": theirs[1], "ratio": theirs[0] / own["seconds"]}
        self.rows.append(row)
        print(f"{case:28} {row['seconds']:8.3f} s  {peer:28} {theirs[0]:8.3f} s  x{row['ratio']:.2f}", file=sys.stderr)


def same(case: str, ours: list[float], theirs: list[float], relative: float, absolute: float = 0.0) -> None:
    """Refuses to time what is not equal."""
    if not np.allclose(ours, theirs, rtol=relative, atol=absolute):
        sys.exit(f"error: {case}: ours {ours}, peer {theirs}: a time for another result means nothing")


def bench_moments(table: Table) -> None:
    own = table.ours("moments")["moments"]
    fake = features(2, table.size["rows"], table.size["dim"])
    *times, covariance = timed(lambda: np.cov(fake, rowvar=False))
    same("moments", own["values"], [np.trace(covariance), (covariance**2).sum()], 1e-10)
    hit = times[0] >= 1.5 * own["seconds"] and own["megabytes"] <= 200
    table.add(f"moments, {own['megabytes']:.0f} MB", own, "numpy.cov", times, ">= 1.5x, <= 200 MB", hit)


def bench_frechet(table: Table) -> None:
    own = table.ours("frechet")["frechet"]
    real, fake = (statistics(features(seed, table.size["rows"], table.size["dim"])) for seed in (1, 2))
    for peer, trace, least in [("SciPy sqrtm", sqrtm_trace, 8), ("NumPy eigvals", eigvals_trace, 2.5)]:
        *times, value = timed(lambda trace=trace: frechet(real, fake, trace))
        same("frechet", own["values"], [value], 1e-8)
        hit = times[0] >= least * own["seconds"] and own["processor_seconds"] <= 1.5
        table.add("frechet", own, peer, times, f">= {least}x, <= 1.5 CPU s", hit)


def bench_filter(table: Table) -> None:
    own = table.ours("filter")["filter"]
    pool, dim = table.size["pool"], table.size["dim"]
    real, fake = statistics(features(1, 2 * dim, dim)), features(2, pool, dim)
    kept = [subset(index, pool, pool * 5 // 6) for index in (0, 1)]
    *times, value = timed(lambda: frechet(real, statistics(fake[kept[0]]), eigvals_trace))
    second = frechet(real, statistics(fake[kept[1]]), eigvals_trace)
    same("filter", own["values"], [value, second], 1e-8)
    each = {key: own[key] / table.size["draws"] for key in ("seconds", "processor_seconds")}
    minutes = each["seconds"] * PERMUTATIONS / 60
    case = f"one permutation FID ({PERMUTATIONS}: {minutes:.1f} min)"
    table.add(case, each, "numpy.cov + eigvals", times, f"{PERMUTATIONS} in <= 10 min", minutes <= 10)


def bench_overlap(table: Table) -> None:
    own = table.ours("overlap")["overlap"]
    theirs = overlap_peer(own, table.size["neighbours"], table.size["dim"])
    table.add("precision, recall, ..", own, "NumPy in blocks", theirs, ">= 1.5x", theirs[0] >= 1.5 * own["seconds"])


def bench_crowd(table: Table) -> None:
    """The size of a full evaluation. torch-fidelity, prdc and dgm-eval hold one or three matrices of n x n numbers, 10 GB
    each in f32, so the only peer is NumPy in blocks."""
    own = table.ours("crowd")["crowd"]
    n = table.size["crowd"]
    theirs = overlap_peer(own, n, table.size["dim"])
    peak = own["peak_megabytes"]
    hit = theirs[0] >= 1.5 * own["seconds"] and peak <= 2000
    case = f"precision, recall, .. of {n} and {n}, {peak:.0f} MB with both inputs"
    table.add(case, own, "NumPy in blocks", theirs, ">= 1.5x, <= 2 GB", hit)


def overlap_peer(own: dict, n: int, dim: int) -> tuple[float, float]:
    """Seconds and processor seconds of the blocked version, whose results must be ours."""
    fake, real = features(2, n, dim), features(1, n, dim)
    *times, values = timed(lambda: overlap(fake, real))
    # f32 distances decide a few points on the rim otherwise than exact ones.
    same("overlap", own["values"], values, 0, 5 / n)
    return times[0], times[1]


def bench_ause(table: Table) -> None:
    ours = table.ours("ause")
    count = table.size["images"] * PIXELS
    error, noise = (uniform(seed, count) - np.float32(0.5) for seed in (3, 4))
    *times, values = timed(lambda: percentile_areas(error, noise))
    same("ause", ours["ause_percentiles"]["values"], values, 1e-9)
    for name, case in [("ause_percentiles", "AUSE, percentiles + SE"), ("ause_exact", "AUSE, exact + SE")]:
        hit = times[0] >= 10 * ours[name]["seconds"]
        table.add(case, ours[name], "NumPy, 50 percentiles", times, ">= 10x", hit)


def bench_resize(table: Table) -> None:
    ours = table.ours("resize", threads="1")
    for side in (32, 256):
        for name, (peer, make) in network_inputs(side).items():
            values = make()
            squares = float((values.astype(np.float64) ** 2).sum())
            same(name, ours[f"resize_{name}_{side}_values"]["values"], [squares], 1e-9)
            *times, _ = timed(lambda make=make: [make() for _ in range(4)])
            own = ours[f"resize_{name}_{side}"]
            hit = times[0] >= 2 * own["seconds"]
            table.add(f"{name}, {side} to 299, 256 images", own, peer, times, ">= 2x, one core", hit)


CASES = {
    "moments": bench_moments,
    "frechet": bench_frechet,
    "filter": bench_filter,
    "overlap": bench_overlap,
    "crowd": bench_crowd,
    "ause": bench_ause,
    "resize": bench_resize,
}


def processor_name() -> str:
    """What /proc calls the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def context(args: argparse.Namespace) -> dict:
    """Machine, versions, arguments."""
    found = {}
    for package in ("numpy", "scipy", "torch", "pillow", "torch-fidelity"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": args.threads,
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": found,
        "revision": revision.stdout.strip(),
        "size": {args.size: SIZES[args.size]},
    }


def markdown(about: dict, rows: list[dict]) -> str:
    """The table for people."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    lines = [
        "# Metrics beside their peers",
        "",
        f"{about['processor']}, {about['cores']} cores, {about['threads']} threads, load {about['load_before']} before "
        f"the run; {versions}, Python {about['python']}; revision {about['revision']}; "
        f"size {json.dumps(about['size'])}.",
        "Results were asserted equal before they were timed: `scripts/bench/metrics_peers.py`.",
        "",
        "| case | ours, s | CPU s | peer | s | CPU s | ratio | target | |",
        "|---|---:|---:|---|---:|---:|---:|---|---|",
    ]
    for r in rows:
        verdict = "hit" if r["hit"] else "**miss**"
        lines.append(
            f"| {r['case']} | {r['seconds']:.3f} | {r['processor_seconds']:.2f} | {r['peer']} | {r['peer_seconds']:.3f} "
            f"| {r['peer_processor_seconds']:.2f} | {r['ratio']:.2f} | {r['target']} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the metrics package beside its peers.")
    parser.add_argument("--binary", type=Path, required=True, help="the built example metrics_bench")
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--threads", default=str(os.cpu_count()), help="threads of both sides (default: all cores)")
    parser.add_argument("--only", choices=sorted(CASES), nargs="*", help="run only these cases")
    parser.add_argument("--out", type=Path, help="folder of table.json and table.md")
    args = parser.parse_args()
    if not args.binary.is_file():
        print(f"error: {args.binary} is not a file: build the example metrics_bench first", file=sys.stderr)
        return 2
    about = context(args)
    table = Table(args.binary, SIZES[args.size])
    for name in args.only or CASES:
        try:
            CASES[name](table)
        except ImportError as error:
            print(f"error: {name} needs a package that is missing: {error}; or leave it out by --only", file=sys.stderr)
            return 2
    text = markdown(about, table.rows)
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "table.json").write_text(json.dumps({"context": about, "rows": table.rows}, indent=1) + "\n")
        (args.out / "table.md").write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
