#!/usr/bin/env bash
# A GPU machine that is had for a quarter of an hour: files in and out in pieces, every step timed, hashed and noted.
#   run.sh pack train|prove FOLDER    here: what the machine needs, in folders of at most 60 MiB
#   run.sh keep FOLDER                there, with each piece: checks its hashes and puts it aside
#   run.sh train|prove OUT            there, when all pieces have come: works, leaves OUT/steps.json
#   run.sh fetch OUT FOLDER           here: what came back, checked and put together
# README.md has the order, and what each step takes. `--help` behind a word says more.
set -euo pipefail

folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "${PYTHON:-python3}" "$folder/run.py" "$@"
