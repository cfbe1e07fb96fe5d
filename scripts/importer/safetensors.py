"""safetensors: u64 length of the header, JSON `{name: {dtype, shape, data_offsets}}`, then the bytes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from setup.errors import bad_input, integrity

from .checkpoint import DTYPES, Tensor, decode

_HEADER_LIMIT = 100_000_000
_DTYPES = {
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F64": "float64",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


def read_index(path: Path) -> dict[str, Tensor]:
    """Names, types and shapes of all tensors; their bytes are read when asked for."""
    size = path.stat().st_size
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        if n_header > min(size - 8, _HEADER_LIMIT):
            raise integrity(f"{path}: its header of {n_header} bytes does not fit {size}", "fetch the file again")
        text = file.read(n_header)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        entries = {name: _entry(name, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise integrity(f"{path}: its header cannot be read ({str(error)[:120]})", "fetch the file again") from None
    start = 8 + n_header
    for name, (dtype, shape, begin, end) in entries.items():
        if dtype not in DTYPES:
            raise bad_input(f"{path}: {name} is {dtype}", f"save it as one of {', '.join(_DTYPES)}")
        if end - begin != DTYPES[dtype] * math.prod(shape) or begin < 0 or start + end > size:
            raise integrity(
                f"{path}: bytes {begin}..{end} of {name} do not hold {list(shape)} {dtype} in a file of {size}: it is "
                "cut off or damaged",
                "fetch the file again",
            )
    return {name: _tensor(path, start, entry) for name, entry in entries.items()}


def _entry(name: str, entry: dict[str, Any]) -> tuple[str, tuple[int, ...], int, int]:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
        raise ValueError(f"{name} has no shape or place")
    return _DTYPES.get(entry["dtype"], str(entry["dtype"])), shape, begin, end


def _tensor(path: Path, start: int, entry: tuple[str, tuple[int, ...], int, int]) -> Tensor:
    dtype, shape, begin, end = entry

    def read() -> Any:
        with path.open("rb") as file:
            file.seek(start + begin)
            return decode(file.read(end - begin), dtype, shape)

    return Tensor(dtype, shape, read)
