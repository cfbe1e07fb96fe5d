"""What every checkpoint is to the importer: named tensors whose bytes are read one tensor at a time.

Three formats: `torch.save` since 1.6 (a zip), `torch.save` before it (a row of pickles), safetensors. The first bytes
tell which. No torch is needed, and no code of a pickle runs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from setup.cache import digest
from setup.errors import bad_input, integrity

FLOATS = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}
DTYPES = {**FLOATS, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a checkpoint: its type, its shape, and how to read it."""

    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]

    @property
    def n_elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Checkpoint:
    """A state dict on disk."""

    path: Path
    tensors: Mapping[str, Tensor]

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the file."""
        return digest(self.path)


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint `path`, whatever its format.

    Raises `SetupError`: `INPUT` for a file that is no state dict, `INTEGRITY` for one that is cut off or damaged.
    """
    from . import safetensors, torch_legacy, torch_zip  # they use this module's types

    try:
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except OSError as error:
        raise bad_input(f"{path} cannot be read ({error.strerror})", "give the path of a checkpoint file") from None
    if head.startswith(b"PK\x03\x04"):
        tensors = torch_zip.read_index(path)
    elif head.startswith(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"):
        tensors = torch_legacy.read_index(path)
    elif len(head) > 8 and int.from_bytes(head[:8], "little") < size and head[8:9] == b"{":
        tensors = safetensors.read_index(path)
    elif size == 0:
        raise integrity(f"{path} is empty", "fetch it again")
    else:
        raise bad_input(
            f"{path} begins with {head[:8].hex(' ')}, which no known format does",
            "give a state dict as torch.save or safetensors write it (.pt, .pth, .bin, .safetensors)",
        )
    if not tensors:
        raise bad_input(f"{path} holds no tensor", "give the state dict of the network")
    return Checkpoint(path, tensors)


def decode(raw: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Little-endian bytes of a contiguous tensor. bfloat16 comes as float32, which holds its values exactly."""
    if dtype == "bfloat16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    return np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).reshape(shape)
