#!/usr/bin/env python3
"""The version stands under [workspace.package] of Cargo.toml; every place that repeats it is held against that.

usage: scripts/release/versions.py               0: all the same; 1: one differs, each named
       scripts/release/versions.py --tag v0.2.0  0: that tag is of this version, and the changelog has it; 1: not so
       scripts/release/versions.py --self-test   plants a difference in each place, and fails if one goes unseen
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "Cargo.toml"
# Where the version is repeated, and by what words.
COPIES = {
    "CITATION.cff": r"^version: \"?([0-9][^\"\s]*)",
    "python/Cargo.toml": r"^version = \"([^\"]+)\"",
    "python/Cargo.lock": r"name = \"dubench-metrics-python\"\nversion = \"([^\"]+)\"",
    "Cargo.lock": r"name = \"dubench\"\nversion = \"([^\"]+)\"",
}
# What may not say one: maturin takes it from Cargo.toml.
SILENT = {"python/pyproject.toml": r"^version\s*=", "harness/pyproject.toml": r"^version\s*="}


def read(name: str) -> str:
    return (ROOT / name).read_text()


def version() -> str:
    found = re.search(r"\[workspace\.package\]\nversion = \"([^\"]+)\"", read(SOURCE))
    if not found:
        raise SystemExit(f"{SOURCE}: no version under [workspace.package]")
    return found[1]


def faults(texts: dict[str, str], expected: str) -> list[str]:
    found = []
    for name, words in COPIES.items():
        got = re.search(words, texts[name], re.MULTILINE)
        if not got or got[1] != expected:
            found.append(f"{name}: says {got[1] if got else 'no version'}, expected {expected} of {SOURCE}")
    for name, words in SILENT.items():
        if re.search(words, texts[name], re.MULTILINE):
            found.append(f"{name}: says a version of its own, expected dynamic = [\"version\"]")
    return found


def tag_faults(tag: str, expected: str, changelog: str) -> list[str]:
    found = [] if tag == f"v{expected}" else [f"the tag is {tag}, expected v{expected} of {SOURCE}"]
    if not re.search(rf"^## \[{re.escape(expected)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        found.append(f"CHANGELOG.md: has no section [{expected}] with its date: RELEASING.md, step 6")
    return found


def self_test(texts: dict[str, str], expected: str) -> None:
    for name, words in COPIES.items():
        place = re.search(words, texts[name], re.MULTILINE)
        planted = texts[name][: place.start(1)] + "9.9.9" + texts[name][place.end(1) :]
        assert faults(texts | {name: planted}, expected) == [f"{name}: says 9.9.9, expected {expected} of {SOURCE}"], name
    for name in SILENT:
        assert faults(texts | {name: texts[name] + '\nversion = "1"\n'}, expected), name
    assert not tag_faults("v1.2.0", "1.2.0", "## [Unreleased]\n## [1.2.0] - 2026-01-01\n")
    assert len(tag_faults("v1.2.1", "1.2.0", "## [Unreleased]\n## [1.2.0] - unreleased\n")) == 2
    print(f"versions: a difference in each of {len(COPIES) + len(SILENT)} places is seen")


def main() -> int:
    texts = {name: read(name) for name in (*COPIES, *SILENT)}
    expected = version()
    if sys.argv[1:] == ["--self-test"]:
        self_test(texts, expected)
        return 0
    if sys.argv[1:2] == ["--tag"]:
        found = tag_faults(sys.argv[2], expected, read("CHANGELOG.md"))
        print("\n".join(found) or f"versions: {sys.argv[2]}", file=sys.stderr)
        return 1 if found else 0
    found = faults(texts, expected)
    print("\n".join(found) or f"versions: {expected} in {len(COPIES)} places")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
