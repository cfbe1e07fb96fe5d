"""A rehearsal of `run.sh` from an empty folder, the CPU in the place of the GPU, on networks of seconds.

    scripts/setup/python.sh scripts/gpu/test_run.py DUBENCH [PYTHON_WITH_TORCH]

Everything goes the way that it would go: packed here, piece by piece into the box, worked on, and fetched back. Pieces that
are damaged, missing or of another load are refused. Where no Python has torch, what needs it prints SKIPPED.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHIPPED = "models/ddpm-cifar10-small/weights.safetensors"
EXPERIMENT = """\
name: rehearsal
question: Does the way there and back work?
artefact: gate
model: {kind: bundle, path: models/quarter}
sampler: {kind: ddim, n_steps: 20}
seed: 1
estimators:
  - {kind: sample_var, n_draws: 5, window: {start: 15, len: 4}}
controls:
  - {kind: total_variation}
features: {kind: pixels, grid: 2}
reference: {dataset: toy, path: reference.npz}
protocol: {kind: filtering, n_random: 20, curve: {n_parts: 4, n_points: 2, n_random: 5}}
scales:
  smoke: {n_pool: 48, n_keep: 40, block_size: 16, batch_size: 16}
"""


def run(python: str, *words: object, ok: bool = True) -> str:
    """One command of run.sh; what it printed."""
    command = [str(HERE / "run.sh"), *map(str, words)]
    done = subprocess.run(command, env={**os.environ, "PYTHON": python}, capture_output=True, text=True)
    if (done.returncode == 0) != ok:
        sys.exit(f"test_run: {' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def send(python: str, packed: Path, box: Path) -> None:
    """Every piece into the box, a damaged one refused, one twice, the last one first."""
    pieces = sorted(packed.iterdir(), reverse=True)
    assert len(pieces) > 1, "one piece is no rehearsal"
    broken = packed.parent / "broken" / pieces[0].name
    shutil.copytree(pieces[0], broken)
    with (broken / "bytes").open("r+b") as file:
        file.write(b"?" if (broken / "bytes").read_bytes()[:1] != b"?" else b"!")
    assert "send it again" in run(python, "keep", broken, "--box", box, ok=False)
    shutil.rmtree(broken.parent)
    for number, piece in enumerate([pieces[0], *pieces]):
        said = run(python, "keep", piece, "--box", box)
        last = number == len(pieces)
        assert ("nothing is missing" in said) == last, said
        shutil.rmtree(piece) if number else None


def tiny_experiments(dubench: Path, folder: Path) -> None:
    """A network that answers a quarter of its input, and Table 1 of it without a feature network."""
    network = folder / "models" / "quarter"
    network.mkdir(parents=True)
    shutil.copy(ROOT / "harness/tests/data/tiny/quarter.onnx", network / "denoiser.onnx")
    subprocess.run([dubench, "--quiet", "model", "init", network], check=True, capture_output=True)
    (folder / SHIPPED).parent.mkdir(parents=True)
    shutil.copy(ROOT / "experiments" / SHIPPED, folder / SHIPPED)
    (folder / "rehearsal.yaml").write_text(EXPERIMENT)
    np.savez(folder / "reference.npz", mu=np.full(12, 0.5), sigma=0.004 * np.eye(12), n=np.array(1000))


def prove(dubench: Path, python: str, folder: Path, has_torch: bool) -> None:
    """The way of `prove`."""
    tiny_experiments(dubench, folder / "experiments")
    where = subprocess.run([ROOT / "scripts/setup.sh", "--where", "onnxruntime"], capture_output=True, text=True, check=True)
    words = ("--binary", dubench, "--experiments", folder / "experiments", "--library", where.stdout.strip())
    run(python, "pack", "prove", folder / "packed", "--no-extractor", *words)
    box, out = folder / "box", folder / "out"
    assert "nothing has come" in run(python, "prove", out, "--box", box, "--stand-in", ok=False)
    send(python, folder / "packed", box)
    small = ("--experiment", "rehearsal", "--network", "models/quarter", "--batches", "1,4", "--images", 8, "--long", 64)
    said = run(python, "prove", out, "--box", box, "--stand-in", "--steps", 20, *small, ok=has_torch)
    notes = {note["step"]: note for note in json.loads((out / "steps.json").read_text())}
    failed = {name for name, note in notes.items() if not note["ok"]}
    if not has_torch:
        print("SKIPPED machine, speed of PyTorch: no Python with torch was named")
    assert failed == (set() if has_torch else {"machine", "speed of PyTorch"}), (failed, said)
    assert "cuda" in notes["fall-back"]["found"], notes["fall-back"]
    assert notes["images and scores"]["found"]["largest relative move of a score"] == 0.0
    rows = {(row["precision"], row["batch"], row["graph"]): row for row in notes["speed"]["found"]}
    assert "tf32" in rows["tf32", 1, "off"]["refused"], rows
    assert all(rows["float32", batch, graph].get("images") == 8 for batch in (1, 4) for graph in ("off", "on")), rows
    assert "half precision gains nothing" in rows["float16", 4, "off"]["refused"], rows
    assert all(note["expected_seconds"] > 0 and note["seconds"] >= 0 for note in notes.values()), notes


def train(python: str, folder: Path) -> None:
    """The way of `train`, three seconds of it, on a data set without files; something must travel all the same."""
    data = folder / "data"
    data.mkdir(parents=True)
    (data / "something.bin").write_bytes(np.random.default_rng(0).bytes(3 << 20))
    run(python, "pack", "train", folder / "packed", "--data", data, "--limit", 2 << 20)
    box, out, back = folder / "box", folder / "out", folder / "back"
    send(python, folder / "packed", box)
    small = ("--architecture", "small", "--data-set", "discs", "--train-seconds", 3)
    quick = "--timed=--batch 4 --no-compile --classes --error-images 4 --sheet 1"
    run(python, "train", out, "--box", box, "--stand-in", *small, quick)
    sent = [path for path in out.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in sent) <= 15 << 20
    run(python, "fetch", out, back)
    summary = json.loads((back / "summary.json").read_text())
    assert summary["images_seen"] >= 4 and len(summary["epsilon_mse_of_training_images"]) == 3
    join = [python, ROOT / "scripts/train/join.py", back / "ema-50000", folder / "weights.safetensors"]
    subprocess.run(join, check=True, capture_output=True)
    assert (folder / "weights.safetensors").stat().st_size > 12_900_000


def main() -> None:
    """Command line."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    dubench, python = Path(sys.argv[1]).resolve(), sys.argv[-1] if len(sys.argv) == 3 else sys.executable
    has_torch = subprocess.run([python, "-c", "import torch, safetensors"], capture_output=True).returncode == 0
    with tempfile.TemporaryDirectory() as name:
        prove(dubench, python, Path(name) / "prove", has_torch)
        if has_torch:
            train(python, Path(name) / "train")
        else:
            print("SKIPPED train: no Python with torch was named")
    print("rehearsed: pieces there, work, pieces back")


if __name__ == "__main__":
    main()
