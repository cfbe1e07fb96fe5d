"""Who may use whom in harness/src, and where that is not so yet. Data alone; `scripts/check-layers` enforces it.

config -> plan -> generate -> features -> evaluate -> report; below them what samples, measures and stores.
Names are those of modules below `crate`, or of crates of this workspace. A name stands for all below it; of several
that fit a module, the longest holds. Code under `#[cfg(test)]` may use anything.
"""

from __future__ import annotations

# Vocabulary of every layer: newtypes, exit codes, faults of a file, canonical JSON, the macro behind every list of
# kinds, and which features are which, and where the program is installed.
BASE = ("units", "exit", "fault", "canonical", "kinds", "extractor_id", "installed")

# What has a `kind` in an experiment: the algorithms, with their settings beside them.
_ALGORITHMS = ("schedule", "noise", "sampler", "uncertainty", "control", "guidance", "propagation")

# Everything that `cli` and the fuzzer's entry points drive.
_ALL = (
    *("config", "plan", "protocol", "experiment", "stage", "report", "store", "model", "assets"),
    *_ALGORITHMS,
    *("dubench_graph", "dubench_metrics"),
)

# Module -> what it may use beside BASE. It may not contain a circle, and every module of the crate has a row.
MAY_USE: dict[str, tuple[str, ...]] = {
    "units": (),
    "exit": (),
    "fault": (),
    "canonical": (),
    "kinds": (),
    "extractor_id": (),
    "installed": (),
    "assets": ("config", "store"),
    "noise": (),
    "schedule": ("noise",),
    "model": ("schedule", "noise", "dubench_graph"),
    "sampler": ("schedule", "noise", "model"),
    "uncertainty": ("schedule", "noise", "model", "sampler"),
    "control": ("noise", "model", "uncertainty"),
    "guidance": ("schedule", "noise", "model", "sampler", "uncertainty"),
    "propagation": ("schedule", "noise", "model", "sampler", "uncertainty"),
    "config": _ALGORITHMS,
    "plan": ("config", *_ALGORITHMS),
    "store": (),
    "report": ("store", *_ALGORITHMS),
    "protocol": ("config", "plan", "store", "report", *_ALGORITHMS, "dubench_metrics"),
    "experiment": ("config", "plan", "protocol", *_ALGORITHMS),
    "stage": ("config", "plan", "protocol", "experiment", "store", "model", *_ALGORITHMS, "dubench_metrics"),
    "cli": _ALL,
    "fuzzing": _ALL,
}

# Part of a module -> the only ones outside that module that may name it. Rules and estimators know traits, no networks.
ONLY_FOR: dict[str, tuple[str, ...]] = {
    "model::analytic": ("stage",),
    "model::bundle": ("stage", "cli"),
    "model::clip": ("stage",),
    "model::onnx": ("stage", "cli"),
    "model::pipeline": ("stage", "cli"),
}

# (module, what it uses all the same, why). A row that nothing needs any more is an error: the list only gets shorter.
DEPARTURES: tuple[tuple[str, str, str], ...] = (
    ("model", "config", "model.yaml, extractor.yaml and the JSON of pipelines are read there"),
    ("model", "store::publish", "derived graphs are kept in the cache, and `store` alone publishes files"),
    ("model", "store::arrays", "values of a condition are read as every array of people's own is"),
    ("model", "dubench_metrics::resize", "preprocessing of the feature network is a part of the metric"),
    ("store", "dubench_metrics::Features", "features are read as the metrics take them"),
    ("report", "config::published", "published numbers are a YAML, which only `config` reads"),
)

# Files that use each other in a circle today, by package: each set exactly, with the reason it still stands.
CIRCLES: tuple[tuple[str, frozenset[str], str], ...] = ()
