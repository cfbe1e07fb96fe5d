#!/bin/bash
# Numbers, tables and plots of a `dubench run` whose array has ended: sbatch --dependency=afterany:ARRAY evaluate.sh
# Never `afterok`: it remembers a task that failed once, even if it succeeded when it was queued again.
#SBATCH --job-name=table1-cifar10-mini-evaluate
#SBATCH --output="/cluster/dubench/work/slurm/table1-cifar10-mini/evaluate-%j.out"
#SBATCH --open-mode=append
#SBATCH --partition=gpu
#SBATCH --time=4:00:00

# A shard of whoever submitted this is none of ours.
unset DUBENCH_SHARD DUBENCH_SHARDS

cd '/cluster/dubench' || exit 7

# Needs no device: only what the tasks have published. With blocks missing, it names them and ends with 4.
'/cluster/bin/dubench' evaluate '/cluster/dubench/experiments/table1-cifar10.yaml' --scale 'mini' \
  --work-dir '/cluster/dubench/work' \
  --results-dir '/cluster/dubench/results'
status=$?
[ "$status" -ne 4 ] || echo "incomplete: submit again; the blocks that are done will be found" >&2
[ "$status" -eq 0 ] || exit "$status"

exec '/cluster/bin/dubench' report '/cluster/dubench/experiments/table1-cifar10.yaml' --scale 'mini' \
  --work-dir '/cluster/dubench/work' \
  --results-dir '/cluster/dubench/results'
