#!/usr/bin/env bash
# Puts every pinned asset of experiments/assets.yaml into the cache folder; does nothing where all is there.
# usage: scripts/setup.sh [cpu|cuda] [--only NAME] [--verify] [--list]      (--help for more)
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/setup/environment.sh
source "$scripts/setup/environment.sh"

venv=$(pinned_venv setup "$scripts/setup/requirements.txt")
export PYTHONPATH=$scripts PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
exec "$venv/bin/python3" -m setup "$@"
