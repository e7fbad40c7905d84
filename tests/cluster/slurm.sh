#!/usr/bin/env bash
# A real Slurm of one node on this machine, for tests: munged, slurmctld and slurmd on loopback.
#
#   slurm.sh start DIR     start what is not running; DIR holds configuration, keys, state, logs
#   slurm.sh stop DIR      cancel all jobs, end the daemons that DIR names, delete DIR
#
# Needs root and Debian's slurmctld, slurmd, slurm-client and munge (tried with Slurm 22.05); no
# systemd, no database. SLURM_CPUS sets the processors of the node, which may exceed the machine's.
# Two GPUs are placeholders: scheduled and counted, nothing behind them.
set -euo pipefail

die() {
    echo "slurm.sh: $*" >&2
    exit 1
}

[ $# -eq 2 ] || die "usage: slurm.sh start|stop DIR"
[ "$(id -u)" -eq 0 ] || die "must run as root"
for program in slurmctld slurmd sbatch munged; do
    command -v "$program" > /dev/null || die "$program is missing: install Debian's" \
        "slurmctld slurmd slurm-client munge"
done
mkdir -p "$2"
dir=$(cd "$2" && pwd)
conf=$dir/etc/slurm.conf
default=/etc/slurm/slurm.conf

# The process of a daemon of ours; nothing where it is gone, or a zombie that nobody reaps.
pid_of() {
    local pid
    pid=$(cat "$dir/run/$1.pid" 2> /dev/null) || return 0
    awk -v want="$1" '$1 == "Name:" { name = $2 } $1 == "State:" { state = $2 }
        $1 == "Pid:" { pid = $2 } END { if (name == want && state != "Z") print pid }' \
        "/proc/$pid/status" 2> /dev/null || true
}

configure() {
    local memory
    memory=$(slurmd -C | sed -n 's/.*\bRealMemory=\([0-9]*\).*/\1/p')
    : > "$dir/etc/gres.conf"
    for i in 0 1; do
        # Slurm drops a GPU without a device: a link to one that is always there.
        ln -sf /dev/null "$dir/run/gpu$i"
        echo "NodeName=localhost Name=gpu File=$dir/run/gpu$i" >> "$dir/etc/gres.conf"
    done
    cat > "$conf" << CONF
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# Credentials live half a minute: as long a job that is requeued waits, two minutes without this.
AuthInfo=socket=$dir/run/munge.socket,cred_expire=30
CredType=cred/munge
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
# Plugins that need neither cgroups nor systemd; without cgroups, sampling ends a job that outgrows
# its memory.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
PropagateResourceLimits=NONE
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# No database: squeue answers for finished jobs until MinJobAge seconds have passed.
AccountingStorageType=accounting_storage/none
MinJobAge=3600
MaxJobCount=20000
# React within a second.
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,bf_interval=2,batch_sched_delay=0,default_queue_depth=1000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# Refuse what the node can never give, instead of queueing it for ever.
EnforcePartLimits=ALL
KillWait=15
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=localhost NodeAddr=127.0.0.1 CPUs=${SLURM_CPUS:-4} RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    mkdir -p "$dir"/{etc,run,log,state,spool} /etc/slurm
    chmod 755 "$dir" "$dir"/{etc,run,log,state,spool}
    # SLURM_CONF is not enough: job steps start without it.
    if [ -e "$default" ] && [ "$(readlink -f "$default")" != "$conf" ]; then
        die "$default belongs to another cluster; move it away first"
    fi
    [ -n "$(pid_of slurmctld)" ] || configure
    ln -sfn "$conf" "$default"
    if [ -z "$(pid_of munged)" ]; then
        key=$dir/etc/munge.key
        [ -s "$key" ] || (umask 077 && dd if=/dev/urandom of="$key" bs=128 count=1 status=none)
        munged --force --key-file="$key" --socket="$dir/run/munge.socket" \
            --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" \
            --seed-file="$dir/state/munged.seed"
    fi
    [ -n "$(pid_of slurmctld)" ] || slurmctld -f "$conf"
    [ -n "$(pid_of slurmd)" ] || slurmd -f "$conf" -N localhost
    for _ in $(seq 60); do
        [ -z "$(sinfo -h -r -t idle,mix,alloc -o %T 2> /dev/null)" ] || return 0
        # A node that an unclean stop left down is taken back.
        scontrol update NodeName=localhost State=RESUME > /dev/null 2>&1 || true
        sleep 0.5
    done
    tail -n 5 "$dir"/log/*.log >&2
    die "no usable node after 30 s; the last lines of the logs are above"
}

stop() {
    if [ -n "$(pid_of slurmctld)" ]; then
        scancel --user=root 2> /dev/null || true
        for _ in $(seq 60); do
            [ -n "$(squeue -h -t pending,running,completing 2> /dev/null)" ] || break
            sleep 0.5
        done
    fi
    for name in slurmd slurmctld munged; do
        pid=$(pid_of "$name")
        [ -n "$pid" ] || continue
        kill "$pid"
        for _ in $(seq 40); do
            [ -n "$(pid_of "$name")" ] || break
            sleep 0.25
        done
        [ -z "$(pid_of "$name")" ] || kill -9 "$pid"
    done
    [ "$(readlink "$default" 2> /dev/null)" != "$conf" ] || rm -f "$default"
    rm -rf -- "$dir"
}

case $1 in
    start | stop) "$1" ;;
    *) die "usage: slurm.sh start|stop DIR" ;;
esac
