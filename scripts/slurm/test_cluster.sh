#!/usr/bin/env bash
# The Slurm promise, on a real scheduler: an array of four tasks on two nodes, one of them killed with SIGKILL and one
# warned that its time is up, ends with the list of what is missing; submitted again, it gives the digits of one process.
#
#   scripts/slurm/test_cluster.sh [DUBENCH]     binary under test; default: target/debug/dubench
#
# Starts a cluster of its own on the loopback interface (local_cluster.sh), and removes every trace at the end, however
# it ends. Needs root, python3, and Debian's slurmctld slurmd slurm-client munge, which it installs where CI is set.
# Where it cannot run it prints one line that begins with SKIPPED. Takes half a minute; gives up after three.
set -euo pipefail

if [ "${DUBENCH_CLUSTER_TEST:-}" != bounded ]; then
  export DUBENCH_CLUSTER_TEST=bounded
  exec timeout --kill-after=30 180 "$0" "$@"
fi

here=$(cd "$(dirname "$0")" && pwd)
. "$here/local_cluster.sh"
dubench=$(realpath "${1:-${CARGO_TARGET_DIR:-$here/../../target}/debug/dubench}")
base=
# Nothing of an outer job, shard or cluster may be seen by this one.
unset "${!SLURM_@}" "${!SBATCH_@}" DUBENCH_SHARD DUBENCH_SHARDS

skip() {
  echo "SKIPPED slurm cluster test: $1"
  exit 0
}

fail() {
  echo "FAILED slurm cluster test: $1" >&2
  tail -n 15 "$base"/cluster/log/*.log "$base"/work/slurm/*/*.out >&2 2>/dev/null || true
  exit 1
}

say() { echo "slurm: $* ($((SECONDS)) s)"; }

installed() { command -v slurmctld slurmd sbatch munged >/dev/null; }

install_packages() {
  installed && return 0
  [ -n "${CI:-}" ] || skip "slurmctld, slurmd, sbatch or munged is not installed, and CI is not set to install them"
  command -v apt-get >/dev/null || skip "slurm is not installed and there is no apt-get"
  # RUNLEVEL=1: packages start no services.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  { timeout 60 apt-get -q update &&
    timeout 90 apt-get -q install -y --no-install-recommends slurmctld slurmd slurm-client munge; } >"$base/apt.log" 2>&1 ||
    skip "packages cannot be installed: $(tail -n 1 "$base/apt.log")"
  installed || skip "the packages of this system have no slurmctld, slurmd, sbatch and munged"
}

cleanup() {
  local status=$?
  trap - EXIT INT TERM
  cluster_stop
  [ -z "$base" ] || rm -rf "$base"
  exit "$status"
}

# An experiment on the model with a closed form, long enough to be looked at and killed in: 80 blocks, 20 a task.
N_BLOCKS=80
write_experiment() {
  cat >"$base/cluster.yaml" <<'YAML'
name: cluster
question: Does a killed and repeated array give the digits of one process?
artefact: none
model:
  kind: analytic
  shape: [3, 32, 32]
  mean: 0.1
  std: 0.5
  schedule: {kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}
sampler: {kind: ddim, n_steps: 50}
seed: 7
estimators:
  - {kind: sample_var}
controls:
  - {kind: total_variation}
features: {kind: pixels, grid: 2}
reference: {dataset: toy, path: reference.npz}
protocol: {kind: filtering, n_random: 20, curve: {n_parts: 4, n_points: 2, n_random: 5}}
scales:
  smoke: {n_pool: 5120, n_keep: 4266, block_size: 64, batch_size: 16}
YAML
  python3 - "$base/reference.npz" <<'PYTHON'
import struct, sys, zipfile

def npy(shape, values):
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape})
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack(f"<{len(values)}d", *values)

