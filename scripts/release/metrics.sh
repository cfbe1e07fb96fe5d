#!/usr/bin/env bash
# The Python package of the metrics: formatting, lints, the wheel, and its tests against what other people's tools computed.
# usage: scripts/release/metrics.sh [OUT [--no-lints]]      where the wheel goes; default: target/wheels
# Prints one line that begins with SKIPPED where this machine has no Python with venv or no package registry.
# Its build shares nothing with the workspace: target/python, two minutes from nothing on two quiet cores.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup/environment.sh
source "$scripts/setup/environment.sh"
cd "$scripts/.."
out=${1:-target/wheels}
# How `scripts/release/build --glibc` links.
read -ra linker <<<"${DUBENCH_LINKER:-}"

status=0
venv=$(pinned_venv release "$scripts/release/requirements.txt") || status=$?
if ((status == 7)); then
  echo "SKIPPED Python package of the metrics: maturin, numpy and pytest could not be had; the line above says why"
  exit 0
elif ((status != 0)); then
  exit "$status"
fi

export CARGO_TARGET_DIR=$PWD/target/python PYO3_PYTHON=$venv/bin/python3
# Lints compile every dependency once more.
if [[ ${2:-} != --no-lints ]]; then
  cargo fmt --manifest-path python/Cargo.toml --check
  cargo clippy --manifest-path python/Cargo.toml --locked --quiet -- -D warnings
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
seconds=$SECONDS
"$venv/bin/maturin" build --quiet --release --locked --manifest-path python/Cargo.toml --interpreter "$venv/bin/python3" \
  "${linker[@]}" --out "$folder/wheel" </dev/null
wheel=$(echo "$folder"/wheel/*.whl)
echo "metrics wheel: $(basename "$wheel"), $(wc -c <"$wheel") bytes, built in $((SECONDS - seconds)) s"

# Installed in a folder of its own: what is tested is what the wheel holds, not the sources beside the tests.
"$venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps --no-index --target "$folder/site" "$wheel"
PYTHONPATH=$folder/site PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python3" -m pytest -p no:cacheprovider -rs -s python/tests
mkdir -p "$out"
cp "$wheel" "$out/"
