"""Reads a configuration in the reference code's own words into the `Config` of a builder."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from setup.errors import SetupError, usage

T = TypeVar("T")
_MAX = 1 << 16


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise usage(f"{path} cannot be read ({error.strerror})", "give the path of a JSON file by --config") from None
    except ValueError as error:
        raise usage(f"{path} is no JSON ({error})", "write the configuration as a JSON object") from None
    if not isinstance(value, dict):
        raise usage(f"{path} holds a {type(value).__name__}, expected an object", 'write {"key": value, ...}')
    return value


def fault(key: str, message: str, remedy: str) -> SetupError:
    """A configuration that cannot be, with the key in front."""
    return usage(f"configuration: {key} {message}", remedy)


def config(kind: type[T], raw: Mapping[str, Any], *, fixed: Mapping[str, Any], ignored: Collection[str] = ()) -> T:
    """`kind` from the entries of `raw`; what is left out has the default of `kind`.

    `fixed` are entries of the reference code that the builder knows in one value only; `ignored` do not shape the
    network. Raises `SetupError` (`USAGE`) for unknown keys, wrong types, and values out of range.
    """
    hints = typing.get_type_hints(kind)
    for key, value in raw.items():
        if key in fixed and value != fixed[key]:
            raise fault(key, f"is {value!r}, the importer knows {fixed[key]!r} alone", "export this network by torch")
        if key not in hints and key not in fixed and key not in ignored:
            raise fault(key, "is no known key", f"use {', '.join([*hints, *sorted(fixed), *sorted(ignored)])}")
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in raw and field.default is MISSING:
            raise fault(field.name, "is missing", "write it: the reference code has no default that fits all")
    return kind(**{key: _value(key, raw[key], hint) for key, hint in hints.items() if key in raw})


def _value(key: str, value: Any, hint: Any) -> Any:
    """`value` as `hint` asks for; a list may be written as the reference's command line does, "32,16,8"."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _value(key, value, arguments[0])
    if origin is tuple:
        if isinstance(value, str):
            value = [_number(part) for part in value.split(",")]
        if not isinstance(value, list) or not 0 < len(value) <= 16:
            raise fault(key, f"is {value!r}, expected a list of 1 to 16", 'write [1, 2] or "1,2"')
        return tuple(_value(key, item, arguments[0]) for item in value)
    if hint is bool and value in ("True", "False", "true", "false"):
        return value in ("True", "true")
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise fault(key, f"is {value!r}, expected a {hint.__name__}", "write it as the reference code does")
    if hint in (int, float) and not -1 <= value <= _MAX:
        raise fault(key, f"is {value!r}, expected -1 to {_MAX}", "check the number")
    return value


def _number(text: str) -> Any:
    text = text.strip()
    return int(text) if text.isdigit() else float(text) if text.replace(".", "", 1).isdigit() else text


def positive(config: object, *names: str) -> None:
    """Refuses sizes below 1."""
    for name in names:
        value = getattr(config, name)
        for item in value if isinstance(value, tuple) else (value,):
            if item <= 0:
                raise fault(name, f"is {value}, expected numbers above 0", "check the number")


def divides(divisor: int, number: int, key: str, what: str) -> None:
    """Refuses a size that does not divide."""
    if divisor < 1 or number % divisor:
        raise fault(key, f"gives {what} of {number}, which is no multiple of {divisor}", "check the sizes")
