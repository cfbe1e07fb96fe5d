# Every command of the project. `scripts/just RECIPE` works on a machine without `just`.
# scale: smoke (under a minute), mini (minutes on two cores), paper (published counts, needs a GPU and the checkpoints).
# All of these work: `just reproduce-table1`, `just reproduce-table1 smoke`, `just scale=smoke reproduce-table1`.

set shell := ["bash", "-euo", "pipefail", "-c"]

scale := "mini"
device := "cpu"

# Plots of a result: svg, as the repository keeps them, or both, with a PNG beside each
plots := "svg"

# Written into what a run makes: the commit of this checkout, `-dirty` with changes on top (other results aside), empty outside git.
export DUBENCH_GIT_REVISION := `r=$(git describe --always --abbrev=12 2>/dev/null) && { git diff --quiet HEAD -- . ':!results' || r=$r-dirty; }; echo "$r"`

# cargo profile: dev (numerics are optimised there too), dist (what wheels are built by) or release
profile := "dev"
run := "cargo run --quiet --locked --profile " + profile + " --package dubench --"

# The CUDA build of ONNX Runtime is a library of its own.
cuda_library := '"${ORT_DYLIB_PATH:-$(scripts/setup.sh --where onnxruntime-cuda)}"'
# So is the OpenVINO build, which computes in bfloat16 where the processor can.
openvino_library := '"${ORT_DYLIB_PATH:-$(scripts/setup.sh --where onnxruntime-openvino)}"'
dubench := if device =~ '^cuda' { "ORT_DYLIB_PATH=" + cuda_library + " " + run } else if device == 'openvino' { "ORT_DYLIB_PATH=" + openvino_library + " " + run } else { run }
python := "scripts/setup/python.sh"

# List the recipes
[private]
default:
    @{{ just_executable() }} --list --unsorted

# Table 1: does discarding uncertain images improve FID? (CIFAR-10)
[group('run')]
reproduce-table1 scale=scale: (reproduce "table1-cifar10" scale)

# Table 2: are reconstructions wrong where the model is uncertain? (CIFAR-10 test images)
[group('run')]
reproduce-table2 scale=scale: (reproduce "table2-cifar10" scale)

# Table 3: does guidance by uncertainty lower FID, from the same starts? (CIFAR-10)
[group('run')]
reproduce-table3 scale=scale: (reproduce "table3-cifar10" scale)

# Table 4: precision, recall, density and coverage of the images of Table 1 that a score keeps (CIFAR-10)
[group('run')]
reproduce-table4 scale=scale: (reproduce "table4-cifar10" scale)

# Over what is the percentile of a guidance mask taken? Each map, or a generated set (CIFAR-10)
[group('run')]
reproduce-thresholds scale=scale: (reproduce "thresholds-cifar10" scale)

# Is there a strength at which guidance helps? Weak steps, up and down (CIFAR-10)
[group('run')]
reproduce-strength scale=scale: (reproduce "strength-cifar10" scale)

# Figure 1: the same prompts with and without guidance, Stable Diffusion 1.5 and 3 (smoke: tiny pipelines of random weights; paper: a GPU)
[group('run')]
reproduce-fig1 scale=scale: (reproduce "fig1-sd15" scale) (reproduce "fig1-sd3" scale)

# Figures 6 and 7: the settings of the released configuration and of its example, Stable Diffusion 1.5 (as above)
[group('run')]
reproduce-fig6 scale=scale: (reproduce "fig6-sd15" scale)

[group('run')]
reproduce-fig7 scale=scale: (reproduce "fig7-sd15" scale)

# Figures 12 and 13: the same for Stable Diffusion 3, by Eq. 10 and as released (as above)
[group('run')]
reproduce-fig12 scale=scale: (reproduce "fig12-sd3" scale)

[group('run')]
reproduce-fig13 scale=scale: (reproduce "fig13-sd3" scale)

# Figure 10: one prompt over percentiles and strengths (as above)
[group('run')]
reproduce-fig10 scale=scale: (reproduce "fig10-sd15" scale)

# Tables 5 and 6: what do 5 and 20 draws cost in seconds? On a quiet machine; --beside-others takes times on a busy one too
[group('run')]
reproduce-table5 scale=scale *options: (reproduce "table5-cifar10" scale options)

[group('run')]
reproduce-table6 scale=scale *options: (reproduce "table6-cifar10" scale options)

