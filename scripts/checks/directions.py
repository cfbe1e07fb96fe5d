"""Holds the imports of a workspace against the table in `layers`: directions between modules, circles between files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from checks import layers
from checks.circles import circles
from checks.imports import Crate
from checks.rust import Target, targets

HARNESS = "harness"
TABLE = "scripts/checks/layers.py"


@dataclass(frozen=True)
class Table:
    """What may be, and what is not so yet. See `layers` for the meaning of each part."""

    base: tuple[str, ...] = layers.BASE
    may_use: dict[str, tuple[str, ...]] = field(default_factory=lambda: layers.MAY_USE)
    only_for: dict[str, tuple[str, ...]] = field(default_factory=lambda: layers.ONLY_FOR)
    departures: tuple[tuple[str, str, str], ...] = layers.DEPARTURES
    circles: tuple[tuple[str, frozenset[str], str], ...] = layers.CIRCLES


def _covers(name: str, path: Sequence[str]) -> bool:
    """Whether `name` is the place at `path` or one above it."""
    parts = tuple(name.split("::"))
    return tuple(path[: len(parts)]) == parts


def _longest(names: Iterable[str], path: Sequence[str]) -> str | None:
    return max((name for name in names if _covers(name, path)), key=len, default=None)


def table_violations(table: Table, modules: Iterable[str]) -> list[str]:
    """What is wrong with the table itself: modules without a row, rows without a module, circles in what should be."""
    tops = {row.split("::")[0] for row in table.may_use}
    modules = set(modules)
    found = [f"{name} has no row in MAY_USE of {TABLE}: say what it may use" for name in sorted(modules - tops)]
    found += [f"{name} has a row in MAY_USE of {TABLE} and is no module: remove it" for name in sorted(tops - modules)]
    uses = {row: [name for name in table.may_use if name in allowed] for row, allowed in table.may_use.items()}
    found += [f"MAY_USE of {TABLE} goes round in a circle: {' -> '.join(circle)}" for circle in circles(uses)]
    return found


def direction_violations(crate: Crate, root: Path, table: Table) -> list[str]:
    """One line for every arrow that the table does not allow, and for every departure that nothing needs."""
    found, needed = [], set()
    for arrow in crate.arrows():
        source, target = arrow.source.path, arrow.target
        known = target[:1] in crate.modules or target[:1] in [(other,) for other in crate.others]
        refusal = _refusal(source, target, table) if source and known and source[0] != target[0] else None
        if refusal is None:
            continue
        departure = next((row for row in table.departures if _covers(row[0], source) and _covers(row[1], target)), None)
        if departure is None:
            place = f"{arrow.source.file.relative_to(root).as_posix()}:{arrow.line}"
            found.append(f"{place}: {'::'.join(source)} uses {'::'.join(target)}: {refusal}")
        needed.add(departure)
    found += [
        f"nothing in {source} uses {target} any more: remove its row from DEPARTURES of {TABLE}"
        for source, target, why in table.departures
        if (source, target, why) not in needed
    ]
    return found


def _refusal(source: Sequence[str], target: Sequence[str], table: Table) -> str | None:
    """Why `source` may not use `target`; None where it may."""
    part = _longest(table.only_for, target)
    if part is not None and _longest(table.only_for[part], source) is None:
        return f"{part} is for {', '.join(table.only_for[part])} alone"
    row = _longest(table.may_use, source)
    allowed = (*table.base, *table.may_use.get(row or "", ()))
    return None if _longest(allowed, target) else f"{row or source[0]} may use {', '.join(allowed) or 'nothing'}"


def _is_above(upper: Sequence[str], lower: Sequence[str]) -> bool:
    return tuple(lower[: len(upper)]) == tuple(upper)


def file_circles(crate: Crate, src: Path) -> list[frozenset[str]]:
    """Sets of files below `src` that use each other in a circle.

    A module's own file and the files inside the module are one thing: that these use what it defines closes no circle.
    """
    uses: dict[str, list[str]] = {}
    for arrow in crate.file_arrows():
        source, target = arrow.source, crate.modules[arrow.target]
        if source.file != target.file and not _is_above(target.path, source.path):
            uses.setdefault(source.file.relative_to(src).as_posix(), []).append(target.file.relative_to(src).as_posix())
    return [frozenset(circle) for circle in circles(uses)]


def circle_violations(package: str, found: list[frozenset[str]], table: Table) -> Iterator[str]:
    """One line for every circle of files that the table does not name, and for every one it names that is gone."""
    known = [files for folder, files, _ in table.circles if folder == package]
    for files in found:
        if files not in known:
            yield f"{package}/src: these files use each other in a circle: {', '.join(sorted(files))}"
    for files in known:
        if files not in found:
            named = ", ".join(sorted(files))
            yield f"{package}/src: no circle any more, or another one: {named}: correct CIRCLES of {TABLE}"


def violations(root: Path, table: Table | None = None) -> list[str]:
    """Everything in the workspace at `root` that the table does not allow."""
    table = table or Table()
    libraries = [target for target in targets(root) if target.kind == "lib"]
    found = []
    for library in libraries:
        crate = Crate(library.root, _others(library, libraries))
        if library.folder == HARNESS:
            found += table_violations(table, [path[0] for path in crate.modules if len(path) == 1])
            found += direction_violations(crate, root, table)
        found += circle_violations(library.folder, file_circles(crate, root / library.folder / "src"), table)
    return found


def _others(library: Target, libraries: list[Target]) -> tuple[str, ...]:
    return tuple(other.crate for other in libraries if other is not library)
