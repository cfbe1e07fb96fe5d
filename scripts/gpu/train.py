"""Train a network for minutes by scripts/train/timed.py.

The data set comes in pieces; weights go back in f16, cut, with sheets of samples and the error of each average.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pieces
from steps import Steps

ROOT = Path(__file__).resolve().parents[2]
# Measured on nothing yet: a guess of what starting, compiling and writing take beside the seconds of training.
COMPILING, WRITING = 90, 30


def options(parser: argparse.ArgumentParser) -> None:
    """Options of `run.sh train`."""
    parser.add_argument("--architecture", default="base", help="small, base or ddpm-cifar10-32")
    parser.add_argument("--train-seconds", type=float, default=330.0)
    parser.add_argument("--data-set", default="cifar10")
    parser.add_argument("--timed", default="", metavar="OPTIONS", help="further options of timed.py: --timed='--batch 1024'")


def run(steps: Steps, arguments: argparse.Namespace) -> None:
    """Unpack, look at the machine, train."""
    device = "cpu" if arguments.stand_in else "cuda"
    files = steps.run("unpack", 20, lambda: sorted(pieces.join(arguments.box, arguments.box / "files")))
    if files is None:
        return
    steps.run("machine", 20, machine)
    data = arguments.box / "files" / "data"
    command = [sys.executable, ROOT / "scripts/train/timed.py", "--out", arguments.out, "--device", device]
    command += ["--seconds", str(arguments.train_seconds), "--architecture", arguments.architecture]
    command += ["--data-set", arguments.data_set, "--data", data, *shlex.split(arguments.timed)]
    steps.run("train", arguments.train_seconds + COMPILING + WRITING, lambda: trained(command, arguments.out))


def machine() -> dict[str, Any]:
    """What this is."""
    text = "import json, torch; print(json.dumps({'torch': torch.__version__, 'cuda': torch.version.cuda, "
    text += "'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None}))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def trained(command: list[Any], out: Path) -> dict[str, Any]:
    """Runs the trainer; what it says of itself."""
    subprocess.run([str(word) for word in command], check=True)
    summary = json.loads((out / "summary.json").read_text())
    return {name: summary[name] for name in ("images_seen", "images_per_second", "epsilon_mse_of_training_images")}
