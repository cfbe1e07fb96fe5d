"""`torch.save` before version 1.6: five pickles in a row (magic number, version, machine, state dict, keys of the
buffers), then the buffers, each an i64 count and the raw values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from setup.errors import bad_input, integrity

from . import pickles
from .checkpoint import DTYPES, Tensor
from .torch_zip import window

_PROTOCOL = 1001
_DAMAGED = "fetch the file again"


def read_index(path: Path) -> dict[str, Tensor]:
    """Names, types and shapes of all tensors; their bytes are read when asked for."""
    with path.open("rb") as file:
        values, start = _pickles(file.read(pickles.MAX_PICKLE_BYTES), path)
        _magic, protocol, machine, tree, keys = values
        if protocol != _PROTOCOL or not isinstance(machine, dict) or not machine.get("little_endian", False):
            raise bad_input(f"{path} is of protocol {protocol!r} or big-endian", "save it again with a newer torch")
        refs = pickles.state_dict(tree, path)
        offsets = _offsets(file, start, keys, {ref.storage.key: ref.storage for ref in refs.values()})
    tensors = {}
    for name, ref in refs.items():
        pickles.check_window(ref, name, path)
        tensors[name] = _tensor(path, ref, offsets[ref.storage.key])
    return tensors


def _pickles(head: bytes, path: Path) -> tuple[list[Any], int]:
    values, start = [], 0
    for _ in range(5):
        value, n_bytes = pickles.load(head[start:], path)
        values.append(value)
        start += n_bytes
    return values, start


def _offsets(file: BinaryIO, start: int, keys: Any, storages: dict[str, pickles.Storage]) -> dict[str, int]:
    """Where the values of each buffer begin."""
    path = Path(file.name)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise integrity(f"{path}: its buffers are not those of its tensors", _DAMAGED)
    size = path.stat().st_size
    offsets = {}
    for key in keys:
        storage = storages[key]
        file.seek(start)
        count = int.from_bytes(file.read(8), "little")
        end = start + 8 + DTYPES[storage.dtype] * storage.n_elements
        if count != storage.n_elements or end > size:
            raise integrity(
                f"{path}: buffer {key} should end at byte {end} of {size} with {storage.n_elements} values, it says "
                f"{count}: the file is cut off or damaged",
                _DAMAGED,
            )
        offsets[key] = start + 8
        start = end
    if start != size:
        raise integrity(f"{path} has {size} bytes, its buffers end at {start}", _DAMAGED)
    return offsets


def _tensor(path: Path, ref: pickles.TensorRef, offset: int) -> Tensor:
    def read() -> Any:
        with path.open("rb") as file:
            file.seek(offset)
            return window(file.read(DTYPES[ref.storage.dtype] * ref.storage.n_elements), ref)

    return Tensor(ref.storage.dtype, ref.shape, read)
