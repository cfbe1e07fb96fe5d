"""`just reproduce-third-party`: bundles of networks that others trained, their maps, a sheet each, and how scores correlate."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from setup import cache, install, pins
from setup.errors import SetupError, resources

from . import bundles, correlations

_ROOT = Path(__file__).resolve().parents[2]
_HEAD = """\
# Networks that others trained

Nobody here made these networks, and neither comes with its data: no FID is claimed. They show what `dubench sample` does with a
network as it ships: maps, scores, and how the scores rank the images beside controls that ask no network.
`scripts/just reproduce-third-party` fetches both packages by hash and writes this page. Intervals are 95 % over new images, by
Fisher's z with the variance of Bonett and Wright (2000); the state is what the network walks in, before it becomes a picture.
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="just reproduce-third-party", description=__doc__)
    parser.add_argument("binary", type=Path, help="the program `dubench`")
    parser.add_argument("--results", type=Path, default=_ROOT / "results" / "third-party")
    parser.add_argument("--work", type=Path, default=_ROOT / "work" / "third-party")
    parser.add_argument("-n", type=int, help="images of each network (256 galaxies, 24 height fields)")
    return parser.parse_args()


def fetch(network: bundles.Network) -> Path:
    """The network's file in the cache, fetched by pin where it is not there.

    Raises `SetupError`.
    """
    assets = pins.load(_ROOT / "experiments" / "assets.yaml")
    (asset,) = pins.select(assets, "cpu", [network.asset], pins.this_platform())
    root = cache.cache_root()
    root.mkdir(parents=True, exist_ok=True)
    install.ensure(asset, root)
    return root / asset.outputs[0].path


def estimators(network: bundles.Network) -> list[str]:
    """The variance of five draws in each window, and the released statistic in the last."""
    at = {name: f"n_draws: 5, window: {{start: {first}, len: {n}}}" for name, (first, n) in network.windows.items()}
    found = [f"{{kind: sample_var, name: variance_{name}, {rest}}}" for name, rest in at.items()]
    return [*found, f"{{kind: centered, name: centred_late, {at['late']}}}"]


def sample(binary: Path, network: bundles.Network, work: Path, n: int) -> Path:
    """Runs `dubench sample`; returns its folder.

    Raises `SetupError` (resources) where it fails, with its own words.
    """
    out = work / f"{network.name}-samples"
    if out.exists():
        shutil.rmtree(out)
    command = [binary, "sample", work / network.name, "-o", out, "-n", n, "--sampler", network.sampler]
    for text in estimators(network):
        command += ["--estimator", text]
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise resources(f"dubench sample ended with {done.returncode}: {done.stderr[-500:]}", "see its message")
    return out


def scores(folder: Path) -> dict[str, np.ndarray]:
    """Scores of the estimators, then the controls."""
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "sample"}
    states = np.load(folder / "final.npy", allow_pickle=False)
    return {
        **found,
        "total variation of the state": correlations.total_variation(states),
        "mean of the state": states.mean(axis=(1, 2, 3)),
    }


def section(network: bundles.Network, folder: Path) -> str:
    """What the page says of a network."""
    about = json.loads((folder / "sample.json").read_text(encoding="utf-8"))
    found = scores(folder)
    lines = [f"## {network.name.capitalize()}: `{network.asset}`", ""]
    lines += [f"{network.about[0].upper()}{network.about[1:]}. Licence: {network.licence}.", ""]
    costs = ", ".join(f"{method['nfe']} for {method['name']}" for method in about["methods"])
    walk = f"{about['nfe_trajectory']} evaluations an image for the walk, {costs}"
    windows = ", ".join(f"{name} {first} to {first + n - 1}" for name, (first, n) in network.windows.items())
    lines += [f"{len(about['samples'])} images, seed {about['seed']}, `{network.sampler}`: {walk}. Steps: {windows}.", ""]
    lines += [f"![Least and most certain images, with their maps]({network.name}.png)", ""]
    lines += ["| score | and | Spearman's ρ | 95 % |", "|---|---|---:|---|"]
    for one, other in combinations(found, 2):
        rho, low, high = correlations.spearman(found[one], found[other])
        lines.append(f"| {one} | {other} | {rho:.2f} | {low:.2f} to {high:.2f} |")
    return "\n".join(lines) + "\n"


def publish(path: Path, content: bytes) -> None:
    """Whole, or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def main() -> int:
    """Runs the command line; returns the exit code."""
    options = _arguments()
    try:
        sections = []
        options.results.mkdir(parents=True, exist_ok=True)
        for network in bundles.NETWORKS:
            bundles.write(network, fetch(network), options.work / network.name)
            folder = sample(options.binary.resolve(), network, options.work, options.n or network.n)
            sections.append(section(network, folder))
            publish(options.results / f"{network.name}.png", (folder / "uncertainty.png").read_bytes())
        publish(options.results / "README.md", "\n".join([_HEAD, *sections]).encode())
    except SetupError as error:
        print(f"third-party: {error}", file=sys.stderr)
        return error.exit_code
    print(options.results / "README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