# Figures 3, 4, 5, 8, 9 (the uncertainty along the walk), 11 (number of draws) and the sweep of the window (CIFAR-10)
[group('run')]
reproduce-figures scale=scale: (reproduce "figures-cifar10" scale) (reproduce "fig11-cifar10" scale)

# Does BayesDiff, or score variance at its price, choose better images than chance? (CIFAR-10)
[group('run')]
reproduce-bayesdiff scale=scale: (reproduce "bayesdiff-cifar10" scale)

# Tables 1 to 3 on Fashion-MNIST, where the shipped network is better at its data
[group('run')]
reproduce-fashion scale=scale: (reproduce "table1-fashion-mnist" scale) (reproduce "table2-fashion-mnist" scale) (reproduce "table3-fashion-mnist" scale)

# Does generative uncertainty, for thirteen times the evaluations, choose better images than score variance? (CIFAR-10)
[group('run')]
reproduce-generative scale=scale: (reproduce "generative-uncertainty-cifar10" scale)

# Table 4 in features of EfficientNet-Lite0, and with the released preprocessing; after Table 1 (CIFAR-10)
[group('run')]
reproduce-table4-others scale=scale: (reproduce "table4-cifar10-efficientnet" scale) (reproduce "table4-cifar10-released" scale)

# Every table and figure of CIFAR-10, then the page of verdicts
[group('run')]
reproduce-all scale=scale: (reproduce-table1 scale) (reproduce-table2 scale) (reproduce-table3 scale) (reproduce-table4 scale) (reproduce-table5 scale) (reproduce-table6 scale) (reproduce-figures scale) (reproduce-thresholds scale) (reproduce-strength scale) (reproduce-bayesdiff scale) (reproduce-generative scale) (reproduce-table4-others scale) (summary scale)

# Results of the CIFAR-10 network before its last training, for the table of what changed: they exist at mini alone.
earlier := "--before experiments/earlier/ddpm-cifar10-small-1020032"

# One page: every claim of the paper, its number, ours, and whether it holds (results/summary.md and .html)
[group('run')]
summary scale=scale: build
    {{ dubench }} summary results --scale {{ trim_start_match(scale, "scale=") }} {{ if trim_start_match(scale, "scale=") == "mini" { earlier } else { "" } }}

# Networks that others trained, as their packages ship them: maps, a sheet and rank correlations of the scores (no data, so no FID)
[group('run')]
reproduce-third-party *options: build
    {{ python }} -m third_party "${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" {{ options }}

# Any experiment of experiments/, by name
[group('run')]
reproduce experiment scale=scale *options: build
    @DUBENCH="${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" scripts/setup.sh {{ replace_regex(device, ":.*", "") }} experiments/{{ experiment }}.yaml --scale {{ trim_start_match(scale, "scale=") }} >/dev/null
    {{ dubench }} run experiments/{{ experiment }}.yaml --scale {{ trim_start_match(scale, "scale=") }} --device {{ device }} --plots {{ plots }} {{ options }}

# The whole chain on a handful of images
[group('run')]
smoke: (reproduce-table1 "smoke") (reproduce-table2 "smoke") (reproduce-table3 "smoke") (reproduce-table4 "smoke") (reproduce-table5 "smoke" "--beside-others") (reproduce-table6 "smoke" "--beside-others") (reproduce-figures "smoke") (reproduce-thresholds "smoke") (reproduce-strength "smoke") (reproduce-bayesdiff "smoke") (reproduce-generative "smoke") (reproduce-table4-others "smoke") (reproduce-fashion "smoke") (reproduce-fig1 "smoke") recompute

# Tables and plots again, from finished parts
[group('run')]
report experiment="table1-cifar10" scale=scale: build
    {{ dubench }} report experiments/{{ experiment }}.yaml --scale {{ trim_start_match(scale, "scale=") }} --plots {{ plots }}

# Two results folders side by side
[group('run')]
compare A B: build
    {{ dubench }} compare {{ quote(A) }} {{ quote(B) }}

# Regression gate: is every number of RESULT inside its two-sided band around BASELINE? Options as `dubench check` has them
[group('run')]
gate BASELINE RESULT *OPTIONS: build
    {{ dubench }} check {{ quote(BASELINE) }} {{ quote(RESULT) }} {{ OPTIONS }}

