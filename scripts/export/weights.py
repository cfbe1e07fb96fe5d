"""Read weights from a safetensors file, and say where in the file each tensor's bytes are.

Format: u64 little-endian header length, JSON header `{name: {dtype, shape, data_offsets}}`, then the bytes.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HEADER_LIMIT = 100_000_000
SIZES = {"F32": 4, "F16": 2}
LARGEST_HALF = float(np.finfo(np.float16).max)
STORED_FROM = "rounded_from_sha256"  # metadata key of a file in half precision: the float32 file that it was made from


class WeightsError(Exception):
    """A safetensors file that cannot be used; the message is one line for the user."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file, f32 or f16."""

    name: str
    shape: tuple[int, ...]
    offset: int  # from the start of the file
    length: int  # bytes
    dtype: str = "F32"


@dataclass(frozen=True)
class Weights:
    """Header of a safetensors file."""

    path: Path
    metadata: dict[str, str]
    tensors: dict[str, Tensor]

    def array(self, name: str) -> np.ndarray:
        """Values of one tensor, f32 however they are stored."""
        tensor = self.tensors[name]
        kind = "<f4" if tensor.dtype == "F32" else "<f2"
        flat = np.fromfile(self.path, kind, count=tensor.length // SIZES[tensor.dtype], offset=tensor.offset)
        return flat.reshape(tensor.shape).astype(np.float32)


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
    if entry["dtype"] not in SIZES:
        raise WeightsError(f"{path}: {name} is {entry['dtype']}, expected F32 or F16: save the weights in float32")
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if end - begin != SIZES[entry["dtype"]] * math.prod(shape) or data_start + end > size:
        raise WeightsError(f"{path}: bytes {begin}..{end} of {name} do not hold {list(shape)}: truncated file?")
    return Tensor(name, shape, data_start + begin, end - begin, entry["dtype"])


def in_half(weights: Weights) -> bytes:
    """A safetensors file of the same tensors and metadata, each number the nearest float16 (ties to even).

    WeightsError for values that float16 does not hold, and for a file that is rounded already.
    """
    digest = hashlib.sha256(weights.path.read_bytes()).hexdigest()
    header: dict[str, object] = {"__metadata__": {**weights.metadata, STORED_FROM: digest}}
    parts: list[bytes] = []
    place = 0
    for name, tensor in weights.tensors.items():
        values = weights.array(name)
        if tensor.dtype != "F32":
            raise WeightsError(f"{weights.path}: {name} is {tensor.dtype} already: give the float32 weights")
        largest = float(np.abs(values).max(initial=0))
        if not largest <= LARGEST_HALF:  # a NaN is no number that float16 holds either
            raise WeightsError(f"{weights.path}: {name} holds {largest:.6g}, float16 ends at {LARGEST_HALF:.0f}")
        parts.append(values.astype("<f2").tobytes())
        end = place + len(parts[-1])
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)
