"""A cluster of several nodes on this machine: Slurm with accounting, in namespaces of its own.

Each of its computers (`head`, `login`, `node1`, ...) is a process with a network, a host name and
mounts of its own, and what runs in it; its end is that of the computer. A bridge in the network of
`head` joins them, with addresses that nobody outside sees. `head` runs munged, MariaDB, slurmdbd
and slurmctld, every node a slurmd, and users come in at `login`. Files are those of this machine,
but for /run, /root, /etc/slurm, /etc/hosts and the lists of users. The kernel removes namespaces
with their last process, and all of these end with the one that started them, however it ends.

Needs root and Debian's packages, which `PROGRAMS` names (tried with Slurm 22.05, MariaDB 10.11).
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

# What users need of root's home, which is closed to them, if it lies there.
PLACES = (sys.base_prefix, sys.prefix, str(Path(__file__).parents[2]))
SHARED = [place for place in PLACES if place.startswith("/root/")]

PROGRAMS = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "slurmdbd": "slurmdbd",
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "ip": "iproute2",
}
NETWORK = "10.77.0"
USERS = {"alice": 7001, "bob": 7002}
# As long as sites have them; all users may use it.
ACCOUNT = "collaboration-on-unbinned-unfolding-with-ensembles-2026-extension"
# A QOS of which a user may have so many jobs in the queue.
QOS, SUBMITTED = "few", 2

# Slurm gives up a node that has not answered for some seconds, and squeue forgets jobs after as
# many. A job that is requeued waits as long as credentials live, two minutes by default. Without
# cgroups, sampling ends a job that outgrows its memory.
CONFIGURATION = """\
ClusterName=several
SlurmctldHost=head
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=30
CredType=cred/munge
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
PropagateResourceLimits=NONE
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=head
AccountingStorageEnforce=associations,limits,qos
AccountingStoreFlags=job_comment
PriorityType=priority/basic
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
EnforcePartLimits=ALL
KillWait=5
MinJobAge=10
SlurmdTimeout=30
ReturnToService=2
SlurmdParameters=config_overrides
"""
ACCOUNTING = """\
AuthType=auth/munge
DbdHost=head
SlurmUser=root
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StorageUser=slurm
StorageLoc=slurm
"""
DATABASE = """\
CREATE DATABASE IF NOT EXISTS slurm;
CREATE USER IF NOT EXISTS slurm@127.0.0.1;
GRANT ALL ON slurm.* TO slurm@127.0.0.1;
"""
# The first process of a computer; where process ids are its own, it takes up what others leave.
FIRST = """\
set -e
mount -t tmpfs tmpfs /run
mkdir /run/munge /run/root
for path in {shared}; do
    mkdir -p /run$path
    mount --bind $path /run$path
