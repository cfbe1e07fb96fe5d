"""What a GPU machine without a network needs, gathered from this checkout and the cache."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pieces

ROOT = Path(__file__).resolve().parents[2]
EXTRACTOR = Path("extractors/fid-inception/model.onnx")


def options(parser: argparse.ArgumentParser) -> None:
    """Options of `run.sh pack`."""
    parser.add_argument("--data", type=Path, help="train: folder of the data set's files; prove: unused")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/dubench", help="prove: the program")
    parser.add_argument("--experiments", type=Path, default=ROOT / "experiments", help="prove: experiments and networks")
    parser.add_argument("--library", type=Path, help="prove: libonnxruntime for CUDA; its providers lie beside it")
    parser.add_argument("--no-extractor", action="store_true", help="prove: the experiment has no feature network")


def run(arguments: argparse.Namespace) -> int:
    """Packs; returns the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        files = _train(arguments) if arguments.what == "train" else _prove(arguments, Path(scratch))
        made = pieces.cut(files, arguments.folder, arguments.limit)
    size = sum(path.stat().st_size for piece in made for path in piece.iterdir())
    print(f"{len(files)} files, {size / 2**20:.1f} MiB in {len(made)} pieces: one `run.sh keep PIECE` each")
    return 0


def _cache() -> Path:
    done = subprocess.run([ROOT / "scripts/setup.sh", "--where", "cifar10"], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()).parents[2]


def _train(arguments: argparse.Namespace) -> dict[str, Path]:
    """The training files as they are: five of 31 MB make three pieces."""
    folder = arguments.data or _cache() / "cifar10" / "cifar-10-batches-bin"
    files = {f"data/{path.name}": path for path in sorted(folder.iterdir()) if not path.name.startswith("test")}
    return {name: path for name, path in files.items() if path.suffix != ".json"}


def _prove(arguments: argparse.Namespace, scratch: Path) -> dict[str, Path]:
    """Program, runtime with its providers, experiments, feature network."""
    if not arguments.binary.is_file():
        sys.exit(f"gpu: {arguments.binary} is missing: cargo build --locked --release -p dubench, or name one by --binary")
    binary = scratch / "dubench"
    shutil.copy(arguments.binary, binary)
    if shutil.which("strip"):
        subprocess.run(["strip", binary], check=True)
    print(f"{arguments.binary} needs glibc {needed_glibc(binary)} or newer")
    files = {"dubench": binary}
    library = arguments.library
    if library is None:
        where = [ROOT / "scripts/setup.sh", "cuda", "--where", "onnxruntime-cuda"]
        library = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    if not library.is_file():
        sys.exit(f"gpu: {library} is missing: scripts/setup.sh cuda --only onnxruntime-cuda")
    for path in sorted(library.parent.glob("libonnxruntime*.so*")):
        if path.suffix != ".json":
            files[f"ort/{path.name}"] = path
    for path in sorted(p for p in arguments.experiments.rglob("*") if p.is_file()):
        files[f"experiments/{path.relative_to(arguments.experiments)}"] = path
    if not arguments.no_extractor:
        files[f"cache/{EXTRACTOR}"] = _cache() / EXTRACTOR
    return files


def needed_glibc(binary: Path) -> str:
    """The newest symbol version of glibc that a program names."""
    found = re.findall(rb"GLIBC_(\d+)\.(\d+)", binary.read_bytes())
    major, minor = max(((int(a), int(b)) for a, b in found), default=(0, 0))
    return f"{major}.{minor}"