# Table 1 at scale smoke against the committed numbers: another processor may move the last digits and the rank of a p, no more
[group('check')]
gate-smoke: (reproduce-table1 "smoke") (gate "scripts/ci/baseline/table1-cifar10/smoke" "results/table1-cifar10/smoke" "--relative 0.01 --band p_value=0.1 --band p_holm=0.4")

# What this machine has: library, devices, cache, disk
[group('run')]
doctor *options: build
    {{ dubench }} doctor --device {{ device }} {{ options }}

# Everything that must hold
[group('check')]
ci: fmt-check layers promises numbers msrv audit versions lint test test-metrics-python test-slurm test-workflow rehearse-gpu doc smoke gate-smoke test-wheels page test-precision

# All tests: Rust, documentation examples, Python
[group('check')]
test: setup-tests test-rust test-doc test-python

[private]
test-rust:
    if command -v cargo-nextest >/dev/null; then cargo nextest run --workspace --locked; else cargo test --workspace --locked --lib --bins --tests; fi

[private]
test-doc:
    cargo test --workspace --locked --doc --quiet

[private]
test-python: setup build
    DUBENCH="${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" scripts/importer/tests/run.sh
    scripts/importer/tests/run.sh third_party.tests.test_third_party
    scripts/importer/tests/run.sh discover -s scripts/export -t scripts/export
    scripts/checks/python.sh scripts/export/test_export.py >/dev/null

# The Python package of the metrics: wheel and tests; prints SKIPPED with the reason where Python or its packages are missing
[group('check')]
test-metrics-python:
    scripts/release/metrics.sh

# The version stands in one place, and everything that repeats it says the same
[group('check')]
versions:
    scripts/release/versions.py --self-test
    scripts/release/versions.py

# Arrays on a real Slurm cluster of two nodes on this machine; prints SKIPPED with the reason where that cannot be
[group('check')]
test-slurm: build
    scripts/slurm/test_cluster.sh "${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench"

# Shares as tasks of a real HyperQueue server and worker; prints SKIPPED where its Python package is missing
[group('check')]
test-hyperqueue: build
    {{ python }} scripts/cluster/test_hyperqueue.py "${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench"

# A reader under the fuzzer: array, bundle, experiment, graph, part, record or shard (nightly toolchain, cargo-fuzz)
[group('check')]
fuzz TARGET MINUTES="10":
    harness/fuzz/run.sh {{ TARGET }} {{ MINUTES }}

# `dubench stats` over a thousand files cut out of real photographs, broken ones among them; minutes
[group('check')]
test-photographs: setup
    scripts/setup.sh --only photographs
    DUBENCH_PHOTOGRAPHS="$(dirname "$(scripts/setup.sh --where photographs)")" cargo test --locked --package dubench --test cli -- --ignored a_thousand_photographs

# Formatting, without changing a file
[group('check')]
fmt-check:
    cargo fmt --all --check

# Clippy, every warning fatal
[group('check')]
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# API reference, every warning fatal
[group('check')]
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# One heavy package, one door; imports in one direction; no circles of files; packages below the harness stay light
[group('check')]
layers:
    scripts/check-layers --self-test
    scripts/check-layers

# Every test that DESIGN.md names as holding a promise exists
[group('check')]
promises:
    scripts/check-promises --self-test
    scripts/check-promises

# Every number that README.md, docs/findings.md and results/README.md quote is that of the published tables
[group('check')]
numbers:
    scripts/fill-numbers --self-test
    scripts/fill-numbers --check

# The page of verdicts is what the committed results say; a browser shows it, sorts it and loads its plots
[group('check')]
page: build
    {{ dubench }} summary results {{ earlier }} --check
    {{ python }} -m checks.page "${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" {{ earlier }}

# The GitHub Actions workflow of scripts/ci, step by step on this machine, on a network of a few hundred bytes
[group('check')]
test-workflow: setup build
    scripts/ci/test_workflow.sh "${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench"

# The GitHub Actions workflow of a release, step by step up to the upload, in a clone of this commit; minutes
[group('check')]
test-release-workflow *python: build
    scripts/release/test_workflow.sh {{ python }}

# That with the assets of this cache, in CI: both wheels on one Python, and an installed program has the digits of this checkout
[group('check')]
test-wheels: (reproduce-table1 "smoke")
    source scripts/setup/environment.sh; TRY_CACHE=$(cache_root) DUBENCH_SMOKE_SHA256=$(sed -n 's/.*"metrics_sha256": "\(.*\)".*/\1/p' results/table1-cifar10/smoke/run.json) scripts/release/test_workflow.sh

