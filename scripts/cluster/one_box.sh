#!/usr/bin/env bash
# An experiment on all GPUs of one machine, by GNU parallel, then its evaluation.
#
#   scripts/cluster/one_box.sh EXPERIMENT SCALE GPUS [OPTIONS OF dubench run]
#
# Each of the GPUS job slots has a GPU of its own. DUBENCH names the binary. Running this again redoes what is missing and
# nothing else.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
experiment=$1 scale=$2 gpus=$3
shift 3
dubench=${DUBENCH:-dubench}
# Several shares a GPU, so that one that is slow does not leave the others idle at the end.
shards=$((4 * gpus))
unset DUBENCH_SHARD DUBENCH_SHARDS

# {%} is the job slot, from 1; {} the share. A share that is told to stop has 20 seconds, and needs a few.
command=$(printf '%q ' "$dubench" run "$experiment" --scale "$scale" "$@")
seq 0 $((shards - 1)) |
  parallel --jobs "$gpus" --line-buffer --retries 3 --termseq TERM,20000,KILL \
    "CUDA_VISIBLE_DEVICES=\$(({%} - 1)) $command --shard {}/$shards" ||
  echo "some shares have failed; the evaluation says what is missing" >&2

"$dubench" evaluate "$experiment" --scale "$scale" "$@"
exec "$dubench" report "$experiment" --scale "$scale" "$@"
