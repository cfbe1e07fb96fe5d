"""Leaves of random weights, made from a seed: the package's own network was run on the same (`scripts/golden/galaxy.py`)."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

SIDE = 32


def shapes(side: int = SIDE) -> Iterator[tuple[int, ...]]:
    """Shapes of the leaves, in their order."""
    patches, hidden, mixed = (side // 4) ** 2, 64, 512
    yield from ((hidden, 2, 4, 4), (hidden, 1, 1), (1, hidden, 4, 4), (1, 1, 1))
    for _ in range(4):
        for width in (patches, hidden):
            yield from ((mixed, width), (mixed,), (width, mixed), (width,))
        yield from ((hidden, patches),) * 2
        yield from ((patches, hidden),) * 2
    yield from ((hidden, patches),) * 2


def leaves(seed: int = 0, side: int = SIDE) -> bytes:
    """A file of leaves. No weight is zero, and no layer makes values grow."""
    draw, file = np.random.default_rng(seed), io.BytesIO()
    for shape in shapes(side):
        fan = np.prod(shape[1:]) if len(shape) > 1 else 4
        np.save(file, (draw.standard_normal(shape) / np.sqrt(fan)).astype(np.float32))
    np.save(file, np.float64(10.0))
    return file.getvalue()


def inputs(side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """States [4, 1, side, side] and times [4]."""
    draw = np.random.default_rng(1)
    return draw.standard_normal((4, 1, side, side)).astype(np.float32), np.array([0.01, 1.0, 4.5, 10.0], np.float32)
