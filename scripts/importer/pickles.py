"""Reads the pickle of a state dict without running what it asks for.

A pickle is a program. This reader admits the opcodes that `torch.save` writes for tensors and plain values, and gives
the program a handful of inert names to call. Any other opcode or name ends the reading, by name.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup.errors import bad_input, integrity

MAX_PICKLE_BYTES = 64 << 20
TENSOR = "tensor"
_MAX_MEMO = 1 << 22
_OPCODES = frozenset(
    (
        *("PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE"),
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
    )
)
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
_ONLY_WEIGHTS = "give a file that holds the weights alone (a state dict saved by torch.save)"
_STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


@dataclass(frozen=True)
class Storage:
    """A flat buffer of the file, by its key."""

    key: str
    dtype: str
    n_elements: int


@dataclass(frozen=True)
class TensorRef:
    """A tensor as the pickle describes it: a window of a buffer."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StateDict(dict):
    """Stands for `collections.OrderedDict`; what the pickle wants to hang on it (`_metadata`) is dropped."""

    def __setstate__(self, state: object) -> None:
        """Ignores attributes."""


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> TensorRef:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("a tensor without buffer, shape or strides")
    sizes = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(size) is int and 0 <= size < 1 << 48 for size in sizes):
        raise ValueError(f"a tensor of shape {shape} and strides {strides}")
    return TensorRef(storage, offset, shape, strides)


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("collections", "OrderedDict"): StateDict,
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Resolves the names of `_ALLOWED`; anything else ends the reading."""

    def __init__(self, file: io.BufferedIOBase, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[(module, name)]
        except KeyError:
            raise bad_input(
                f"{self._path}: its pickle asks for {module}.{name}, which no state dict needs; nothing was run",
                f"do not load this file with torch.load either unless you trust its author; {_ONLY_WEIGHTS}",
            ) from None

    def persistent_load(self, pid: Any) -> Storage:
        if isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage":
            _, dtype, key, _, n_elements, *view = pid
            plain = dtype in _STORAGES.values() and isinstance(key, str) and type(n_elements) is int
            if plain and 0 <= n_elements < 1 << 48 and not any(view):
                return Storage(key, dtype, n_elements)
        raise ValueError(f"it refers to the unexpected buffer {str(pid)[:80]}")


def check_opcodes(program: bytes, path: Path) -> int:
    """Walks the program up to its end without running it; returns its length. Admits known opcodes only."""
    n_bytes = 0
    for opcode, argument, place in pickletools.genops(program):
        if opcode.name not in _OPCODES:
            raise bad_input(
                f"{path}: its pickle uses the opcode {opcode.name} ({str(argument)[:60]}), which no state dict needs; "
                "nothing was run",
                _ONLY_WEIGHTS,
            )
        if opcode.name == "LONG_BINPUT" and argument > _MAX_MEMO:
            raise ValueError(f"it remembers object number {argument}")
        n_bytes = place + 1
    return n_bytes


def load(program: bytes, path: Path) -> tuple[Any, int]:
    """The value of the pickle at the head of `program`, and the number of bytes it takes.

    Raises `SetupError`: `INPUT` for names and opcodes that no state dict needs, `INTEGRITY` for a broken program.
    """
    try:
        n_bytes = check_opcodes(program, path)
        return _Unpickler(io.BytesIO(program[:n_bytes]), path).load(), n_bytes
    except _PICKLE_ERRORS as error:
        raise integrity(f"{path}: its pickle cannot be read ({str(error)[:120]})", "fetch the file again") from None


def state_dict(tree: Any, path: Path) -> dict[str, TensorRef]:
    """The tensors of an unpickled state dict. A training state with the weights inside is refused by its keys; a tensor that was
    saved alone is called `TENSOR`."""
    if isinstance(tree, TensorRef):
        return {TENSOR: tree}
    if not isinstance(tree, dict):
        raise bad_input(f"{path} holds a {type(tree).__name__}, expected a state dict", _ONLY_WEIGHTS)
    strange = [
        str(key)[:60] for key, value in tree.items() if not (isinstance(key, str) and isinstance(value, TensorRef))
    ]
    if strange:
        shown = ", ".join(strange[:4])
        raise bad_input(f"{path} holds {len(strange)} entries that are no tensors: {shown}", _ONLY_WEIGHTS)
    return tree


def check_window(ref: TensorRef, name: str, path: Path) -> None:
    """Refuses a tensor that reaches out of its buffer."""
    n_elements = 1
    last = ref.offset
    for extent, stride in zip(ref.shape, ref.strides, strict=True):
        n_elements *= extent
        last += (extent - 1) * stride
    if n_elements and last >= ref.storage.n_elements:
        raise integrity(
            f"{path}: {name} of shape {list(ref.shape)} reaches element {last} of a buffer of {ref.storage.n_elements}",
            "fetch the file again",
        )


Reader = Callable[[Storage], bytes]
