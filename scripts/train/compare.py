"""Train `small` by several recipes from one seed for equally many images, and print one Markdown table.

    python scripts/train/compare.py runs/compare --images 50048

Each recipe is a run of `train.py` in a folder of its own; one that is done is not done again, and one that was killed goes
on. The rate rises over 5,000 images and comes down over the last 20 %. Then every average is held against the same test images and the
same noise at t = 25, 75 .. 975. A difference from the first recipe is a mean over images of paired differences; its
standard error is that of this mean. It says nothing of how far another seed of the training would have come out: the
second seed of the first recipe does. `--fid DUBENCH` adds the FID of 1,024 images of the best average of each, from the
same starts, by DDIM in 20 steps.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from data import data_sets, to_unit_range
from epsilon_error import TIMESTEPS, epsilon_errors
from recipe import N_TIMESTEPS, Diffusion
from safetensors.torch import load_file
from torch import Tensor
from train import estimator
from unet import Config

RECIPES = {
    "as shipped": [],
    "weights v": ["--loss-weights", "v"],
    "weights epsilon": ["--loss-weights", "epsilon"],
    "learning rate 1e-3": ["--learning-rate", "1e-3"],
    "no dropout": ["--dropout", "0"],
    "as shipped, seed 1": ["--seed", "1"],
    "no flips": ["--no-flips"],
}
# Averages of a short run: short ones.
HALF_LIVES = ("1000", "2500", "6000")
ROOT = Path(__file__).resolve().parents[2]
FID_IMAGES = 1024
THIRDS = ("t < 333", "t < 667", "t above")


@dataclass(frozen=True)
class Row:
    """One average of one recipe."""

    recipe: str
    half_life: int
    speed: float  # images/s
    errors: Tensor  # squared errors of epsilon [n_timesteps, n_images]


def folder_of(arguments: argparse.Namespace, recipe: str) -> Path:
    """Where the run of a recipe is kept."""
    return arguments.folder / recipe.replace(",", "").replace(" ", "-")


def train(arguments: argparse.Namespace, recipe: str) -> None:
    """Run, resume or leave alone the training by one recipe."""
    command = [sys.executable, Path(__file__).with_name("train.py"), "--folder", folder_of(arguments, recipe)]
    command += ["--total-images", arguments.images, "--warm-up", 5_000, "--half-lives", *HALF_LIVES, "--keep", 1]
    command += RECIPES[recipe]
    print(f"== {recipe}", flush=True)
    if subprocess.run([str(word) for word in [*command, *arguments.train]]).returncode:
        sys.exit(f"compare: the run of {recipe!r} failed: what it printed above says why")


def measure(arguments: argparse.Namespace, recipe: str, images: Tensor) -> list[Row]:
    """Errors of each average of a finished run."""
    folder, rows = folder_of(arguments, recipe), []
    with (folder / "log.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    for half_life in map(int, HALF_LIVES):
        found = sorted(folder.glob(f"ema-*-{half_life}.safetensors"))
        estimate, generator = estimator(load_file(found[-1]), Config()), torch.Generator().manual_seed(0)
        each = [epsilon_errors(estimate, Diffusion(), images, t, generator) for t in TIMESTEPS]
        rows.append(Row(recipe, half_life, float(last["images"]) / float(last["seconds"]), torch.stack(each)))
    return rows


def frechet(arguments: argparse.Namespace, rows: list[Row]) -> str:
    """FID of the best average of one recipe, with its standard error; made once."""
    best = min(rows, key=lambda row: row.errors.mean().item())
    folder = folder_of(arguments, best.recipe)
    kept = folder / f"fid-{best.half_life}.json"
    if not kept.exists():
        bundle, images = folder / "ddpm-cifar10-small", folder / "images"
        for made in (bundle, images):
            shutil.rmtree(made, ignore_errors=True)
        bundle.mkdir()
        shutil.copy(sorted(folder.glob(f"ema-*-{best.half_life}.safetensors"))[-1], bundle / "weights.safetensors")
        subprocess.run([ROOT / "scripts/checks/python.sh", ROOT / "scripts/export/export.py", bundle], check=True)
        words = ["-n", str(FID_IMAGES), "--steps", "20", "--estimator", "none", "--seed", "0"]
        subprocess.run([arguments.fid, "-q", "sample", bundle, "-o", images, *words], check=True)
        against = ["--real", ROOT / "experiments/reference/cifar10-train.npz", "--fake", images / "images"]
        against += ["--extractor", ROOT / "experiments/extractors/fid-inception.yaml"]
        command = [arguments.fid, "-q", "--format", "json", "metric", "fid", *against]
        kept.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = json.loads(kept.read_text())
    return f"{found['fid']:.1f} ± {found['se']:.1f} ({best.half_life:,})"


def cell(errors: Tensor, reference: Tensor) -> str:
    """Mean error, and the paired difference from the reference with its standard error, both in thousandths."""
    mean, difference = 1e3 * errors.mean(), 1e3 * (errors - reference).mean(dim=0)
    text = f"{mean:.2f}"
    if errors is reference:
        return text
    return f"{text} ({difference.mean():+.2f} ± {difference.std() / len(difference) ** 0.5:.2f})"


def table(rows: list[Row], fids: dict[str, str]) -> str:
    """Markdown, one line an average; FID by recipe where it was measured, in the line of its first average."""
    third = [3 * t // N_TIMESTEPS for t in TIMESTEPS]
    parts = [slice(None), *([i for i, of in enumerate(third) if of == number] for number in range(3))]
    lines = [["recipe", "half-life", "all t", *THIRDS, "images/s"]]
    if fids:
        lines[0].append("FID (of the average)")
    lines.append(["---"] * len(lines[0]))
    for row in rows:
        reference = next(other for other in rows if other.half_life == row.half_life)
        pairs = ((row.errors[part], reference.errors[part]) for part in parts)
        cells = [cell(own, own if row is reference else other) for own, other in pairs]
        lines.append([row.recipe, f"{row.half_life:,}", *cells, f"{row.speed:.0f}"])
        if fids:
            lines[-1].append(fids[row.recipe] if row.half_life == rows[0].half_life else "")
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the runs, one folder in it a recipe")
    parser.add_argument("--images", type=int, default=50_048, help="of training, for each recipe")
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES), metavar="RECIPE")
    parser.add_argument("--test-images", type=int, default=256, help="that each average is held against")
    parser.add_argument("--fid", metavar="DUBENCH", help="the program, where FID is to be measured too")
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="further options of every run of train.py")
    arguments = parser.parse_args()
    for recipe in arguments.recipes:
        train(arguments, recipe)
    data = data_sets()["cifar10"]
    images = torch.from_numpy(to_unit_range(data.test(data.folder)[-arguments.test_images :]))
    rows = {recipe: measure(arguments, recipe, images) for recipe in arguments.recipes}
    fids = {recipe: frechet(arguments, own) for recipe, own in rows.items()} if arguments.fid else {}
    print(table([row for own in rows.values() for row in own], fids))


if __name__ == "__main__":
    main()
