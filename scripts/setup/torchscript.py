"""Reads the tensors of a TorchScript archive without torch, and without ever running what a pickle asks for.

A TorchScript file is a zip holding `<root>/data.pkl` (the module tree) and `<root>/data/<key>` (raw tensor bytes).
A pickle is a program. The reader below admits only the opcodes that TorchScript writes and gives the program four inert
names to call, besides the archive's own classes, which become empty bags; everything else ends the reading. A
manipulated archive can at worst be refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import integrity

_OPCODES = frozenset(
    (
        *("PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE"),
        *("BININT", "BININT1", "BININT2", "BINUNICODE"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPENDS", "EMPTY_DICT", "SETITEMS"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPERSID"),
    )
)
_MAX_MEMO = 1 << 20
# What a broken pickle can make the standard reader raise, apart from its own error.
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
)
_MAX_PICKLE_BYTES = 4 << 20
_MAX_TENSOR_BYTES = 512 << 20
_REMEDY = "use the pinned archive: move the file aside and run setup again"


class Module:
    """Stands for any class of the archive's own code: a bag of attributes and nothing else."""


@dataclass(frozen=True)
class _Storage:
    """A flat f32 buffer of the archive, by its key."""

    key: str
    n_elements: int


@dataclass(frozen=True)
class _TensorRef:
    """A tensor as the pickle describes it: which buffer, and how to look at it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _TensorRef:
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or not all(type(size) is int and size >= 0 for size in sizes):
        raise integrity("the pickle describes a tensor without buffer or shape", _REMEDY)
    return _TensorRef(storage, offset, tuple(shape), tuple(strides))


def _int_list(values: list[int]) -> list[int]:
    return list(values)


def _empty_dict() -> dict[str, Any]:
    return {}


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch.jit._pickle", "build_intlist"): _int_list,
    ("torch", "FloatStorage"): "float32",
    ("collections", "OrderedDict"): _empty_dict,
}


class _RestrictedUnpickler(pickle.Unpickler):
    """Resolves the names of `_ALLOWED` and the archive's own classes; anything else ends the reading."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__."):
            return Module
        try:
            return _ALLOWED[(module, name)]
        except KeyError:
            raise integrity(f"the pickle asks for {module}.{name}, which no weight file needs", _REMEDY) from None

    def persistent_load(self, pid: Any) -> _Storage:
        if isinstance(pid, tuple) and len(pid) == 5:
            tag, dtype, key, device, n_elements = pid
            known = (tag, dtype, device) == ("storage", "float32", "cpu")
            if known and isinstance(key, str) and key.isdigit() and isinstance(n_elements, int) and n_elements >= 0:
                return _Storage(key, n_elements)
        raise integrity(f"the pickle refers to the unexpected storage {pid!r}", _REMEDY)


def _check_opcodes(program: bytes) -> None:
    """Reads the program without running it: no opcode but the admitted ones, no memo slot that would fill memory."""
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.name not in _OPCODES:
            raise integrity(f"the pickle uses the opcode {opcode.name}, which no weight file needs", _REMEDY)
        if opcode.name == "LONG_BINPUT" and argument > _MAX_MEMO:
            raise integrity(f"the pickle remembers object number {argument}", _REMEDY)


def _load_tree(archive: zipfile.ZipFile, path: Path) -> tuple[Module, str]:
    names = [entry.filename for entry in archive.infolist()]
    pickles = [archive.getinfo(name) for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise integrity(f"{path} holds {len(pickles)} module trees, expected 1 data.pkl", _REMEDY)
    entry = pickles[0]
    if entry.file_size > _MAX_PICKLE_BYTES:
        raise integrity(
            f"{path}: {entry.filename} has {entry.file_size} bytes, expected <= {_MAX_PICKLE_BYTES}", _REMEDY
        )
    program = archive.read(entry)
    try:
        _check_opcodes(program)
        tree = _RestrictedUnpickler(io.BytesIO(program)).load()
    except _PICKLE_ERRORS as error:
        raise integrity(f"{path}: {entry.filename} is no readable pickle ({error})", _REMEDY) from None
    if not isinstance(tree, Module):
        raise integrity(f"{path}: {entry.filename} holds a {type(tree).__name__}, expected a module", _REMEDY)
    return tree, entry.filename.split("/")[0]


def _contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def _read_tensor(archive: zipfile.ZipFile, root: str, ref: _TensorRef) -> np.ndarray:
    entry = archive.getinfo(f"{root}/data/{ref.storage.key}")
    n_elements = int(np.prod(ref.shape, dtype=np.int64))
    whole = ref.offset == 0 and n_elements == ref.storage.n_elements and ref.strides == _contiguous_strides(ref.shape)
    if not whole or entry.file_size != 4 * n_elements or entry.file_size > _MAX_TENSOR_BYTES:
        raise integrity(f"tensor {entry.filename}: shape {ref.shape} does not fit its {entry.file_size} bytes", _REMEDY)
    return np.frombuffer(archive.read(entry), dtype="<f4").reshape(ref.shape)


def _walk(tree: Module) -> Iterator[tuple[str, _TensorRef]]:
    """Every tensor of the tree with its dotted path. A module that holds itself is refused."""
    pending: list[tuple[str, Module]] = [("", tree)]
    seen: set[int] = set()
    while pending:
        prefix, module = pending.pop()
        if id(module) in seen:
            raise integrity(f"the module {prefix or 'root'} occurs twice in the tree", _REMEDY)
        seen.add(id(module))
        for name, value in vars(module).items():
            if isinstance(value, Module):
                pending.append((f"{prefix}{name}.", value))
            elif isinstance(value, _TensorRef):
                yield f"{prefix}{name}", value


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of the TorchScript archive `path`, f32, keyed by their dotted attribute path in the module tree.

    Raises `SetupError` (integrity) if the pickle asks for anything but tensors, or if a tensor does not fit its bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            tree, root = _load_tree(archive, path)
            refs = dict(_walk(tree))
            return {name: _read_tensor(archive, root, refs[name]) for name in sorted(refs)}
    except (zipfile.BadZipFile, KeyError) as error:
        raise integrity(f"{path} is no whole TorchScript archive ({error})", _REMEDY) from None
