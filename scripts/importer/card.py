"""MODEL_CARD.md of an imported bundle: what it was made of, how, and what nobody has checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from .architectures import Architecture, Denoiser
from .bundle import Bundle
from .checkpoint import Checkpoint

_CARD = """\
# {name}

Imported by `just import {architecture}` from a checkpoint that others trained. Nothing of it was trained here.

| | |
| --- | --- |
| network | {reference} |
| parameters | {n_parameters} |
| training data | {data}, as its authors say |
| licence of the weights | {licence} |
| type of the weights | {dtype} |
| noise schedule | {schedule} |
| dropout | {dropout} |
{checkpoints}

`weights.safetensors` holds the tensors of the checkpoint under their own names; those that end in `.T` are transposed.
The graphs refer to its bytes and must lie beside it.

## Configuration
{origin}

```json
{config}
```

## What was checked
Every key of the checkpoint was used once and has the expected shape, and every value is finite. That the network gives
what its authors' code gives is tested on random weights (docs/importing.md); on these weights nobody has checked it
unless a note stands here.
"""


def write(
    folder: Path,
    bundle: Bundle,
    architecture: tuple[str, Architecture],
    configs: Sequence[object],
    *,
    own_config: bool,
    dtype: str,
) -> None:
    """Writes the card into `folder`."""
    word, about = architecture
    text = _CARD.format(
        name=bundle.name,
        architecture=word,
        reference=about.reference,
        n_parameters=" + ".join(f"{_n_parameters(source.claims):,}" for source in bundle.sources),
        data="not known" if own_config else about.data,
        licence="not known" if own_config else about.licence,
        dtype=dtype,
        schedule=_schedule(bundle.denoiser),
        dropout=_dropout(bundle),
        checkpoints="\n".join(_checkpoint_row(source.checkpoint) for source in bundle.sources),
        origin="Given by `--config`." if own_config else "The one that its authors published.",
        config=json.dumps([asdict(config) for config in configs], indent=2),  # type: ignore[call-overload]
    )
    (folder / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def _n_parameters(claims: Mapping[str, object]) -> int:
    return sum(math.prod(claim.shape) for claim in claims.values())  # type: ignore[attr-defined]


def _schedule(denoiser: Denoiser | None) -> str:
    if denoiser is None:
        return "none: it is no denoiser"
    return ", ".join(f"{key} {value}" for key, value in denoiser.schedule.items())


def _dropout(bundle: Bundle) -> str:
    train = bundle.networks.get("denoiser_train.onnx")
    if train is None:
        return "none, so MC-Dropout does not apply"
    return f"{train.graph.n_dropouts} places in `denoiser_train.onnx`"


def _checkpoint_row(checkpoint: Checkpoint) -> str:
    path = checkpoint.path
    return f"| made of | `{path.name}`, {path.stat().st_size} bytes, SHA-256 `{checkpoint.sha256}` |"
