"""Writes a bundle: weights, graphs, `model.yaml`, card. All of it appears at once under its final name, or nothing."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from setup.errors import usage

from . import weights
from .architectures import Denoiser
from .graph import WEIGHTS, Graph, Network

MODEL_YAML = """\
# Written by `just import`: which checkpoint this is and how it was read stands in MODEL_CARD.md.
format: 1
name: {name}
task: {task}
prediction: {prediction}
{precision}schedule: {schedule}
timestep: {{offset: {offset}}}
graphs:
  denoiser: {{file: denoiser.onnx, inputs: {{x: sample, t: timestep, y: {label}}}, outputs: {{prediction: eps}}}}
{train}files:
{files}
provenance:
{provenance}
"""


@dataclass
class Bundle:
    """What is to be written."""

    name: str
    networks: Mapping[str, Network]  # file name to graph
    sources: Sequence[weights.Source]
    provenance: Mapping[str, Any]
    denoiser: Denoiser | None = None
    scale: float | None = None
    files: dict[str, tuple[str, int]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes all but the card into `folder`."""
        plan = weights.Plan.of(self.sources, {"format": "dubench-import 1"})
        digest = weights.write(folder / WEIGHTS, plan, self.sources)
        self.files[WEIGHTS] = (digest, (folder / WEIGHTS).stat().st_size)
        for file, network in self.networks.items():
            content = network.model(dict(plan.offsets)).SerializeToString(deterministic=True)
            (folder / file).write_bytes(content)
            self.files[file] = (hashlib.sha256(content).hexdigest(), len(content))
        if self.denoiser is not None:
            (folder / "model.yaml").write_text(self.model_yaml(self.denoiser), encoding="utf-8")

    def model_yaml(self, denoiser: Denoiser) -> str:
        """Text of `model.yaml`. JSON values are YAML values."""
        shape = list(denoiser.shape)
        task: dict[str, Any] = {"kind": "denoiser", "image": shape, "range": [-1, 1], "classes": denoiser.classes}
        if denoiser.latent:
            task = {"kind": "latent", "shape": shape, "scale": self.scale, "decoder": "decoder.onnx"}
            task["encoder"] = "encoder.onnx"
            task["classes"] = denoiser.classes
        has_train = "denoiser_train.onnx" in self.networks
        entries = (f"  {name}: {{sha256: {digest}, bytes: {size}}}" for name, (digest, size) in self.files.items())
        return MODEL_YAML.format(
            name=json.dumps(self.name),
            task=json.dumps(task),
            prediction=denoiser.prediction,
            precision=_precision(self.networks["denoiser.onnx"].graph),
            schedule=json.dumps(dict(denoiser.schedule)),
            offset=denoiser.offset,
            label="label" if denoiser.classes else "null",
            train="  train: {file: denoiser_train.onnx}\n" if has_train else "",
            files="\n".join(entries),
            provenance="\n".join(f"  {key}: {json.dumps(value)}" for key, value in self.provenance.items()),
        )


def _precision(graph: Graph) -> str:
    """In which precision most weights are computed with and stored, where it is not float32."""
    claims = [claim for claim, _ in graph.claims.values()]
    half = sum(math.prod(claim.shape) for claim in claims if claim.half)
    if 2 * half <= sum(math.prod(claim.shape) for claim in claims):
        return ""
    return "storage: float16\n" if graph.widened else "precision: float16\n"


def refuse_taken(target: Path) -> None:
    """Raises `SetupError` (`USAGE`) where `target` holds something already."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise usage(f"{target} is there already", "choose another folder by -o, or move it aside")


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its name when the block ends well, and vanishes when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        yield partial
        partial.replace(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
