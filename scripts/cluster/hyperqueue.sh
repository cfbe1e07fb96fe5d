#!/usr/bin/env bash
# An experiment as a task array of HyperQueue, then its evaluation.
#
#   scripts/cluster/hyperqueue.sh EXPERIMENT SCALE SHARDS [OPTIONS OF dubench run]
#
# One GPU a task; without one, set HQ_RESOURCES="--cpus=4". DUBENCH names the binary. Running this again redoes what
# is missing and nothing else.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
experiment=$1 scale=$2 shards=$3
shift 3
dubench=${DUBENCH:-dubench}
read -ra resources <<<"${HQ_RESOURCES:---cpus=4 --resource=gpus/nvidia=1}"
# An earlier shard in this shell is none of the tasks'.
unset DUBENCH_SHARD DUBENCH_SHARDS

# Tasks that fail are named by the evaluation; it must run after any end.
hq submit --wait --name="$(basename "$experiment" .yaml)-$scale" --array="0-$((shards - 1))" "${resources[@]}" \
  --env=DUBENCH_SHARDS="$shards" --crash-limit=20 \
  -- "$dubench" run "$experiment" --scale "$scale" "$@" ||
  echo "some tasks have failed; the evaluation says what is missing" >&2

"$dubench" evaluate "$experiment" --scale "$scale" "$@"
exec "$dubench" report "$experiment" --scale "$scale" "$@"
