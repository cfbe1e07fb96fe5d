"""Files cut into pieces that a narrow door lets through, and put together again. Every hash is checked on the way.

A load is one stream of all its files, one behind another, cut at a fixed length. Each piece travels in a folder of its own
with the same `load.json`, which names all pieces and all files with their SHA-256, so that any order and any repetition
of pieces gives the same files, and nothing is used before all of it is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

LOAD = "load.json"
BLOCK = 1 << 20


def publish(path: Path, content: bytes) -> None:
    """Writes the whole file or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stream(files: Mapping[str, Path]) -> Iterator[bytes]:
    for path in files.values():
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block


def cut(files: Mapping[str, Path], folder: Path, limit: int) -> list[Path]:
    """Writes `folder/piece-00`, `piece-01`, ... of at most `limit` bytes each; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"gpu: {folder} is not empty: name a new folder")
    names: list[str] = []
    room, file = 0, None
    for block in _stream(files):
        while block:
            if room == 0:
                if file is not None:
                    file.close()
                names.append(f"piece-{len(names):02d}")
                (folder / names[-1]).mkdir()
                file, room = (folder / names[-1] / "bytes").open("wb"), limit
            file.write(block[:room])
            block, room = block[room:], max(0, room - len(block))
    if file is None:
        sys.exit("gpu: there is nothing to pack")
    file.close()
    load = {
        "pieces": {name: digest(folder / name / "bytes") for name in names},
        "files": [
            {"name": name, "bytes": path.stat().st_size, "sha256": digest(path), "runs": os.access(path, os.X_OK)}
            for name, path in files.items()
        ],
    }
    text = (json.dumps(load, indent=1) + "\n").encode()
    for name in names:
        publish(folder / name / LOAD, text)
    return [folder / name for name in names]


def keep(piece: Path, box: Path) -> list[str]:
    """Checks a piece and puts it aside in `box`; returns the names of those that have not come yet."""
    load = json.loads((piece / LOAD).read_text())
    known = box / LOAD
    if known.exists() and json.loads(known.read_text()) != load:
        sys.exit(f"gpu: {piece} is of another load than {box} holds: name another --box")
    if piece.name not in load["pieces"]:
        sys.exit(f"gpu: {piece} is no piece of its load: keep the name of its folder")
    got, expected = digest(piece / "bytes"), load["pieces"][piece.name]
    if got != expected:
        sys.exit(f"gpu: {piece} has SHA-256 {got}, expected {expected}: send it again")
    box.mkdir(parents=True, exist_ok=True)
    partial = box / f".{piece.name}"
    shutil.copyfile(piece / "bytes", partial)
    partial.replace(box / piece.name)
    publish(known, (piece / LOAD).read_bytes())
    return [name for name in load["pieces"] if not (box / name).exists()]


def join(box: Path, folder: Path) -> dict[str, Path]:
    """All files of the load in `box`, checked, below `folder`; exits with the missing pieces by name."""
    if not (box / LOAD).exists():
        sys.exit(f"gpu: nothing has come to {box} yet: run.sh keep PIECE first")
    load = json.loads((box / LOAD).read_text())
    missing = [name for name in load["pieces"] if not (box / name).exists()]
    if missing:
        sys.exit(f"gpu: {', '.join(missing)} of {len(load['pieces'])} pieces have not come to {box}: run.sh keep them")
    blocks = _stream({name: box / name for name in load["pieces"]})
    rest, files = b"", {}
    for entry in load["files"]:
        path = folder / entry["name"]
        if not path.resolve().is_relative_to(folder.resolve()):
            sys.exit(f"gpu: {entry['name']} lies outside the load: it is not one of run.sh pack")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, left = path.with_name(f".{path.name}"), entry["bytes"]
        with partial.open("wb") as file:
            while left:
                rest = rest or next(blocks, b"")
                if not rest:
                    sys.exit(f"gpu: the pieces in {box} end inside {entry['name']}: send them again")
                file.write(rest[:left])
                rest, left = rest[left:], max(0, left - len(rest))
        if (got := digest(partial)) != entry["sha256"]:
            sys.exit(f"gpu: {entry['name']} has SHA-256 {got}, expected {entry['sha256']}: send its pieces again")
        partial.chmod(0o755 if entry["runs"] else 0o644)
        partial.replace(path)
        files[entry["name"]] = path
    return files


def small_enough(folder: Path, limit: int) -> None:
    """Replaces every file of `folder` above `limit` bytes by pieces `NAME.00`, ..., and notes all hashes in `hashes.json`."""
    whole = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        whole[name] = digest(path)
        if path.stat().st_size > limit:
            with path.open("rb") as file:
                for number in range(10_000):
                    if not (part := file.read(limit)):
                        break
                    publish(path.with_name(f"{path.name}.{number:02d}"), part)
            path.unlink()
    publish(folder / "hashes.json", (json.dumps(whole, indent=1) + "\n").encode())


def together(folder: Path, target: Path) -> list[str]:
    """What `small_enough` left in `folder`, whole and checked, in `target`; returns the names."""
    hashes = json.loads((folder / "hashes.json").read_text())
    for name, expected in hashes.items():
        source, path = folder / name, target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = [source] if source.exists() else sorted(source.parent.glob(f"{source.name}.[0-9][0-9]"))
        publish(path, b"".join(part.read_bytes() for part in parts))
        if (got := digest(path)) != expected:
            sys.exit(f"gpu: {name} came back with SHA-256 {got}, expected {expected}: fetch it again")
    return list(hashes)
