"""Who may use whom in harness/src, and where that is not so yet. Data alone; `scripts/check-layers` enforces it.

config -> plan -> generate -> features -> evaluate -> report; below them what samples, measures and stores.
Names are those of modules below `crate`, or of crates of this workspace. A name stands for all below it; of several
that fit a module, the longest holds. Code under `#[cfg(test)]` may use anything.
"""

from __future__ import annotations

# Vocabulary of every layer: newtypes, and exit codes.
BASE = ("units", "exit")

# Everything that `cli` and the fuzzer's entry points drive.
_ALL = (
    *("config", "plan", "stage", "report", "store", "protocol", "model", "sampler", "uncertainty", "guidance"),
    *("schedule", "noise", "graph", "dubench_metrics"),
)

# Module -> what it may use beside BASE. It may not contain a circle, and every module of the crate has a row.
MAY_USE: dict[str, tuple[str, ...]] = {
    "units": (),
    "exit": (),
    "noise": (),
    "schedule": (),
    "graph": (),
    "config": (),
    "plan": ("config",),
    "model": ("schedule", "noise", "graph"),
    "sampler": ("schedule", "noise"),
    "uncertainty": ("schedule", "noise", "model"),
    "guidance": ("schedule", "noise", "model"),
    "store": (),
    "protocol": ("dubench_metrics",),
    "report": ("store",),
    "stage": (
        *("config", "plan", "store", "model", "sampler", "uncertainty", "guidance", "protocol"),
        *("schedule", "noise"),
    ),
    "cli": _ALL,
    "fuzzing": _ALL,
}

# Part of a module -> the only ones outside that module that may name it. Rules and estimators know traits, no networks.
ONLY_FOR: dict[str, tuple[str, ...]] = {
    "model::analytic": ("stage",),
    "model::bundle": ("stage", "cli"),
    "model::onnx": ("stage", "cli"),
}

# (module, what it uses all the same, why). A row that nothing needs any more is an error: the list only gets shorter.
DEPARTURES: tuple[tuple[str, str, str], ...] = (
    ("exit", "model::ModelError", "the exit code of a model's error is said in exit.rs, not beside the error"),
    ("graph", "store::publish_with", "graphs are files, and `store` alone publishes files"),
    ("config", "uncertainty::Window", "the YAML's window is the estimators' own type; it belongs into `units`"),
    ("config", "protocol::reconstruction", "names of the controls, which a YAML may not give to an estimator"),
    ("config", "dubench_metrics::FrechetEstimate", "the fewest images that an FID takes"),
    ("plan", "uncertainty::Window", "as in `config`"),
    ("plan", "model::ExtractorId", "a plan hashes which features it is judged by; it belongs below both"),
    ("plan", "dubench_metrics::FrechetEstimate", "as in `config`"),
    ("model", "config", "model.yaml and extractor.yaml are read there: the only door to YAML"),
    ("model", "store::publish", "derived graphs are kept in the cache, and `store` alone publishes files"),
    ("model", "dubench_metrics::resize", "preprocessing of the feature network is a part of the metric"),
    ("uncertainty", "sampler", "`StepPoint`, the place on a trajectory, and `x0_hat` are defined there"),
    ("guidance", "sampler", "as in `uncertainty`"),
    ("guidance", "uncertainty", "the rules move along the gradient of an uncertainty"),
    ("store", "model::ExtractorId", "statistics say of which features they are; it belongs below both"),
    ("store", "dubench_metrics::Features", "features are read as the metrics take them"),
    ("protocol", "store::records", "rows of metrics.parquet are made here, in the store's own types"),
    ("protocol", "store::sparsification", "as above, for sparsification.parquet"),
    ("protocol", "noise", "the random control is drawn by key"),
    ("report", "config::published", "published numbers are a YAML, which only `config` reads"),
    ("report", "protocol", "names of methods and rungs, which tables print"),
    ("stage", "report", "the stage that draws, and the exhibits that evaluation lays out for it"),
    ("stage", "dubench_metrics", "moments and reference statistics are summed block by block"),
)

# Files that use each other in a circle today, by package: each set exactly, with the reason it still stands.
CIRCLES: tuple[tuple[str, frozenset[str], str], ...] = (
    (
        "harness",
        frozenset({"config/experiment.rs", *(f"config/validate{part}.rs" for part in ("", "_arms", "_guidance"))}),
        "an experiment that is read is validated at once, and what validates takes the experiment",
    ),
    (
        "harness",
        frozenset({"plan/arm.rs", "plan/block.rs", "plan/resolve.rs", "plan/resolve_arms.rs"}),
        "`Plan` is defined in the file that resolves it",
    ),
    (
        "harness",
        frozenset(
            {"graph/reverse.rs", "graph/path.rs", "graph/rules/mod.rs"}
            | {
                f"graph/rules/{name}.rs"
                for name in ("activation", "conv", "elementwise", "index", "linear", "norm", "pool_resize", "reduce")
            }
            | {"graph/rules/shape.rs", "graph/rules/softmax.rs"}
        ),
        "the table of rules lies above the call that a rule takes",
    ),
)
