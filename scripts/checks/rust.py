"""Reads the Rust sources of a workspace as text: packages, their targets, the tree of modules, tests.

This is no compiler. It knows what these checks need: comments and texts are blanked, `mod` declarations are followed
from the root of each target as rustc follows them, and a file that no `mod` names does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_COMMENT_OR_TEXT = re.compile(
    r"""//[^\n]*"""
    r"""|/\*.*?\*/"""
    r"""|'(?:\\u\{[0-9a-fA-F_]+\}|\\.|[^'\\])'"""
    r"""|r(\#*)".*?"\1"""
    r'''|"(?:\\.|[^"\\])*"''',
    re.DOTALL,
)
_ATTRIBUTE = r"\#!?\[(?:[^\[\]]|\[(?:[^\[\]]|\[[^\[\]]*\])*\])*\]"
_ATTRIBUTES = rf"(?P<attributes>(?:{_ATTRIBUTE}\s*)*)"
_VISIBILITY = r"(?:pub(?:\s*\([^)]*\))?\s+)?"
_MODULE = re.compile(rf"{_ATTRIBUTES}(?<![\w$]){_VISIBILITY}mod\s+(?P<name>\w+)\s*(?P<end>[;{{])")
_FUNCTION = re.compile(rf"{_ATTRIBUTES}(?<![\w$]){_VISIBILITY}(?:async\s+)?(?:unsafe\s+)?fn\s+(?P<name>\w+)")
_TEST_ONLY = re.compile(r"#\[\s*cfg\s*\(\s*test\s*\)\s*\]")
_TEST_ATTRIBUTE = re.compile(r"#\[\s*(?:\w+\s*::\s*)*test\s*(?:\([^\]]*\))?\s*\]")
_IGNORED = re.compile(r"#\[\s*ignore\b")
_LEADING_ATTRIBUTES = re.compile(rf"(?:\s*{_ATTRIBUTE})*\s*")


def code_of(source: str) -> str:
    """The source with comments and string literals blanked out, line numbers kept."""
    return _COMMENT_OR_TEXT.sub(lambda match: "\n" * match.group(0).count("\n") + " ", source)


def blanked(code: str, start: int, end: int) -> str:
    """`code` with `start..end` blanked out, line numbers kept."""
    return code[:start] + "\n" * code.count("\n", start, end) + code[end:]


def end_of_block(code: str, opening: int) -> int:
    """Where the block ends that the brace at `opening` begins: behind its closing brace, or the end of the code."""
    depth = 0
    for place in range(opening, len(code)):
        depth += {"{": 1, "}": -1}.get(code[place], 0)
        if depth == 0:
            return place + 1
    return len(code)


def end_of_item(code: str, start: int) -> int:
    """Where the item that begins at `start` ends, attributes in front included: behind its `;` or its block."""
    start = _LEADING_ATTRIBUTES.match(code, start).end()
    imports = re.match(rf"{_VISIBILITY}use\b", code[start:])
    depth = 0
    for place in range(start, len(code)):
        if code[place] == "{" and depth == 0 and not imports:
            return end_of_block(code, place)
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(code[place], 0)
        if code[place] == ";" and depth == 0:
            return place + 1
    return len(code)


def without_test_items(code: str) -> str:
    """The code without the items that are compiled for tests alone."""
    while match := _TEST_ONLY.search(code):
        code = blanked(code, match.start(), end_of_item(code, match.end()))
    return code


@dataclass
class Module:
    """One module: where it lies, its own code (that of modules inside it blanked), and the modules inside."""

    path: tuple[str, ...]
    file: Path
    code: str
    first_line: int
    for_tests: bool
    children: dict[str, Module] = field(default_factory=dict)

    def walk(self) -> Iterator[Module]:
        """This module and all below it, from the top."""
        yield self
        for child in self.children.values():
            yield from child.walk()

    def find(self, path: tuple[str, ...]) -> Module | None:
        """The module at `path` below this one."""
        here: Module | None = self
        for name in path:
            here = here.children.get(name) if here else None
        return here

    def tests(self) -> set[str]:
        """Names of the test functions in this module itself. One that is ignored holds nothing."""
        return {
            match["name"]
            for match in _FUNCTION.finditer(self.code)
            if _TEST_ATTRIBUTE.search(match["attributes"]) and not _IGNORED.search(match["attributes"])
        }


@dataclass(frozen=True)
class Target:
    """A crate that cargo builds: a library, a program, a set of tests or an example."""

    package: str
    folder: str
    kind: str
    name: str
    root: Module

    @property
    def crate(self) -> str:
        """The name by which other crates use it."""
        return self.name.replace("-", "_")


def read_module(path: tuple[str, ...], file: Path, folder: Path, for_tests: bool = False) -> Module:
    """The module in `file`, with all below it; files of the modules inside it lie in `folder`."""
    code = code_of(file.read_text(encoding="utf-8"))
    return _with_children(Module(path, file, code, 1, for_tests), folder)


def _with_children(module: Module, folder: Path) -> Module:
    place = 0
    while match := _MODULE.search(module.code, place):
        name, code = match["name"], module.code
        path = (*module.path, name)
        for_tests = module.for_tests or bool(_TEST_ONLY.search(match["attributes"]))
        if match["end"] == "{":
            end = end_of_block(code, match.end() - 1)
            line = module.first_line + code.count("\n", 0, match.end())
            inside = Module(path, module.file, code[match.end() : end - 1], line, for_tests)
            module.children[name] = _with_children(inside, folder / name)
            module.code = blanked(code, match.start(), end)
            place = match.start()
            continue
        for file, below in ((folder / f"{name}.rs", folder / name), (folder / name / "mod.rs", folder / name)):
            if file.is_file():
                module.children[name] = read_module(path, file, below, for_tests)
        place = match.end()
    return module


def members(root: Path) -> list[Path]:
    """Folders of the packages of the workspace at `root`, in its own order. Raises where it names none."""
    manifest = (root / "Cargo.toml").read_text(encoding="utf-8")
    listed = re.search(r"^members\s*=\s*\[(.*?)\]", manifest, re.MULTILINE | re.DOTALL)
    patterns = re.findall(r'"([^"]+)"', listed.group(1)) if listed else []
    folders = [folder for pattern in patterns for folder in sorted(root.glob(pattern)) if folder.is_dir()]
    if not folders:
        raise RuntimeError(f"{root / 'Cargo.toml'} names no package under `members`")
    return folders


def package_name(folder: Path) -> str:
    """The name that the manifest in `folder` gives its package. Raises where it gives none."""
    manifest = (folder / "Cargo.toml").read_text(encoding="utf-8")
    package = re.search(r'^\[package\][^\[]*?^name\s*=\s*"([^"]+)"', manifest, re.MULTILINE | re.DOTALL)
    if not package:
        raise RuntimeError(f"{folder / 'Cargo.toml'} names no package")
    return package.group(1)


def targets(root: Path) -> list[Target]:
    """Every target of every package of the workspace at `root`."""
    found = []
    for folder in members(root):
        package, place = package_name(folder), folder.relative_to(root).as_posix()
        roots = [("lib", package, folder / "src" / "lib.rs"), ("bin", package, folder / "src" / "main.rs")]
        for kind in ("tests", "examples", "benches"):
            roots += [(kind, file.stem, file) for file in sorted((folder / kind).glob("*.rs"))]
            roots += [(kind, file.parent.name, file) for file in sorted((folder / kind).glob("*/main.rs"))]
        for kind, name, file in roots:
            if file.is_file():
                found.append(Target(package, place, kind, name, read_module((), file, file.parent)))
    return found