with zipfile.ZipFile(sys.argv[1], "w") as npz:
    npz.writestr("mu.npy", npy((12,), [0.55] * 12))
    npz.writestr("sigma.npy", npy((12, 12), [0.004 * (i // 12 == i % 12) for i in range(144)]))
PYTHON
}

on() { timeout 120 "$dubench" "$1" "$base/cluster.yaml" --scale smoke --results-dir "$base/results" "${@:2}"; }

digest() { python3 -c 'import json, sys; print(json.load(sys.stdin)["metrics_sha256"])'; }

# ARRAY and EVALUATE: the jobs of a submission.
submit() {
  local answer
  answer=$(on submit --engine slurm --work-dir "$base/work" --shards 4 --gres gpu:1 --threads 1 --time 10:00 --format json) ||
    fail "submit ended with $?"
  read -r ARRAY EVALUATE <<<"$(python3 -c \
    'import json, sys; a = json.load(sys.stdin); print(a["array_job"], a["evaluate_job"])' <<<"$answer")"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  until "${@:2}"; do
    [ "$SECONDS" -lt "$end" ] || fail "gave up after $1 s: ${*:2}"
    sleep 0.1
  done
}

job_field() { scontrol show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }

job_ended() { case $(job_field "$1" JobState) in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) return 1 ;; esac; }

# Number of the process of dubench in an array task.
task_process() {
  local pid
  for pid in $(cluster_job_pids); do
    [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$dubench" ] || continue
    tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep --quiet "^SLURM_ARRAY_TASK_ID=$1\$" && echo "$pid" && return
  done
  return 1
}

all_started() { for task in 0 1 2 3; do task_process "$task" >/dev/null || return 1; done; }

# The node and GPU of every task that runs, sorted.
places() {
  local task pid
  for task in 0 1 2 3; do
    pid=$(task_process "$task") || continue
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | sed -n 's/^SLURMD_NODENAME=//p; s/^CUDA_VISIBLE_DEVICES=/gpu/p' | sort -r | paste -sd ' '
  done | sort
}

# Numbers of the blocks of task $1 that have no image part, joined as dubench joins them.
missing_of() {
  local block missing=
  for ((block = $1; block < N_BLOCKS; block += 4)); do
    ls "$base"/work/parts/generate/*/"$(printf 'block-%06d.parquet' "$block")" >/dev/null 2>&1 || missing+=", $block"
  done
  echo "${missing#, }"
}

# How many image parts of task $1 there are.
n_done() {
  local part n=0
  for part in "$base"/work/parts/generate/*/block-*.parquet; do
    part=${part##*block-}
    [ "$part" = "*.parquet" ] || [ $((10#${part%.parquet} % 4)) -ne "$1" ] || n=$((n + 1))
  done
  echo "$n"
}

has_begun() { [ "$(n_done "$1")" -ge 1 ]; }

[ "$(id -u)" -eq 0 ] || skip "it needs root, to start daemons and to make fake GPUs"
[ -x "$dubench" ] || fail "there is no binary at $dubench: build it first"
base=$(mktemp -d)
# Jobs see the folder by its path, and so must be able to enter it.
chmod 755 "$base"
trap cleanup EXIT
trap 'exit 124' INT TERM
install_packages
mknod "$base/node" c 1 3 2>/dev/null || skip "device nodes cannot be made here"
write_experiment

cluster_start "$base" || fail "the cluster does not start"
open=$(cluster_open_sockets)
[ -z "$open" ] || fail "a daemon listens beyond the loopback interface: $open"
say "$(sinfo --version), two nodes with two fake GPUs each"

submit
wait_for 20 all_started
[ "$(places | paste -sd ,)" = "n0 gpu0,n0 gpu1,n1 gpu0,n1 gpu1" ] || fail "tasks are not bound to a GPU each: $(places)"
say "array $ARRAY: four tasks, each on a GPU of its own"

victim=$(task_process 2)
wait_for 30 has_begun 2
kill -KILL "$victim"
wait_for 30 has_begun 1
scancel --batch --signal=USR1 "${ARRAY}_1"
say "task 2 killed after $(n_done 2) of $((N_BLOCKS / 4)) blocks, task 1 warned"
wait_for 30 job_ended "${ARRAY}_2"
[ "$(job_field "${ARRAY}_2" JobState) $(job_field "${ARRAY}_2" ExitCode)" = "FAILED 137:0" ] ||
  fail "task 2 is $(job_field "${ARRAY}_2" JobState) $(job_field "${ARRAY}_2" ExitCode), expected FAILED 137:0"
requeued() { [ "$(job_field "${ARRAY}_1" Restarts)" = 1 ]; }
wait_for 30 requeued
# Slurm holds what it has requeued for two minutes. Asked again and again, since clearing the first run away sets the
# hold anew, and not at once, since a node that still clears away ends the second run with 1.
sleep 5
released() {
  case $(job_field "${ARRAY}_1" JobState) in
    RUNNING | COMPLETED) return 0 ;;
    PENDING) scontrol update jobid="${ARRAY}_1" StartTime=now ;;
  esac
  sleep 1
  return 1
}
wait_for 60 released
wait_for 60 job_ended "$EVALUATE"

missing=$(missing_of 2)
n_missing=$(wc -w <<<"$missing")
[ "$n_missing" -ge 1 ] || fail "task 2 was done before it was killed: nothing was tested"
log=$(cat "$base"/work/slurm/*/evaluate-"$EVALUATE".out)
[ "$(job_field "$EVALUATE" ExitCode)" = 4:0 ] || fail "evaluate ended with $(job_field "$EVALUATE" ExitCode), expected 4:0"
[[ $log == *"$n_missing of $N_BLOCKS blocks of generate are missing: $missing; "* ]] || fail "evaluate does not name $missing"
say "task 1 was requeued and finished; evaluate ended with 4 and names exactly the $n_missing missing blocks: $missing"

before=$(find "$base/work/parts" -name 'block-*.parquet' -printf '%p %i %T@\n' | sort)
submit
wait_for 60 job_ended "$EVALUATE"
[ "$(job_field "$EVALUATE" ExitCode)" = 0:0 ] || fail "evaluate ended with $(job_field "$EVALUATE" ExitCode), expected 0:0"
after=$(find "$base/work/parts" -name 'block-*.parquet' -printf '%p %i %T@\n' | sort)
[ -z "$(comm -23 <(echo "$before") <(echo "$after"))" ] || fail "parts that were done were made again"
[ -z "$(find "$base/work/parts" -name '.*')" ] || say "left behind by the kill: $(find "$base/work/parts" -name '.*' | wc -l) temporary file"
say "array $ARRAY: $(($(wc -l <<<"$after") - $(wc -l <<<"$before"))) parts made, none made again; evaluate complete"

cluster=$(on report --work-dir "$base/work" --format json | digest)
single=$(on run --work-dir "$base/single" --quiet --format json | digest)
[ "$cluster" = "$single" ] || fail "the cluster gives metrics $cluster, one process gives $single"
say "metrics of the array and of one process are the same: sha256 ${single:0:16}"
echo "PASSED slurm cluster test"
