"""Is the network the slow part of `dubench generate`, and what would a plain Python loop take for the same calls?

    cargo build -p dubench
    python scripts/bench/generate_peer.py --binary target/debug/dubench --out results/bench-generate

Needs numpy and onnxruntime of the version that the binary loads. Both sides make the same number of images of
experiments/table1-cifar10.yaml: 50 DDIM steps, 4 x 5 re-noised states, 10 x 5 dropout masks, 120 evaluations an image in
calls of 16 rows. They take turns, and the best of `--repeats` counts, so that other work on the machine hits both.
Run it on a quiet machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENT = ROOT / "experiments" / "table1-cifar10.yaml"
BUNDLE = ROOT / "experiments" / "models" / "ddpm-cifar10-small"
N_STEPS, BATCH, BLOCK = 50, 16, 64
PERTURBED, N_DRAWS = range(45, 49), 5
DROPPED, P = range(40, 50), 0.5


class PlainLoop:
    """What one writes in an afternoon: NumPy around two sessions that use all cores."""

    def __init__(self, folder: Path, binary: Path) -> None:
        dropout = folder / "dropout.onnx"
        command = [binary, "graph", "dropout", BUNDLE / "denoiser_train.onnx", "-o", dropout]
        subprocess.run(command, check=True, capture_output=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        open_session = lambda path: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.plain, self.dropout = open_session(BUNDLE / "denoiser.onnx"), open_session(dropout)
        self.mask_len = self.dropout.get_inputs()[2].shape[1]
        self.alpha_bar = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
        self.network = 0.0

    def call(self, x: np.ndarray, t: int, masks: np.ndarray | None = None) -> np.ndarray:
        """Noise predictions of `x`, BATCH rows a call."""
        out = []
        for at in range(0, len(x), BATCH):
            feeds = {"sample": x[at : at + BATCH], "timestep": np.full(len(x[at : at + BATCH]), t, np.float32)}
            if masks is not None:
                feeds["masks"] = masks[at : at + BATCH]
            start = time.perf_counter()
            out += (self.plain if masks is None else self.dropout).run(None, feeds)
            self.network += time.perf_counter() - start
        return np.concatenate(out)

    def images(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` images, with the variances that Table 1 needs (computed, then dropped)."""
        x = rng.standard_normal((n, 3, 32, 32), dtype=np.float32)
        for index in range(N_STEPS):
            t = (N_STEPS - 1 - index) * (1000 // N_STEPS)
            a, s = self.scales(t)
            epsilon = self.call(x, t)
            x0 = np.clip((x - s * epsilon) / a, -1, 1)
            if index in PERTURBED:
                noise = rng.standard_normal((N_DRAWS * n, 3, 32, 32), dtype=np.float32)
                self.call(np.tile(a * x0, (N_DRAWS, 1, 1, 1)) + s * noise, t).reshape(N_DRAWS, -1).var(axis=0, ddof=1)
            if index in DROPPED:
                masks = (rng.random((N_DRAWS * n, self.mask_len), dtype=np.float32) >= P).view(np.uint8)
                self.call(np.tile(x, (N_DRAWS, 1, 1, 1)), t, masks).reshape(N_DRAWS, -1).var(axis=0, ddof=1)
            a, s = self.scales(t - 1000 // N_STEPS) if index + 1 < N_STEPS else (np.float32(1), np.float32(0))
            x = a * x0 + s * epsilon
        return np.rint((x.clip(-1, 1) + 1) * 127.5).astype(np.uint8)

    def scales(self, t: int) -> tuple[np.float32, np.float32]:
        """a_t and s_t."""
        return np.float32(np.sqrt(self.alpha_bar[t])), np.float32(np.sqrt(1 - self.alpha_bar[t]))

    def measure(self, n_blocks: int) -> dict:
        """Seconds for `n_blocks` blocks of images."""
        rng = np.random.default_rng(0)
        self.network, start = 0.0, time.perf_counter()
        for _ in range(n_blocks * BLOCK // BATCH):
            self.images(BATCH, rng)
        return {"wall": time.perf_counter() - start, "network": self.network, "n_networks": 1}


def dubench(binary: Path, n_blocks: int) -> dict:
    """Seconds of `dubench generate`, opening and checking of the bundle included."""
    with tempfile.TemporaryDirectory() as work:
        command = [binary, "generate", EXPERIMENT, "--scale", "mini", "--batch", str(BATCH)]
        command += ["--work-dir", work, "--limit", str(n_blocks), "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 4:  # blocks are left, on purpose
        sys.exit(f"generate_peer: dubench ended with {done.returncode}: {done.stderr}")
    answer = json.loads(done.stdout)
    return {"wall": answer["wall_seconds"], "network": answer["network_seconds"], "n_networks": answer["n_networks"]}


def overhead(run: dict) -> float:
    """Wall time over the time inside the network, which several networks share."""
    return run["wall"] * run["n_networks"] / run["network"]


def processor() -> str:
    """Name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{next(names, platform.processor())}, {os.cpu_count()} cores"


def table(result: dict) -> str:
    """The result for people."""
    ours, plain, n = result["dubench"], result["python"], result["n_images"]
    rows = [("dubench generate", ours), ("plain Python loop", plain)]
    lines = [
        f"# Images a second of `table1-cifar10` ({n} images, 120 evaluations each, best of {result['repeats']})",
        "",
        "| | networks | wall, s | ms an evaluation | wall over network |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, run in rows:
        milliseconds = 1000 * run["wall"] / n / 120
        lines.append(f"| {name} | {run['n_networks']} | {run['wall']:.1f} | {milliseconds:.3f} | {overhead(run):.3f} |")
    ratio = plain["wall"] / ours["wall"]
    lines += [
        "",
        f"Targets: wall over network at most 1.03 ({verdict(overhead(ours) <= 1.03)}); no slower than Python "
        f"({verdict(ratio >= 1)}: {ratio:.2f} times its speed).",
        "",
        f"{result['machine']}; ONNX Runtime {result['onnxruntime']}, NumPy {result['numpy']}. Ours includes opening, "
        "hashing and testing the bundle, and writing the parts.",
    ]
    return "\n".join(lines) + "\n"


def verdict(holds: bool) -> str:
    """A word for a target."""
    return "met" if holds else "missed"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="dubench")
    parser.add_argument("--blocks", type=int, default=4, help="blocks of 64 images")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder for table.json and table.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = PlainLoop(Path(folder), arguments.binary)
        runs = [
            (dubench(arguments.binary, arguments.blocks), plain.measure(arguments.blocks))
            for _ in range(arguments.repeats)
        ]
    result = {
        "machine": processor(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "n_images": arguments.blocks * BLOCK,
        "repeats": arguments.repeats,
        "dubench": min((ours for ours, _ in runs), key=lambda run: run["wall"]),
        "python": min((python for _, python in runs), key=lambda run: run["wall"]),
    }
    print(table(result), end="")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "table.json").write_text(json.dumps(result, indent=2) + "\n")
        (arguments.out / "table.md").write_text(table(result))


if __name__ == "__main__":
    main()
