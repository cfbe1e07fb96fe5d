"""The cache folder: where it is, and how a file gets into it whole or not at all.

Layout: `downloads/` (archives as fetched, may be deleted), `locks/`, and one folder for each kind of finished asset.
Beside each finished file `F` stands `F.ok.json` with the size, modification time and SHA-256 that were true when it
was hashed, so that a later run can trust it without reading 87 MB again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import resources

_BLOCK = 1 << 20


def cache_root() -> Path:
    """`$DUBENCH_CACHE`, else the platform's user cache folder."""
    chosen = os.environ.get("DUBENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dubench"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "dubench"


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file, read in blocks of 1 MiB."""
    state = hashlib.new(algorithm)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def require_space(folder: Path, n_bytes: int) -> None:
    """Refuses to start on a write of `n_bytes` that the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise resources(
            f"{folder} has {free / 1e6:.0f} MB free, {n_bytes / 1e6:.0f} MB are needed",
            "free some disk space or point DUBENCH_CACHE at a larger disk",
        )


@contextlib.contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`; on success it is synced and renamed onto `target`, else removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Holds the lock `name`; a second process waits and says so. The kernel drops the lock if the holder dies."""
    path = root / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"setup: another process is preparing {name}, waiting for it", file=sys.stderr)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _stamp_path(path: Path) -> Path:
    return path.with_name(path.name + ".ok.json")


def write_stamp(path: Path, sha256: str) -> None:
    """Records that `path`, as it is now, has this hash."""
    status = path.stat()
    record = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256}
    with publish(_stamp_path(path)) as temporary:
        temporary.write_text(json.dumps(record, sort_keys=True) + "\n", encoding="utf-8")


def remove_stamp(path: Path) -> None:
    """Makes the next run hash `path` again."""
    _stamp_path(path).unlink(missing_ok=True)


def stamp_holds(path: Path, sha256: str) -> bool:
    """True if `path` was hashed to `sha256` once and neither its size nor its modification time changed since."""
    try:
        record = json.loads(_stamp_path(path).read_text(encoding="utf-8"))
        status = path.stat()
    except (OSError, ValueError):
        return False
    return record == {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256}
