#!/bin/bash
# One shard of a `dubench run` a task: the blocks b with b mod DUBENCH_SHARDS = SLURM_ARRAY_TASK_ID.
# Submitting this again redoes what is missing and nothing else; `sbatch --array=2,5` does so for two shards.
#SBATCH --job-name=table1-cifar10-mini
#SBATCH --array=0-15%8
#SBATCH --output="/cluster/dubench/work/slurm/table1-cifar10-mini/%A_%a.out"
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --partition=gpu
#SBATCH --time=4:00:00
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4

# Frozen here. Slurm's own task count is that of one submission and would renumber the blocks of a repeated shard.
export DUBENCH_SHARDS=16
unset DUBENCH_SHARD

cd '/cluster/dubench' || exit 7

# USR1: the time is nearly up, go on in a further job. TERM: cancelled or preempted; Slurm tells the program itself.
why= child=
trap 'why=${why:-time}; [ -z "$child" ] || kill -USR1 "$child"' USR1
trap 'why=cancel' TERM

# In the background, because bash runs a trap only between commands, or while it waits.
'/cluster/bin/dubench' run '/cluster/dubench/experiments/table1-cifar10.yaml' --scale 'mini' \
  --work-dir '/cluster/dubench/work' \
  --results-dir '/cluster/dubench/results' '--device' 'cuda' &
child=$!
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
wait "$child"
status=$?

# 75: stopped between two steps, nothing lost. 138: USR1 came before the program could listen.
if [ "$why" = time ] && { [ "$status" -eq 75 ] || [ "$status" -eq 138 ]; } && [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; then
  # Not SLURM_JOB_ID: in the task that started last, that is the id of the whole array.
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$status"
