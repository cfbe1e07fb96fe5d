#!/usr/bin/env bash
# The tests of scripts/importer, in a Python environment of their own: the importer needs numpy and onnx alone, its tests
# run what it wrote by onnxruntime and by the built binary.
# usage: scripts/importer/tests/run.sh [-v] [importer.tests.test_parity ...]
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/setup/environment.sh
source "$scripts/setup/environment.sh"

venv=$(pinned_venv importer "$scripts/importer/tests/requirements.txt")
export PYTHONPATH=$scripts OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
(($#)) || set -- discover -s "$scripts/importer/tests" -t "$scripts"
exec "$venv/bin/python3" -m unittest "$@"
