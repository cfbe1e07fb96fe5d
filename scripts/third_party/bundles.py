"""Bundles of the fetched networks: graphs, conditions and the description that `dubench` reads."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import galaxy

# Difficulties that samples take in turn; the network knows 1 to 100.
DIFFICULTIES = (20.0, 40.0, 60.0, 80.0)
GALAXY_SIDE = 32

_GALAXY = """\
task: {kind: latent, shape: [1, 32, 32], scale: 1.0, decoder: display.onnx, classes: null}
prediction: score
schedule: {kind: vp_continuous, beta_min: 1.0, beta_max: 1.0, t_max: 10.0}
time: {kind: continuous}
graphs:
  denoiser: {file: score.onnx, inputs: {x: sample, t: time, y: null}, outputs: {prediction: score}}
"""
_TERRAIN = """\
task: {kind: denoiser, image: [1, 128, 128], range: [-1, 1], classes: null}
prediction: denoised
schedule: {kind: edm, sigma_min: 0.002, sigma_max: 80.0}
time: {kind: sigma}
graphs:
  denoiser: {file: denoiser.onnx, inputs: {x: noisy, t: sigma, y: null}, outputs: {prediction: denoised}}
conditions:
  difficulty: {file: difficulty.npy}
"""


@dataclass(frozen=True)
class Network:
    """One network: where it comes from, how it is walked, who looks on."""

    name: str
    asset: str
    about: str
    licence: str
    build: Callable[[Path, Path], str]
    sampler: str
    windows: Mapping[str, tuple[int, int]]
    n: int


def galaxies(source: Path, folder: Path) -> str:
    """Writes both graphs of the score network; returns the description without name and files."""
    (folder / "score.onnx").write_bytes(galaxy.score(source, GALAXY_SIDE).SerializeToString(deterministic=True))
    (folder / "display.onnx").write_bytes(galaxy.display(GALAXY_SIDE).SerializeToString(deterministic=True))
    return _GALAXY


def terrain(source: Path, folder: Path) -> str:
    """Takes the graph as it ships, beside the difficulties."""
    shutil.copyfile(source, folder / "denoiser.onnx")
    np.save(folder / "difficulty.npy", np.array(DIFFICULTIES, np.float32))
    return _TERRAIN


NETWORKS = (
    Network(
        "galaxies",
        "galaxygrad",
        "score network of galaxies (HSC survey, 32 pixels, one channel), an MLP-mixer on a continuous "
        "variance-preserving process",
        "none stated: fetched for use, never committed",
        galaxies,
        "{kind: ddim, n_steps: 100, grid: {kind: uniform, t_min: 0.01}}",
        {"late": (92, 4), "middle": (60, 4)},
        256,
    ),
    Network(
        "terrain",
        "adaptive-terrain-diffusion",
        "consistency U-Net of height fields (128 pixels, one channel), EDM's preconditioning inside the graph, a "
        "difficulty as condition; trained for one step, walked here by eight of Heun",
        "MIT",
        terrain,
        "{kind: edm_heun, n_steps: 8}",
        {"late": (6, 2), "middle": (3, 2)},
        24,
    ),
)


def write(network: Network, source: Path, folder: Path) -> None:
    """The bundle of a network under `folder`, anew. It appears whole, or not at all."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        text = network.build(source, partial)
        lines = []
        for path in sorted(partial.iterdir()):
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            lines.append(f"  {path.name}: {{sha256: {digest}, bytes: {len(content)}}}\n")
        notes = {"package": network.asset, "licence": network.licence, "network": network.about}
        provenance = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in notes.items())
        head = f"format: 1\nname: {network.name}-{network.asset}\n"
        parts = [head, text, "files:\n", *lines, "provenance:\n", provenance]
        (partial / "model.yaml").write_text("".join(parts), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
