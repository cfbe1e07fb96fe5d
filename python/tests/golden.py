"""Values that other people's tools wrote: those of the Rust package, in metrics/tests/data."""

import json
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "metrics" / "tests" / "data"


def read(name: str) -> dict:
    return json.loads((DATA / f"{name}.json").read_text())


def weyl(n: int, d: int, shift: float) -> np.ndarray:
    """Rows that the script behind the values makes by the same formula."""
    rows, columns = np.arange(1, n + 1)[:, None], np.sqrt(np.arange(2, d + 2))[None, :]
    return (rows * columns) % 1.0 + shift
