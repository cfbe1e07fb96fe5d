"""Writes `weights.safetensors`: header first, then one tensor after the other, so that memory holds one at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from setup.errors import bad_input, integrity

from .checkpoint import Checkpoint
from .graph import Claim

_ALIGNMENT = 64


@dataclass(frozen=True)
class Source:
    """Claims that one checkpoint serves."""

    checkpoint: Checkpoint
    claims: Mapping[str, Claim]


@dataclass(frozen=True)
class Plan:
    """The file before it is written: its head, and where each tensor will begin."""

    head: bytes
    offsets: Mapping[str, int]

    @classmethod
    def of(cls, sources: Sequence[Source], metadata: Mapping[str, str]) -> Plan:
        """Lays out the claims of all sources, in order."""
        header: dict[str, object] = {"__metadata__": dict(metadata)}
        place, begins = 0, {}
        for claim in _claims(sources):
            begins[claim.name] = place
            header[claim.name] = {
                "dtype": "F16" if claim.half else "F32",
                "shape": list(claim.stored_shape),
                "data_offsets": [place, place + claim.n_bytes],
            }
            place += claim.n_bytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-(8 + len(text)) % _ALIGNMENT)
        start = 8 + len(text)
        return cls(len(text).to_bytes(8, "little") + text, {name: start + begin for name, begin in begins.items()})


def _claims(sources: Sequence[Source]) -> Iterator[Claim]:
    for source in sources:
        yield from source.claims.values()


def write(path: Path, plan: Plan, sources: Sequence[Source]) -> str:
    """Writes the file; returns its SHA-256.

    Raises `SetupError` for values that are not finite, or that float16 does not hold.
    """
    digest = hashlib.sha256(plan.head)
    with path.open("wb") as out:
        out.write(plan.head)
        for source in sources:
            for key, claim in source.claims.items():
                raw = stored(source.checkpoint, key, claim)
                if out.tell() != plan.offsets[claim.name] or raw.nbytes != claim.n_bytes:
                    raise AssertionError(f"{claim.name} lies at {out.tell()}, planned {plan.offsets[claim.name]}")
                out.write(raw)
                digest.update(raw)
    return digest.hexdigest()


def stored(checkpoint: Checkpoint, key: str, claim: Claim) -> memoryview:
    """Bytes of a claimed tensor as the bundle keeps them."""
    values = checkpoint.tensors[key].read()
    if values.shape != claim.shape:
        raise integrity(f"{checkpoint.path}: {key} is {list(values.shape)} when read", "fetch the file again")
    if not np.isfinite(values).all():
        raise bad_input(
            f"{checkpoint.path}: {key} holds values that are not finite",
            "give another checkpoint: this one has diverged",
        )
    if claim.half:
        limit = float(np.finfo(np.float16).max)
        largest = float(np.abs(values).max(initial=0))
        if largest > limit:
            raise bad_input(
                f"{checkpoint.path}: {key} holds {largest:.3g}, float16 ends at {limit:.0f}", "import it in float32"
            )
    kind = "<f2" if claim.half else "<f4"
    return np.ascontiguousarray(values.T if claim.transposed else values, kind).data.cast("B")
