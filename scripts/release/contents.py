#!/usr/bin/env python3
"""Holds a wheel against what it must be: tag, files, sizes, and nothing that should not travel.

usage: scripts/release/contents.py [--glibc 2.28] [--any-size] WHEEL..      0: as it must be; 1: each fault on a line
--glibc: the newest one that a wheel's tag may ask for; --any-size: of a wheel that was built for a trial
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MB = 1e6
DATA = "data/share/dubench"
# What the limit of a wheel leaves out: the networks that ship, of which there may be more some day.
NETWORKS = re.compile(r".*/experiments/models/ddpm-[^/]+/")


class Promise:
    """What the wheel of one project holds."""

    def __init__(self, tag: str, limit: int, needed: list[str], allowed: str):
        self.tag, self.limit, self.needed, self.allowed = tag, limit, needed, re.compile(allowed)


def shipped() -> list[str]:
    answer = subprocess.run(["git", "ls-files", "experiments"], cwd=ROOT, check=True, capture_output=True, text=True)
    return answer.stdout.splitlines()


def promises() -> dict[str, Promise]:
    package = ["__init__.py", "__init__.pyi", "py.typed", "_core.abi3.so"]
    data = [*shipped(), "LICENCES.txt", "LICENSE-MIT", "LICENSE-APACHE"]
    return {
        "dubench_metrics": Promise(
            r"cp310-abi3-(manylinux|macosx)\w+", 3 * MB, [f"dubench_metrics/{name}" for name in package],
            r"(dubench_metrics|dubench_metrics-[^/]+\.dist-info)/",
        ),
        "dubench": Promise(
            r"py3-none-(manylinux|macosx)\w+", 30 * MB,
            ["scripts/dubench", *(f"{DATA}/{name}" for name in data)],
            r"dubench-[^/]+\.(data|dist-info)/",
        ),
    }  # fmt: skip


def too_new(tag: str, glibc: str | None) -> list[str]:
    """What a wheel for Linux asks of glibc, where that is more than what is promised."""
    asked = re.search(r"manylinux_2_(\d+)_", tag)
    if glibc and asked and int(asked[1]) > int(glibc.removeprefix("2.")):
        return [f"needs glibc 2.{asked[1]}, expected {glibc} at most"]
    return []


def light(wheel: Path) -> float:
    """Bytes without the networks, as they are packed."""
    with zipfile.ZipFile(wheel) as archive:
        networks = sum(entry.compress_size for entry in archive.infolist() if NETWORKS.match(entry.filename))
    return wheel.stat().st_size - networks


def faults(wheel: Path, glibc: str | None, factor: float) -> list[str]:
    project, _, rest = wheel.stem.partition("-")
    promise = promises().get(project)
    if promise is None:
        return [f"is of {project}, which nobody promised"]
    found = []
    tag = rest.split("-", 1)[-1]
    if not re.fullmatch(promise.tag, tag):
        found.append(f"has the tag {tag}, expected {promise.tag}")
    found += too_new(tag, glibc)
    if light(wheel) > factor * promise.limit:
        found.append(f"has {light(wheel) / MB:.1f} MB without networks, expected {promise.limit / MB:.0f} at most")
    with zipfile.ZipFile(wheel) as archive:
        names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    below = {re.sub(r"^dubench-[^/]+\.data/", "", name) for name in names}
    found += [f"lacks {name}" for name in promise.needed if name not in below]
    found += [f"holds {name}, which belongs to nothing" for name in names if not promise.allowed.match(name)]
    data = {f"{DATA}/{name}" for name in shipped()} if project == "dubench" else set()
    experiments = {name for name in below if name.startswith(f"{DATA}/experiments/")}
    found += [f"holds {name}, which is not in the repository" for name in sorted(experiments - data)]
    if not any(name.endswith("METADATA") for name in names):
        found.append("has no METADATA")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--glibc")
    parser.add_argument("--any-size", action="store_true")
    parser.add_argument("wheels", nargs="+", type=Path)
    options = parser.parse_args()
    status = 0
    for wheel in options.wheels:
        found = faults(wheel, options.glibc, math.inf if options.any_size else 1)
        for fault in found:
            print(f"{wheel.name} {fault}", file=sys.stderr)
        status |= bool(found)
        if not found:
            size = f"{wheel.stat().st_size / MB:.1f} MB, {light(wheel) / MB:.1f} without networks"
            print(f"contents: {wheel.name}, {size}, holds what it must and nothing else")
    return status


if __name__ == "__main__":
    sys.exit(main())
