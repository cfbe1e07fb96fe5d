"""Who uses whom: the paths that a module writes, where they lead, and through re-exports to where a name is defined."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from checks.rust import Module, without_test_items

_USE = re.compile(r"(?<![\w$])(?P<visibility>pub(?:\s*\([^)]*\))?\s+)?use\s+(?P<tree>[^;]+);")
_PATH = re.compile(r"(?<![\w:.])(?:\$)?[A-Za-z_]\w*(?:\s*::\s*[A-Za-z_]\w*)+")
_TREE_TOKEN = re.compile(r"::|[{},*]|\bas\b|(?:r#)?\w+")

Path = tuple[str, ...]


@dataclass(frozen=True)
class Import:
    """A name that a `use` brings in: `path` as written, what it is called here, whether it is passed on (`pub use`)."""

    path: Path
    name: str
    passed_on: bool
    line: int


@dataclass(frozen=True)
class Arrow:
    """A use of `target` (an absolute path in the crate, or a crate's name with what follows) by `source`."""

    source: Module
    target: Path
    line: int


def leaves(tree: str) -> Iterator[tuple[Path, str]]:
    """The names of a `use` tree, each with its whole path: `a::{b, c::d as e}` is `(a, b), b` and `(a, c, d), e`."""
    tokens = [match.group(0) for match in _TREE_TOKEN.finditer(tree)]
    prefixes: list[Path] = [()]
    path: Path = ()
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token == "{":
            prefixes.append(path)
        elif token in (",", "}"):
            if token == "}":
                prefixes.pop()
            path = prefixes[-1]
        elif token != "::":
            path = (*path, token)
            behind = tokens[place + 1 : place + 3]
            if behind[:1] == ["as"]:
                yield path, behind[1]
                place += 2
            elif behind[:1] != ["::"]:
                whole = path[:-1] if token == "self" and len(path) > 1 else path
                yield whole, whole[-1]
        place += 1


class Crate:
    """The modules of one library, and the names that lead from one to another. Code for tests alone is left out."""

    def __init__(self, root: Module, others: tuple[str, ...] = ()) -> None:
        """`root` is the crate's top; `others` are the names of crates that count as places beside its own modules."""
        self.root = root
        self.others = others
        self.modules = {module.path: module for module in root.walk() if not module.for_tests}
        self._code = {path: without_test_items(module.code) for path, module in self.modules.items()}
        self._imports = {path: list(self._read_imports(path)) for path in self.modules}

    def _line(self, path: Path, place: int) -> int:
        return self.modules[path].first_line + self._code[path].count("\n", 0, place)

    def _read_imports(self, here: Path) -> Iterator[Import]:
        for match in _USE.finditer(self._code[here]):
            line = self._line(here, match.start("tree"))
            for path, name in leaves(match["tree"]):
                yield Import(path, name, bool(match["visibility"]), line)

    def absolute(self, here: Path, path: Path, from_use: bool = False) -> Path | None:
        """`path`, written in the module `here`, from the top of the crate; None where it leaves the crate."""
        first, rest = path[0].removeprefix("$"), path[1:]
        if first == "crate":
            return rest
        if first == "self":
            return (*here, *rest)
        while first == "super":
            here, path = here[:-1], path[1:]
            if not path or path[0] != "super":
                return (*here, *path)
        if self.root.find((*here, first)):
            return (*here, *path)
        if not from_use:
            for known in self._imports[here]:
                if known.name == first:
                    target = self.absolute(here, known.path, from_use=True)
                    return (*target, *rest) if target is not None else None
        return path if first in self.others else None

    def definition(self, path: Path, seen: frozenset[Path] = frozenset()) -> Path | None:
        """The module in which the thing at the absolute `path` is defined; None where it is another crate's."""
        if path in seen:
            return None
        here: Path = ()
        for depth, name in enumerate(path):
            if (*here, name) in self.modules:
                here = (*here, name)
                continue
            for known in self._imports.get(here, []):
                if known.name == name:
                    target = self.absolute(here, known.path, from_use=True)
                    return None if target is None else self.definition((*target, *path[depth + 1 :]), seen | {path})
            return here if path[:1] not in [(other,) for other in self.others] else None
        return here

    def arrows(self) -> Iterator[Arrow]:
        """Every path that is written, in a `use` or in the code, and stays in the crate or in one of `others`."""
        for here in self.modules:
            yield from self._written_imports(here)
            yield from self._written_paths(here)

    def file_arrows(self) -> Iterator[Arrow]:
        """From each module to the modules that define what it uses. A name that is only passed on binds nothing."""
        for here in self.modules:
            for arrow in (*self._written_imports(here, binding=True), *self._written_paths(here)):
                defined = self.definition(arrow.target)
                if defined is not None:
                    yield Arrow(arrow.source, defined, arrow.line)

    def _written_imports(self, here: Path, binding: bool = False) -> Iterator[Arrow]:
        code = _USE.sub("", self._code[here])
        for known in self._imports[here]:
            target = self.absolute(here, known.path, from_use=True)
            passed_on = known.passed_on and not re.search(rf"(?<!\w){re.escape(known.name)}\b", code)
            if target is not None and not (binding and (target in self.modules or passed_on)):
                yield Arrow(self.modules[here], target, known.line)

    def _written_paths(self, here: Path) -> Iterator[Arrow]:
        module = self.modules[here]
        code = _USE.sub(lambda use: "\n" * use.group(0).count("\n"), self._code[here])
        for match in _PATH.finditer(code):
            target = self.absolute(here, tuple(re.split(r"\s*::\s*", match.group(0))))
            if target is not None:
                yield Arrow(module, target, module.first_line + code.count("\n", 0, match.start()))
