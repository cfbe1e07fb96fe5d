#!/usr/bin/env bash
# One target under the fuzzer, from the committed seeds and whatever an earlier run has found.
#
#   harness/fuzz/run.sh TARGET MINUTES [OPTIONS OF libFuzzer]
#
# Needs a nightly toolchain and `cargo install cargo-fuzz`. Inputs that fail are kept below artifacts/.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
target=$1 minutes=$2
shift 2
cd "$(dirname "$0")/.."
root=..

# Every input is a file that is written and read: in memory, where there is such a place.
memory=/dev/shm
[ -w "$memory" ] || memory=${TMPDIR:-/tmp}
TMPDIR=$(mktemp -d "$memory/dubench-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

seeds=$TMPDIR/seeds
mkdir -p "$seeds" "fuzz/corpus/$target"
put() { for file; do [ ! -f "$file" ] || cp "$file" "$seeds/$(echo "${file#"$root"/}" | tr / _)"; done; }
put "fuzz/seeds/$target"/* "tests/data/fuzz/$target"/*
options=(-timeout=10)
case $target in
  bundle)
    put "$root"/experiments/models/*/model.yaml "$root"/experiments/extractors/*.yaml "$root"/experiments/published/*.yaml
    options+=(-dict=fuzz/dictionaries/yaml.dict) ;;
  experiment)
    put "$root"/experiments/*.yaml src/plan/*.yaml
    options+=(-dict=fuzz/dictionaries/yaml.dict) ;;
  # See "What was found and not fixed" in README.md.
  part) options=(-timeout=120) ;;
  graph) put tests/data/tiny/*.onnx graph/tests/data/*_dynamo_20.onnx ;;
esac

cargo +nightly fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "$seeds" -- \
  -max_total_time=$((60 * minutes)) -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 "${options[@]}" "$@"
