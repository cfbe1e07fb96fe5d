#!/usr/bin/env bash
# The pinned Python of the importer and of scripts beside it (numpy, onnx, Pillow, PyYAML), with scripts/ on its path.
# usage: scripts/setup/python.sh -m importer --help
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup/environment.sh
source "$scripts/setup/environment.sh"

venv=$(pinned_venv setup "$scripts/setup/requirements.txt")
export PYTHONPATH=$scripts OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
exec "$venv/bin/python3" "$@"
