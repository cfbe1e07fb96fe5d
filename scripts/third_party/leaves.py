"""The leaves of a JAX model as Equinox serialises them: NumPy arrays one after the other, in the order of the fields.

Nothing is unpickled: each array is read by its header, and a file that holds anything else is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from setup.errors import bad_input

_MAX_ARRAYS = 10_000


def read(path: Path) -> list[np.ndarray]:
    """All arrays of the file.

    Raises `SetupError` (bad input) for a file that is cut, or that holds something else.
    """
    size, arrays = path.stat().st_size, []
    with path.open("rb") as file:
        while file.tell() < size:
            if len(arrays) == _MAX_ARRAYS:
                raise bad_input(f"{path} holds more than {_MAX_ARRAYS} arrays", "it is no model of this kind")
            try:
                arrays.append(np.load(file, allow_pickle=False))
            except (ValueError, EOFError, OSError) as error:
                raise bad_input(f"{path}: array {len(arrays)} cannot be read: {error}", "fetch it again") from None
    return arrays


class Leaves:
    """The arrays in order, each taken once with the shape that is expected of it."""

    def __init__(self, path: Path) -> None:
        """Reads the file."""
        self._path, self._arrays, self._next = path, read(path), 0

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The next array, as f32.

        Raises `SetupError` (bad input) where there is none, or one of another shape.
        """
        if self._next == len(self._arrays):
            raise bad_input(f"{self._path} ends before {name}", "it is a model of another size")
        array = self._arrays[self._next]
        if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            what = f"{self._path}: {name} is {array.dtype} {list(array.shape)}"
            raise bad_input(f"{what}, expected finite numbers {list(shape)}", "it is a model of another size")
        self._next += 1
        return array.astype(np.float32)

    def end(self) -> None:
        """Raises `SetupError` (bad input) where arrays are left over."""
        if self._next != len(self._arrays):
            left = len(self._arrays) - self._next
            raise bad_input(f"{self._path} has {left} arrays too many", "it is a model of another size")
