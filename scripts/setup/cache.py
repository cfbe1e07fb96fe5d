"""The cache folder: where it is, and what fits on its disk. `dubench setup` fills it (harness/src/assets)."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
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