done
mount --rbind /run/root /root
mount --bind {folder}/munge /run/munge
mount --bind {folder}/etc /etc/slurm
for name in hosts passwd group; do mount --bind {folder}/$name /etc/$name; done
hostname {name}
ip link set lo up
echo ready
exec > /dev/null
{wait}
"""


class Computer:
    """One computer: its namespaces, and all that runs in them, live as long as its first process.

    Attributes:
        name, address: in the network of the cluster.
        pid: of its first process, as this machine counts.
    """

    def __init__(self, folder, name, number):
        """Start it, without a network."""
        self.folder, self.name, self.address = folder, name, f"{NETWORK}.{number}"
        # Processes of users at `login` have the ids that this machine gives them.
        own = [] if name == "login" else ["--pid", "--fork", "--kill-child", "--mount-proc"]
        wait = "while :; do sleep 600 & wait $!; done" if own else "exec sleep infinity"
        self._spaces = ["--net", "--uts", "--mount", *own[:1]]
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--uts", "--mount", *own]
        script = FIRST.format(folder=folder, name=name, shared=" ".join(SHARED), wait=wait)
        command += ["bash", "-c", script]
        with open(folder / "log" / f"{name}.log", "a+") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            with self._process.stdout as said:
                if said.readline() != "ready\n":
                    log.seek(0)
                    raise RuntimeError(f"{name} gets no namespaces of its own: {log.read()}")
        self.pid = self._process.pid
        if own:
            self.pid = int(_run(["ps", "-o", "pid=", "--ppid", str(self.pid)]))

    def enter(self, *command, user="root", folder="/"):
        """Return the command line that runs a command of a user here, in a folder."""
        words = ["nsenter", "--target", self.pid, *self._spaces, f"--wdns={folder}"]
        if user != "root":
            words += ["setpriv", "--reuid", USERS[user], "--regid", USERS[user], "--clear-groups"]
            words += ["env", f"HOME={self.folder / 'home' / user}", f"USER={user}"]
            words += [f"LOGNAME={user}"]
        return [*map(str, words), *map(str, command)]

    def run(self, *command, user="root"):
        """Run a command here, which must succeed, and return what it says."""
        return _run(self.enter(*command, user=user))

    def ip(self, words):
        """Run `ip` in the network of this computer, with process ids of this machine."""
        _run(["nsenter", "--target", str(self.pid), "--net", "ip", *words.split()])

    def end(self):
        """End everything that runs here at once, as a power cut does."""
        self._process.kill()
        self._process.wait()


class Cluster:
    """A running cluster.

    Attributes:
        folder: its configuration, keys, database and logs; `home` and `scratch` of its users.
        nodes: names.
        computers: by name, those that are on.
    """

    def __init__(self, folder, nodes=3, cpus=4):
        """Start it, with nodes of so many processors, which may exceed the machine's."""
        missing = sorted({PROGRAMS[name] for name in PROGRAMS if shutil.which(name) is None})
        if missing:
            raise RuntimeError(f"install Debian's {' '.join(missing)}")
        self.folder = Path(folder)
        self._numbers = {"head": 1, "login": 2}
        self.nodes = [f"node{n}" for n in range(1, nodes + 1)]
        self._numbers |= {name: 10 + n for n, name in enumerate(self.nodes, 1)}
        self.computers, self._database = {}, None
        self._write(cpus)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _write(self, cpus):
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        for name in ("etc", "log", "run", "state", "munge", "mysql", "home", "scratch"):
            (self.folder / name).mkdir()
        (self.folder / "scratch").chmod(0o1777)
        hosts = [f"{NETWORK}.{number} {name}" for name, number in self._numbers.items()]
        _lines(self.folder / "hosts", ["127.0.0.1 localhost", *hosts])
        memory = _run(["slurmd", "-C"]).partition("RealMemory=")[2].split()[0]
        nodes = ",".join(self.nodes)
        lines = [CONFIGURATION.format(folder=self.folder)]
        lines += [f"NodeName={nodes} CPUs={cpus} RealMemory={memory}"]
        lines += [f"PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP"]
        _lines(self.folder / "etc" / "slurm.conf", lines)
        self._secret("etc/slurmdbd.conf", ACCOUNTING.format(folder=self.folder).encode())
        self._secret("munge.key", os.urandom(128))
        self._secret("database.sql", DATABASE.encode())
        users, groups = (
            Path("/etc", name).read_text().splitlines() for name in ("passwd", "group")
        )
        for name, number in USERS.items():
            home = self.folder / "home" / name
            home.mkdir()
            os.chown(home, number, number)
            users.append(f"{name}:x:{number}:{number}::{home}:/bin/bash")
            groups.append(f"{name}:x:{number}:")
        _lines(self.folder / "passwd", users)
        _lines(self.folder / "group", groups)

    def _secret(self, name, content):
        path = self.folder / name
        path.touch(0o600)
        path.write_bytes(content)

    def _start(self):
        head = self._boot("head")
        head.ip("link add bridge type bridge")
        head.ip(f"address add {head.address}/24 dev bridge")
        head.ip("link set bridge up")
        folder = self.folder
        # At its usual place, which alone clients of slurmdbd know.
        files = {"key": "munge.key", "log": "log/munged.log"}
        files |= {"pid": "run/munged.pid", "seed": "run/munged.seed"}
        words = [f"--{name}-file={folder / file}" for name, file in files.items()]
        head.run("munged", "--force", "--num-threads=10", *words)
        self._start_database()
        head.run("slurmdbd")
        wait_for(lambda: self._asks("sacctmgr", "--noheader", "show", "cluster"), "slurmdbd")
        head.run("sacctmgr", "-i", "add", "cluster", "several")
        self._add_users()
        head.run("slurmctld")
        self._join("login")
        for name in self.nodes:
            self.boot(name)
        self.wait_for_nodes(*self.nodes)

    def _start_database(self):
        # In memory: its tables are many small files, each written with care.
        self.computers["head"].run("mount", "-t", "tmpfs", "tmpfs", self.folder / "mysql")
        data = ["--no-defaults", f"--datadir={self.folder}/mysql", "--user=root"]
        data += ["--innodb-use-native-aio=0"]
        install = ["--skip-test-db", "--auth-root-authentication-method=normal"]
        self.computers["head"].run("mariadb-install-db", *data, *install)
        data += [f"--socket={self.folder}/mysql.socket", "--bind-address=127.0.0.1"]
        data += [f"--init-file={self.folder}/database.sql", "--skip-name-resolve"]
        data += ["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"]
        with open(self.folder / "log" / "mariadbd.log", "w") as log:
            command = self.computers["head"].enter("mariadbd", *data)
            self._database = subprocess.Popen(command, stdout=log, stderr=log)
        socket = f"--socket={self.folder}/mysql.socket"
        wait_for(lambda: self._asks("mariadb-admin", socket, "ping"), "the database")

    def _add_users(self):
        add = ["sacctmgr", "-i", "add"]
        head = self.computers["head"]
        head.run(*add, "qos", QOS, "set", f"MaxSubmitJobsPerUser={SUBMITTED}")
        head.run(*add, "account", ACCOUNT)
        for user in USERS:
            head.run(*add, "user", user, f"account={ACCOUNT}", f"qos=normal,{QOS}")

    def _asks(self, *command):
        """Return whether a command succeeds on the head."""
        command = self.computers["head"].enter(*command)
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _boot(self, name):
        self.computers[name] = Computer(self.folder, name, self._numbers[name])
        return self.computers[name]

    def _join(self, name):
        """Start a computer and join it to the bridge by a pair of interfaces."""
        head, computer = self.computers["head"], self._boot(name)
        head.ip(f"link add {name} type veth peer name eth0 netns {computer.pid}")
        head.ip(f"link set {name} master bridge up")
        computer.ip(f"address add {computer.address}/24 dev eth0")
        computer.ip("link set eth0 up")
        return computer

    def boot(self, name):
        """Start a node, or start it again."""
        self._join(name).run("slurmd")

    def power_off(self, name):
        """End all that runs on a node at once, and take its link away.

        Connections that nobody closed may keep a network for minutes, and the link's name with it.
        """
        self.computers["head"].ip(f"link delete {name}")
        self.computers.pop(name).end()

    def link(self, name, state):
        """Take a computer's link `down` or `up`, as at a switch: it sees no carrier."""
        self.computers["head"].ip(f"link set {name} {state}")

    def wait_for_nodes(self, *names, seconds=60):
        """Wait until nodes take jobs."""
        command = ["sinfo", "-h", "-N", "-r", "-t", "idle,mix,alloc", "-o", "%N"]
        ready = lambda: set(names) <= set(self.run(*command).split())  # noqa: E731
        wait_for(ready, f"nodes {names}", seconds)

    def run(self, *command, user="root"):
        """Run a command at `login`, which must succeed, and return what it says."""
        return self.computers["login"].run(*command, user=user)

    def stop(self):
        """End all computers; their namespaces, and the network, go with them."""
        for name in [*self.nodes, "login", "head"]:
            if name in self.computers:
                self.computers.pop(name).end()
        if self._database is not None:
            self._database.wait()


def wait_for(what, name, seconds=60):
    """Wait until `what()` is true."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name}: nothing after {seconds} s")
        time.sleep(0.2)


def _lines(path, lines):
    path.write_text("\n".join([*lines, ""]))


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout
