#!/usr/bin/env bash
# The pinned Python of the checks that read published tables and networks (numpy, onnx, onnxruntime, pyarrow).
# usage: scripts/checks/python.sh scripts/checks/recompute.py work results/table1-cifar10/smoke GENERATE FEATURES
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/setup/environment.sh
source "$scripts/setup/environment.sh"

venv=$(pinned_venv checks "$scripts/checks/requirements.txt")
export PYTHONPATH=$scripts OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
exec "$venv/bin/python3" "$@"
