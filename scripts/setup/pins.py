"""The typed form of `experiments/assets.yaml`: every asset with its pins, checked before anything is downloaded."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from .errors import SetupError, bad_input, usage

FORMAT = 1
DEVICES = ("cpu", "cuda", "openvino")


@dataclass(frozen=True)
class Source:
    """One place to get an archive from. Exactly one of `npm`, `pypi` (name==version), `apt` (name=version) and `url` is set."""

    file: str
    bytes: int
    layout: str = ""
    sha256: str = ""
    md5: str = ""
    npm: str = ""
    pypi: str = ""
    wheel_platform: str = ""
    wheel_python: str = ""
    apt: str = ""
    url: str = ""

    @property
    def checksum(self) -> tuple[str, str]:
        """Algorithm and expected hex digest; MD5 only where that is all the publisher gives."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)

    @property
    def label(self) -> str:
        """What a person would call this place."""
        for kind, package in (("npm", self.npm), ("PyPI", self.pypi), ("Debian", self.apt)):
            if package:
                return f"{kind} package {package}"
        return self.url


@dataclass(frozen=True)
class Output:
    """One finished file: its path below the cache folder and its hash. `member` is its name inside the archive."""

    path: str
    bytes: int
    sha256: str
    md5: str = ""
    member: str = ""


@dataclass(frozen=True)
class Asset:
    """Something the harness needs at run time, and the way from an archive to its finished files."""

    name: str
    kind: str
    version: str
    licence: str
    build: str
    devices: tuple[str, ...]
    sources: tuple[Source, ...]
    outputs: tuple[Output, ...]
    platform: str = ""
    origin: str = ""


def this_platform() -> str:
    """`linux-x86_64`, `linux-aarch64`, `macos-arm64`, ...: the words used in `assets.yaml`."""
    system = "macos" if sys.platform == "darwin" else sys.platform
    machine = platform.machine().lower()
    return f"{system}-{'x86_64' if machine == 'amd64' else machine}"


def _build(kind: type, record: Any, where: str) -> Any:
    if not isinstance(record, Mapping):
        raise bad_input(f"{where} is a {type(record).__name__}, expected a mapping", "fix the entry")
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(record) - set(known))
    if unknown:
        raise bad_input(f"{where} has the unknown key {unknown[0]!r}", f"use one of {', '.join(known)}")
    for key, value in record.items():
        expected = {"str": str, "int": int}.get(str(known[key].type), tuple)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise bad_input(f"{where}.{key} is {value!r}, expected {expected.__name__}", "quote it if it is a version")
    try:
        return kind(**record)
    except TypeError as error:
        raise bad_input(f"{where}: {error}", "add the missing key") from None


def _check_source(source: Source, where: str) -> Source:
    if sum(bool(way) for way in (source.npm, source.pypi, source.apt, source.url)) != 1:
        raise bad_input(f"{where} names no single place", "give exactly one of npm, pypi, apt, url")
    if not (source.sha256 or source.md5):
        raise bad_input(f"{where} has no pinned hash", "add its sha256: nothing is downloaded without one")
    if "/" in source.file or source.file.startswith("."):
        raise bad_input(f"{where}: file {source.file!r} is no plain name", "give the archive's file name only")
    return source


def _check_output(output: Output, where: str) -> Output:
    path = PurePosixPath(output.path)
    if path.is_absolute() or ".." in path.parts:
        raise bad_input(f"{where}: {output.path} leaves the cache folder", "give a path below it")
    return output


def _asset(record: Any, where: str) -> Asset:
    if not isinstance(record, Mapping):
        raise bad_input(f"{where} is a {type(record).__name__}, expected a mapping", "fix the entry")
    record = dict(record)
    for key, kind, check in (("sources", Source, _check_source), ("outputs", Output, _check_output)):
        entries = record.get(key) or []
        record[key] = tuple(
            check(_build(kind, entry, f"{where}.{key}[{index}]"), f"{where}.{key}[{index}]")
            for index, entry in enumerate(entries)
        )
        if not record[key]:
            raise bad_input(f"{where}.{key} is empty", "name at least one")
    record["devices"] = tuple(record.get("devices") or ())
    return _build(Asset, record, where)


def load(path: Path) -> list[Asset]:
    """All assets of the file, in its order. Raises `SetupError` with file and key path on anything unexpected."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError) as error:
        raise bad_input(f"{path} cannot be read ({error})".replace("\n", " "), "restore it from git") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise bad_input(f"{path} is not of format {FORMAT}", "restore it from git")
    try:
        return [_asset(record, f"assets[{index}]") for index, record in enumerate(document.get("assets") or [])]
    except SetupError as error:
        error.message = f"{path}: {error.message}"
        raise


def select(assets: list[Asset], device: str, only: list[str], machine: str) -> list[Asset]:
    """The assets that `device` needs on `machine`, or those named by `only`."""
    names = {asset.name for asset in assets}
    for name in only:
        if name not in names:
            raise usage(f"there is no asset {name!r}", f"use one of {', '.join(sorted(names))}")
    wanted = set(only) or {asset.name for asset in assets if device in asset.devices}
    chosen = [asset for asset in assets if asset.name in wanted and asset.platform in ("", machine)]
    absent = sorted(wanted - {asset.name for asset in chosen})
    if absent:
        raise usage(
            f"{absent[0]} has no pinned build for {machine}",
            "set ORT_DYLIB_PATH to a library of your own and run setup with --only for the other assets",
        )
    return chosen
