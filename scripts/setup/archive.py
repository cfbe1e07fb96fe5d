"""Takes named members out of a zip, a gzipped tar or a Debian package, after every name in it was looked at.

Nothing is ever written under a name that the archive chose; the whole archive is refused all the same if one of its
names would leave its folder, because such an archive is not the one that was pinned.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from .errors import integrity

_MAX_ENTRIES = 20_000
_MAX_MEMBER_BYTES = 1 << 30
_REMEDY = "move it out of the downloads folder and run setup again"


def extract(archive: Path, members: Iterable[str], folder: Path) -> dict[str, Path]:
    """Writes each of `members` as `folder/<last part of its name>`; returns member -> path.

    Raises `SetupError` (integrity) on an unsafe name, a link, a missing or oversized member, or a damaged archive.
    """
    wanted = set(members)
    found: dict[str, Path] = {}
    try:
        with _entries(archive) as entries:
            for n_seen, (name, size, stream) in enumerate(entries, start=1):
                _check_name(archive, name)
                if n_seen > _MAX_ENTRIES:
                    raise integrity(f"{archive.name} has more than {_MAX_ENTRIES} entries", _REMEDY)
                if name in wanted:
                    found[name] = _write(archive, name, size, stream, folder)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise integrity(f"{archive.name} is damaged ({error})", _REMEDY) from None
    missing = sorted(wanted - set(found))
    if missing:
        raise integrity(f"{archive.name} does not hold {missing[0]}", _REMEDY)
    return found


class _Lazy:
    """Opens a zip member only if somebody reads it."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        self._archive, self._entry = archive, entry
        self._stream: IO[bytes] | None = None

    def read(self, size: int = -1) -> bytes:
        if self._stream is None:
            self._stream = self._archive.open(self._entry)
        return self._stream.read(size)


@contextmanager
def _entries(archive: Path) -> Iterator[Iterator[tuple[str, int, IO[bytes] | _Lazy]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield ((entry.filename, entry.file_size, _Lazy(opened, entry)) for entry in opened.infolist())
    elif archive.suffix == ".deb":
        with archive.open("rb") as package:
            _seek_deb_data(archive, package)
            with tarfile.open(fileobj=package, mode="r|xz") as opened:
                yield _tar_entries(archive, opened)
    else:
        with tarfile.open(archive, "r|gz") as opened:
            yield _tar_entries(archive, opened)


def _seek_deb_data(archive: Path, package: IO[bytes]) -> None:
    """Moves to `data.tar.xz`, the last member of the `ar` archive that a Debian package is (deb(5))."""
    if package.read(8) != b"!<arch>\n":
        raise integrity(f"{archive.name} is no Debian package", _REMEDY)
    while len(header := package.read(60)) == 60:
        name, size = header[:16].decode("ascii", "replace").strip(" /"), header[48:58].strip()
        if name == "data.tar.xz":
            return
        if not size.isdigit():
            break
        package.seek(int(size) + int(size) % 2, 1)
    raise integrity(f"{archive.name} holds no data.tar.xz", _REMEDY)


def _tar_entries(archive: Path, opened: tarfile.TarFile) -> Iterator[tuple[str, int, IO[bytes]]]:
    for entry in opened:
        if entry.isdir():
            _check_name(archive, entry.name)
            continue
        if entry.issym() and archive.suffix == ".deb":
            continue
        stream = opened.extractfile(entry) if entry.isreg() else None
        if stream is None:
            raise integrity(f"{archive.name}: {entry.name!r} is a link or a device", _REMEDY)
        yield entry.name, entry.size, stream


def _check_name(archive: Path, name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise integrity(f"{archive.name} holds the unsafe name {name!r}", _REMEDY)


def _write(archive: Path, name: str, size: int, stream: IO[bytes] | _Lazy, folder: Path) -> Path:
    if size > _MAX_MEMBER_BYTES:
        raise integrity(f"{archive.name}: {name} has {size} bytes, at most {_MAX_MEMBER_BYTES} expected", _REMEDY)
    target = folder / PurePosixPath(name).name
    with target.open("xb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
    if target.stat().st_size != size:
        raise integrity(f"{archive.name}: {name} has {target.stat().st_size} bytes, its header says {size}", _REMEDY)
    return target