# Eight samples of Table 1 at scale smoke, computed again from docs/reimplement.md by a script without code of ours
[group('check')]
recompute: (reproduce-table1 "smoke")
    parts=$({{ run }} plan experiments/table1-cifar10.yaml --scale smoke --print | awk '$1 == "generate_id" || $1 == "features_id" { print substr($2, 1, 8) }'); scripts/checks/python.sh scripts/checks/recompute.py work results/table1-cifar10/smoke $parts

# Table 1 at scale smoke in float16 and bfloat16 against float32; prints SKIPPED where OpenVINO has no bfloat16
[group('check')]
test-precision: (reproduce-table1 "smoke")
    scripts/checks/python.sh scripts/checks/precision.py "${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" results/table1-cifar10/smoke

# The quarter of an hour on a GPU, rehearsed on the CPU from an empty folder; TORCH is a Python that has PyTorch
[group('check')]
rehearse-gpu TORCH="": setup build
    {{ python }} scripts/gpu/test_run.py "${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" {{ TORCH }}

# Licences, bans and sources of dependencies; advisories where DUBENCH_ADVISORY_DB names a clone of RustSec's database
[group('check')]
audit:
    scripts/audit --self-test
    scripts/audit

# The oldest Rust that each package promises: held against its dependencies, and built where that Rust is installed
[group('check')]
msrv:
    scripts/check-msrv --self-test
    scripts/check-msrv

# Data, feature network and ONNX Runtime into the cache (cpu, cuda or openvino): `dubench setup`
[group('data')]
setup device=device: build
    @DUBENCH="${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" scripts/setup.sh {{ replace_regex(device, ":.*", "") }} >/dev/null

# That, and the network that no device needs by itself: EfficientNet-Lite0, for tests (an experiment brings what it names)
[group('data')]
setup-tests: setup
    @DUBENCH="${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" scripts/setup.sh --only efficientnet-lite0 >/dev/null

# The finished assets, hashed again
[group('data')]
verify-assets: build
    @DUBENCH="${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" scripts/setup.sh {{ replace_regex(device, ":.*", "") }} --verify

# A published checkpoint becomes a bundle: adm64, adm128, uvit256, uvit512, ddpm-cifar10-32 or autoencoder-kl (docs/importing.md)
[group('data')]
[no-cd]
[no-exit-message]
[positional-arguments]
import ARCHITECTURE CHECKPOINT *OPTIONS:
    @"{{ justfile_directory() }}/scripts/setup/python.sh" -m importer "$@"

# Starting points of the released code (X_T.pth and y.pth) become a file for `starts:` of an experiment
[group('data')]
[no-cd]
[no-exit-message]
[positional-arguments]
import-starts *OPTIONS:
    @"{{ justfile_directory() }}/scripts/setup/python.sh" -m importer.starts "$@"

# Both wheels, their contents, a bill of materials and licences into target/wheels, tried in empty environments
[group('data')]
release-build *options:
    scripts/release/build {{ options }}

# The binary
[group('data')]
build:
    @cargo build --locked --profile {{ profile }} --package dubench

# Planning, status, shards, hashing and syncing; minutes
[group('bench')]
bench-scale *arguments: build
    {{ python }} scripts/bench/scale.py --binary "${CARGO_TARGET_DIR:-target}/{{ if profile == "dev" { "debug" } else { profile } }}/dubench" {{ arguments }}

# Speed of the metrics, with the results asserted; scripts/bench/metrics_peers.py runs the peers beside it
[group('bench')]
bench *arguments:
    cargo run --locked --quiet --profile {{ profile }} -p dubench-metrics --example metrics_bench -- {{ arguments }}

# How long a device waits for the host, on a device that is a sleep; and how fast noise is drawn
[group('bench')]
bench-overlap *arguments:
    cargo run --locked --quiet --profile {{ profile }} -p dubench --example overlap_bench -- {{ arguments }}

# What a step with draws costs as one call of the network, beside separate calls; the bits are compared first
[group('bench')]
bench-step: setup
    cargo run --locked --quiet --profile {{ profile }} -p dubench --example step_bench

# What gradients cost beside a forward pass: time, memory; the graphs are held against each other first
[group('bench')]
bench-gradient: setup
    cargo run --locked --quiet --profile {{ profile }} -p dubench --example gradient_bench -- --results results/bench-gradient
