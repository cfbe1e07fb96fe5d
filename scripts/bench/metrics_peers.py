"""Time the metrics package beside NumPy, SciPy and scikit-learn on the same data, after comparing the values.

Builds nothing: give it the binary of the example `metrics_bench` of the metrics package.

    cargo build -p dubench-metrics --example metrics_bench
    python scripts/bench/metrics_peers.py --binary target/debug/examples/metrics_bench \
        --dim 512 --rows 4096 --out results/bench-metrics/table.json

Both sides use the threads that the environment allows: set OMP_NUM_THREADS and RAYON_NUM_THREADS to the same number.
Run it on a quiet machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from scipy import linalg


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


def frechet(stats: tuple, root_trace: Callable[[np.ndarray, np.ndarray], float]) -> float:
    """The Fréchet distance with a given way to the trace of the root."""
    mu_a, s_a, mu_b, s_b = stats
    return float(((mu_a - mu_b) ** 2).sum() + np.trace(s_a) + np.trace(s_b) - 2 * root_trace(s_a, s_b))


def sqrtm_trace(a: np.ndarray, b: np.ndarray) -> float:
    """pytorch-fid and guided-diffusion."""
    return float(np.trace(linalg.sqrtm(a @ b)).real)


def eigvals_trace(a: np.ndarray, b: np.ndarray) -> float:
    """torch-fidelity."""
    return float(np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum())


def percentile_ause(error: np.ndarray, uncertainty: np.ndarray, intervals: int = 50) -> float:
    """mono-uncertainty: masks at percentile thresholds."""
    squared = error.astype(np.float64) ** 2

    def area(keys: np.ndarray) -> float:
        thresholds = [np.percentile(keys, 100 * k / intervals) for k in range(intervals)]
        curve = [np.sqrt(squared[keys >= t].mean()) for t in thresholds] + [0.0]
        return float(np.trapezoid(curve, dx=1 / intervals))

    return area(-uncertainty.astype(np.float64)) - area(-squared)


def timed(function: Callable[[], float]) -> tuple[float, float]:
    """Seconds and value."""
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def peers(rows: int, dim: int, pixels: int) -> dict[str, list[tuple[str, float, float, float | None]]]:
    """For each case: peer, seconds, value, and how near the values must be (None: another definition)."""
    real, fake = features(1, rows, dim), features(2, rows, dim)
    seconds_cov, covariance = timed(lambda: np.cov(fake, rowvar=False))
    stats = (real.mean(0, dtype=np.float64), np.cov(real, rowvar=False), fake.mean(0, dtype=np.float64), covariance)
    table = {"moments": [("numpy.cov", seconds_cov, float(rows), 0.0)], "frechet": []}
    for name, trace in [("scipy sqrtm", sqrtm_trace), ("numpy eigvals", eigvals_trace)]:
        table["frechet"].append((name, *timed(lambda trace=trace: frechet(stats, trace)), 1e-8))
    error, noise = uniform(3, pixels) - np.float32(0.5), uniform(4, pixels) - np.float32(0.5)
    table["ause_pooled"] = [("numpy, 50 percentiles", *timed(lambda: percentile_ause(error, noise)), None)]
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the metrics package beside its peers.")
    parser.add_argument("--binary", type=Path, required=True, help="the built example metrics_bench")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--pixels", type=int, default=2_000_000)
    parser.add_argument("--out", type=Path, help="JSON file of the table")
    args = parser.parse_args()
    if not args.binary.is_file():
        print(f"error: {args.binary} is not a file: build the example metrics_bench first", file=sys.stderr)
        return 2
    command = [str(args.binary)]
    for name in ("dim", "rows", "pixels"):
        command += [f"--{name}", str(getattr(args, name))]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    ours = {row["name"]: row for row in map(json.loads, lines)}
    table = []
    for case, rivals in peers(args.rows, args.dim, args.pixels).items():
        for peer, seconds, value, tolerance in rivals:
            own = ours[case]
            if tolerance is not None and abs(own["value"] - value) > tolerance * abs(value):
                print(f"error: {case}: ours {own['value']}, {peer} {value}", file=sys.stderr)
                return 1
            table.append({"case": case, "peer": peer, "ours_seconds": own["seconds"], "peer_seconds": seconds})
            print(f"{case:12} {own['seconds']:8.3f} s   {peer:22} {seconds:8.3f} s   x{seconds / own['seconds']:.1f}")
    for name, row in ours.items():
        print(f"{name:24} {row['seconds']:8.3f} s")
    if args.out:
        context = {
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "arguments": {"dim": args.dim, "rows": args.rows, "pixels": args.pixels},
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"context": context, "ours": ours, "peers": table}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
