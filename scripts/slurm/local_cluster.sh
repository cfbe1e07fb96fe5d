# A Slurm cluster of one controller and two node daemons on this machine, for tests. Source it; needs root.
#
#   cluster_start FOLDER     writes its configuration below FOLDER, starts it, waits for both nodes to be idle
#   cluster_stop             ends every daemon that was started; safe to call at any time, more than once
#
# Everything listens on the loopback interface. Each node has two fake GPUs, so that binding can be seen without one.
# Works without systemd and without cgroups.

CLUSTER_NODES="n0 n1"
# Daemons of Debian are in sbin.
PATH=$PATH:/usr/sbin:/sbin

cluster_free_ports() {
  python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PYTHON
}

cluster_configure() {
  local host controller_port n0_port n1_port
  host=$(hostname -s)
  read -r controller_port n0_port n1_port <<<"$(cluster_free_ports 3)"
  mkdir -p "$CLUSTER"/{state,spool-n0,spool-n1,log}
  mkdir -m 700 "$CLUSTER/munge"
  (umask 077 && head -c 64 /dev/urandom >"$CLUSTER/munge/key")
  # Slurm wants device nodes; these are copies of /dev/null.
  mknod "$CLUSTER/gpu0" c 1 3 && mknod "$CLUSTER/gpu1" c 1 3 || return 1
  cat >"$CLUSTER/gres.conf" <<CONF
NodeName=n[0-1] Name=gpu File=$CLUSTER/gpu[0-1]
CONF
  cat >"$CLUSTER/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$CLUSTER/munge/socket
# Listen on the address of the host entry, not on every interface.
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
# Nodes may have more processors than this machine.
SlurmdParameters=config_overrides
StateSaveLocation=$CLUSTER/state
SlurmdSpoolDir=$CLUSTER/spool-%n
SlurmctldPidFile=$CLUSTER/slurmctld.pid
SlurmdPidFile=$CLUSTER/slurmd-%n.pid
SlurmctldLogFile=$CLUSTER/log/slurmctld.log
SlurmdLogFile=$CLUSTER/log/slurmd-%n.log
KillWait=5
JobRequeue=1
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,sched_min_interval=0
GresTypes=gpu
NodeName=n0 NodeHostname=$host NodeAddr=127.0.0.1 Port=$n0_port CPUs=2 RealMemory=500 Gres=gpu:2
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$n1_port CPUs=2 RealMemory=500 Gres=gpu:2
PartitionName=main Nodes=n[0-1] Default=YES MaxTime=INFINITE State=UP
CONF
  # Slurm 23 and later look for cgroups unless they are told not to; earlier ones do not know the word.
  [ "$(slurmd -V | tr -dc '0-9.' | cut -d. -f1)" -lt 23 ] || echo "CgroupPlugin=disabled" >"$CLUSTER/cgroup.conf"
}

cluster_start() {
  CLUSTER=$1/cluster
  mkdir -p "$CLUSTER"
  cluster_configure || return 1
  export SLURM_CONF=$CLUSTER/slurm.conf
  # --force: root may own the key. Nothing but this cluster ever sees it.
  munged --force --key-file="$CLUSTER/munge/key" --socket="$CLUSTER/munge/socket" \
    --pid-file="$CLUSTER/munged.pid" --log-file="$CLUSTER/log/munged.log" --seed-file="$CLUSTER/munge/seed" || return 1
  slurmctld -f "$SLURM_CONF" -c || return 1
  local node
  for node in $CLUSTER_NODES; do slurmd -N "$node" -f "$SLURM_CONF" || return 1; done
  local tries
  for tries in $(seq 150); do
    [ "$(sinfo --noheader --Node --format=%T 2>/dev/null | grep -c '^idle$')" -eq 2 ] && return 0
    sleep 0.2
  done
  echo "local_cluster: the nodes are not idle after 30 s" >&2
  return 1
}

# Numbers of the daemons that have been started.
cluster_pids() {
  [ -n "${CLUSTER:-}" ] || return 0
  local file
  for file in "$CLUSTER"/slurmd-n0.pid "$CLUSTER"/slurmd-n1.pid "$CLUSTER"/slurmctld.pid "$CLUSTER"/munged.pid; do
    [ ! -s "$file" ] || cat "$file"
  done
}

# Gone, or waiting only to be collected by its parent.
cluster_ended() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
  [ -z "$state" ] || [ "$state" = Z ]
}

# Numbers of the processes of jobs and of those that watch them, which outlive the daemons that started them.
cluster_job_pids() {
  [ -n "${CLUSTER:-}" ] || return 0
  local file folder
  for file in $(grep --files-with-matches --fixed-strings "SLURM_CONF=$CLUSTER/" /proc/[0-9]*/environ 2>/dev/null); do
    folder=${file%/environ}
    # Whatever the caller starts has that variable too; a job has an id, a watcher its name.
    if [ "$(cat "$folder/comm" 2>/dev/null)" = slurmstepd ] ||
      tr '\0' '\n' 2>/dev/null <"$file" | grep --quiet '^SLURM_JOB_ID='; then
      echo "${folder#/proc/}"
    fi
  done
  return 0
}

cluster_stop() {
  local pids pid tries
  pids="$(cluster_job_pids) $(cluster_pids)"
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  for pid in $pids; do
    for tries in $(seq 50); do
      cluster_ended "$pid" && break
      sleep 0.1
    done
    cluster_ended "$pid" || kill -KILL "$pid" 2>/dev/null || true
  done
  CLUSTER=
}

# Listening sockets of the daemons that are not on the loopback interface, one a line.
cluster_open_sockets() {
  local pid inode
  for pid in $(cluster_pids); do
    for inode in $(find "/proc/$pid/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | tr -dc '0-9\n'); do
      awk -v inode="$inode" '$4 == "0A" && $10 == inode && $2 !~ /^0100007F:/ { print FILENAME, $2 }' /proc/net/tcp
      awk -v inode="$inode" '$4 == "0A" && $10 == inode && $2 !~ /^00000000000000000000000001000000:/ { print FILENAME, $2 }' /proc/net/tcp6 2>/dev/null
    done
  done
}
