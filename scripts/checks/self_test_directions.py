"""Plants violations of every kind that `directions` looks for, and tells which of them it misses."""

from __future__ import annotations

import tempfile
from pathlib import Path

from checks import directions
from checks.directions import Table

_WORKSPACE = {
    "Cargo.toml": '[workspace]\nmembers = ["metrics", "harness"]\n',
    "metrics/Cargo.toml": '[package]\nname = "dubench-metrics"\n',
    "metrics/src/lib.rs": "pub struct Gaussian;",
    "harness/Cargo.toml": '[package]\nname = "dubench"\n',
    "harness/src/lib.rs": "pub mod config;\npub mod model;\npub mod plan;\npub mod report;\npub mod units;\n",
    "harness/src/units.rs": "pub struct Id;",
    "harness/src/config/mod.rs": (
        "mod file;\nmod text;\npub use file::File;\npub use text::Text;\npub struct Reader(Option<File>);"
    ),
    "harness/src/config/file.rs": "use super::Reader;\npub struct File;",
    "harness/src/model.rs": "pub mod onnx;\npub trait Denoiser {}",
    "harness/src/model/onnx.rs": "pub struct Session;",
    "harness/src/plan.rs": (
        "mod row;\nmod cut;\nmod name;\npub use row::Row;\nuse crate::{config::File, units::Id, model::Denoiser};"
    ),
    "harness/src/plan/row.rs": (
        "use super::name::Name;\n// crate::report::Sheet\npub struct Row(Name);\n"
        "#[cfg(test)]\nmod tests {\n    use crate::report::Sheet;\n}\n#[cfg(test)]\nuse crate::report::Sheet;\n"
    ),
    "harness/src/plan/name.rs": "pub use super::row::Row as Line;\npub struct Name;",
    "harness/src/plan/cut.rs": "use crate::plan::Row;\npub struct Cut(Row);",
    "harness/src/config/text.rs": "use super::file::File;\npub struct Text;",
    "harness/src/extra.rs": "",
    "harness/src/report.rs": "use dubench_metrics::Gaussian;\nuse crate::plan::Row;\npub struct Sheet;",
}
_TABLE = Table(
    base=("units",),
    may_use={"units": (), "config": (), "model": (), "plan": ("config", "model"), "report": ("plan",)},
    only_for={"model::onnx": ("report",)},
    departures=(("report", "dubench_metrics::Gaussian", "planted"),),
    circles=(),
)

# What is planted: where, the text in front of what stands there, and a part of the line that must come of it.
_PLANTED = (
    ("config/mod.rs", "use crate::plan::Row;", "mod.rs:1: config uses plan::Row: config may use units"),
    ("config/file.rs", "use crate::{units::{Id}, plan::{self, Row as R}};", "config::file uses plan::Row"),
    ("config/file.rs", "fn f() { super::super::plan::g(); }", "config::file uses plan::g"),
    ("config/file.rs", "fn f(x: &'a dyn $crate::report::Sheet) {}", "config::file uses report::Sheet"),
    ("config/file.rs", "use super::super::plan as p;\nfn f() { p::g(); }", "file.rs:2: config::file uses plan"),
    ("config/file.rs", "mod inner { use super::super::super::report::A; }", "config::file::inner uses report::A"),
    ("plan.rs", "use crate::model::onnx::Session;", "model::onnx is for report alone"),
    ("plan.rs", "type G = dubench_metrics::Gaussian;", "plan uses dubench_metrics::Gaussian"),
    ("plan/row.rs", "use super::cut::Cut;", "in a circle: plan/cut.rs, plan/row.rs"),
    ("config/file.rs", "use super::Text;", "in a circle: config/file.rs, config/text.rs"),
    ("lib.rs", "pub mod extra;", "extra has no row in MAY_USE"),
)


def _found(changes: dict[str, str], table: Table = _TABLE) -> list[str]:
    """What is found in the planted workspace with `changes` put in front of its files."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for place, text in _WORKSPACE.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            planted = f"{changes[place]}\n" if place in changes else ""
            (root / place).write_text(planted + text, encoding="utf-8")
        return directions.violations(root, table)


def _with(table: Table, **changes: object) -> Table:
    return Table(**{**vars(table), **changes})


def problems() -> list[str]:
    """Problems of the checker itself: a planted violation that it misses, clean code that it accuses."""
    found = [f"clean workspace accused: {line}" for line in _found({})]
    for place, text, expected in _PLANTED:
        if not any(expected in line for line in _found({f"harness/src/{place}": text})):
            found.append(f"planted {text!r} in {place} was not found")
    tables = {
        "nothing in plan uses report": _with(_TABLE, departures=(*_TABLE.departures, ("plan", "report", "planted"))),
        "goes round in a circle": _with(_TABLE, may_use={**_TABLE.may_use, "config": ("plan",)}),
        "gone has a row": _with(_TABLE, may_use={**_TABLE.may_use, "gone": ()}),
        "no circle any more": _with(_TABLE, circles=(("harness", frozenset({"a.rs", "b.rs"}), "planted"),)),
        "report uses dubench_metrics::Gaussian": _with(_TABLE, departures=()),
    }
    for expected, table in tables.items():
        if not any(expected in line for line in _found({}, table)):
            found.append(f"a table of which it must be said {expected!r} was accepted")
    return found
