#!/usr/bin/env bash
# Puts every pinned asset of experiments/assets.yaml into the cache folder; does nothing where all is there.
# usage: scripts/setup.sh [cpu|cuda|openvino] [--only NAME] [--verify] [--list]      (--help for more)
set -euo pipefail

exec "$(dirname "${BASH_SOURCE[0]}")/setup/python.sh" -m setup "$@"
