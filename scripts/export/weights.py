"""Read weights from a safetensors file, and say where in the file each tensor's bytes are.

Format: u64 little-endian header length, JSON header `{name: {dtype, shape, data_offsets}}`, then the bytes.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HEADER_LIMIT = 100_000_000


class WeightsError(Exception):
    """A safetensors file that cannot be used; the message is one line for the user."""


@dataclass(frozen=True)
class Tensor:
    """One f32 tensor of the file."""

    name: str
    shape: tuple[int, ...]
    offset: int  # from the start of the file
    length: int  # bytes


@dataclass(frozen=True)
class Weights:
    """Header of a safetensors file of f32 tensors."""

    path: Path
    metadata: dict[str, str]
    tensors: dict[str, Tensor]

    def array(self, name: str) -> np.ndarray:
        """Values of one tensor, f32."""
        tensor = self.tensors[name]
        flat = np.fromfile(self.path, dtype="<f4", count=tensor.length // 4, offset=tensor.offset)
        return flat.reshape(tensor.shape)


def read_header(path: Path) -> Weights:
    """Read the header of `path`, checking that it describes the file: WeightsError if it does not."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            if size < 8 or n_header > min(size - 8, HEADER_LIMIT):
                raise WeightsError(f"{path}: not a safetensors file: header of {n_header} bytes in {size}")
            header = json.loads(file.read(n_header))
        metadata = header.pop("__metadata__", {})
        tensors = {name: read_entry(path, name, entry, 8 + n_header, size) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors: {error!r}") from error
    return Weights(path, metadata, tensors)


def read_entry(path: Path, name: str, entry: dict, data_start: int, size: int) -> Tensor:
    """One header entry, checked."""
    if entry["dtype"] != "F32":
        raise WeightsError(f"{path}: {name} is {entry['dtype']}, expected F32: save the weights in float32")
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if end - begin != 4 * math.prod(shape) or data_start + end > size:
        raise WeightsError(f"{path}: bytes {begin}..{end} of {name} do not hold {list(shape)}: truncated file?")
    return Tensor(name, shape, data_start + begin, end - begin)
