#!/usr/bin/env bash
# `dubench setup` in a checkout: puts what experiments/assets.yaml pins into the cache folder; does nothing where all is there.
# usage: scripts/setup.sh [cpu|cuda|openvino] [EXPERIMENT] [--only NAME] [--verify] [--list] [--where NAME]      (--help for more)
# The program is $DUBENCH, else the one of this checkout, which is compiled first where it is not.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/setup/environment.sh
source "$scripts/setup/environment.sh"

# A Python with pip: the one of the system may have none.
venv=$(pinned_venv just "$scripts/setup/requirements-just.txt")
export PYTHON=$venv/bin/python3
assets=(--assets "$scripts/../experiments/assets.yaml")
if [[ -n ${DUBENCH:-} ]]; then
  exec "$DUBENCH" setup "${assets[@]}" "$@"
fi
command -v cargo >/dev/null || fail 7 "cargo is not on PATH: install Rust, or set DUBENCH to the program"
exec cargo run --quiet --locked --manifest-path "$scripts/../Cargo.toml" --package dubench -- setup "${assets[@]}" "$@"
