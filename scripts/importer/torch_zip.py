"""`torch.save` since version 1.6: a zip of `<root>/data.pkl` and `<root>/data/<key>`, one buffer a file."""

from __future__ import annotations

import functools
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from setup.errors import bad_input, integrity

from . import pickles
from .checkpoint import DTYPES, Tensor, decode

_DAMAGED = "fetch the file again"
# What a broken zip can make the standard reader raise: an unknown flag is "not implemented", a bad place an OSError.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    LookupError,
    ValueError,
    EOFError,
    OSError,
    struct.error,
)


class _Buffers:
    """Buffers of the archive. The last one read is kept: tensors that share a buffer follow each other."""

    def __init__(self, path: Path, root: str) -> None:
        self._path, self._root = path, root
        self._kept: tuple[str, bytes] | None = None

    @functools.cached_property
    def _archive(self) -> zipfile.ZipFile:
        """Opened once: the directory of a large network takes milliseconds to read."""
        return zipfile.ZipFile(self._path)

    def read(self, storage: pickles.Storage) -> bytes:
        """All bytes of a buffer; the zip's own checksum is checked."""
        if self._kept is None or self._kept[0] != storage.key:
            self._kept = None  # before the next one is read: one buffer in memory, not two
            try:
                raw = self._archive.read(f"{self._root}/data/{storage.key}")
            except _ZIP_ERRORS as error:
                raise integrity(f"{self._path}: buffer {storage.key} cannot be read ({error})", _DAMAGED) from None
            self._kept = (storage.key, raw)
        return self._kept[1]


def read_index(path: Path) -> dict[str, Tensor]:
    """Names, types and shapes of all tensors; their bytes are read when asked for."""
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_packed(archive, path)
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            root, program = _program(archive, path, sizes)
            order = archive.read(f"{root}/byteorder") if f"{root}/byteorder" in sizes else b"little"
    except _ZIP_ERRORS as error:
        raise integrity(f"{path} is no whole zip ({error}): it is cut off or damaged", _DAMAGED) from None
    if order.strip() != b"little":
        raise bad_input(f"{path} stores the {order[:10]!r} byte first", "save it again on a little-endian machine")
    tree, _ = pickles.load(program, path)
    buffers = _Buffers(path, root)
    return {
        name: _tensor(name, ref, buffers, sizes, (path, root)) for name, ref in pickles.state_dict(tree, path).items()
    }


def _refuse_packed(archive: zipfile.ZipFile, path: Path) -> None:
    """torch stores without packing, so that no buffer takes more memory than the file has bytes."""
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED:
            raise bad_input(
                f"{path}: {entry.filename} is compressed", "save it again by torch.save, or give safetensors"
            )


def _program(archive: zipfile.ZipFile, path: Path, sizes: dict[str, int]) -> tuple[str, bytes]:
    found = [name for name in sizes if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(found) != 1:
        raise bad_input(f"{path} is a zip with {len(found)} data.pkl, expected 1", "give a file that torch.save wrote")
    if sizes[found[0]] > pickles.MAX_PICKLE_BYTES:
        raise bad_input(
            f"{path}: {found[0]} has {sizes[found[0]]} bytes, expected at most {pickles.MAX_PICKLE_BYTES}",
            "give a file that holds the weights alone",
        )
    return found[0].split("/")[0], archive.read(found[0])


def _tensor(
    name: str, ref: pickles.TensorRef, buffers: _Buffers, sizes: dict[str, int], place: tuple[Path, str]
) -> Tensor:
    path, root = place
    pickles.check_window(ref, name, path)
    storage, size = ref.storage, DTYPES[ref.storage.dtype]
    n_bytes = sizes.get(f"{root}/data/{storage.key}")
    if n_bytes != size * storage.n_elements:
        raise integrity(
            f"{path}: the buffer of {name} has {n_bytes} bytes, its pickle says {size * storage.n_elements}", _DAMAGED
        )
    return Tensor(storage.dtype, ref.shape, lambda: window(buffers.read(storage), ref))


def window(raw: bytes, ref: pickles.TensorRef) -> np.ndarray:
    """The tensor that `ref` cuts out of a buffer. Its window was checked before."""
    flat = decode(raw, ref.storage.dtype, (ref.storage.n_elements,))
    strides = [stride * flat.itemsize for stride in ref.strides]
    if 0 in ref.shape:
        return np.zeros(ref.shape, flat.dtype)
    return np.lib.stride_tricks.as_strided(flat[ref.offset :], ref.shape, strides, writeable=False)
