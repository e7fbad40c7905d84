"""Ranks: the processes that train one network together; the only place that knows Horovod.

Every rank draws the same batches, computes its part of each, and gradients are summed, so that the
result does not depend on the number of ranks beyond rounding.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from omniflow.errors import OmniflowError
from omniflow.files import write_text

# Seconds after which a rank that no longer answers ends the job.
TIMEOUT = 30
# Seconds that ranks wait for each other at the start: they import TensorFlow before they meet, from
# a file system that all of them read at once.
START = 600


class RankError(OmniflowError):
    """The ranks of a job cannot work together."""


class Ranks:
    """One process that works alone.

    Attributes:
        rank: number of this process, from 0; only rank 0 writes.
        local: its number among those on the same machine.
        size: number of processes.
    """

    rank, local, size = 0, 0, 1

    def sum(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return each array summed over the ranks; all ranks get the same.

        Args:
            arrays: of any shapes, (...) each, the same on all ranks.

        Returns:
            Arrays of the same shape as those given.

        Raises:
            RankError: another rank is lost.
        """
        return list(arrays)

    def first(self, array: np.ndarray) -> np.ndarray:
        """Return the array of rank 0.

        Args:
            array: of any shape (...), the same on all ranks.

        Returns:
            An array of the same shape.

        Raises:
            RankError: another rank is lost.
        """
        return array

    def agree(self, what: str, text: str, advice: str) -> None:
        """Compare a text, of at most 64 bytes, over the ranks.

        Raises:
            RankError: it is not the same on all, and all raise; the advice ends the message.
        """
        table = np.zeros((self.size, 64))
        table[self.rank] = np.frombuffer(text.encode().ljust(64, b"\0"), np.uint8)
        rows = self.sum([table])[0].astype(np.uint8)
        texts = [row.tobytes().rstrip(b"\0").decode() for row in rows]
        if len(set(texts)) > 1:
            found = "; ".join(
                f"{each!r} on rank {', '.join(str(n) for n, t in enumerate(texts) if t == each)}"
                for each in dict.fromkeys(texts)
            )
            raise RankError(f"{what} differs between the ranks: {found}. {advice}")


class _Horovod(Ranks):
    def __init__(self) -> None:
        import horovod.tensorflow as hvd

        self._hvd = hvd
        self.rank, self.local, self.size = hvd.rank(), hvd.local_rank(), hvd.size()
        self._calls = 0

    def sum(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        tensors = _tensors(arrays)
        found: dict[int, Any] = {}
        # Horovod takes tensors of one type at a time.
        for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
            rows = [row for row, tensor in enumerate(tensors) if tensor.dtype == kind]
            with self._named() as name:
                group = [tensors[row] for row in rows]
                sums = self._hvd.grouped_allreduce(group, op=self._hvd.Sum, name=name)
            found |= dict(zip(rows, sums, strict=True))
        return [np.asarray(found[row]) for row in range(len(arrays))]

    def first(self, array: np.ndarray) -> np.ndarray:
        with self._named() as name:
            return np.asarray(self._hvd.broadcast(_tensors([array])[0], 0, name=name))

    @contextmanager
    def _named(self) -> Iterator[str]:
        """Yield a name that is the same on all ranks; say what a lost rank means."""
        import tensorflow as tf

        self._calls += 1
        try:
            yield f"omniflow-{self._calls}"
        except tf.errors.UnknownError as error:  # Horovod's own are for its elastic mode alone
            raise RankError(
                f"{_name()}: another rank has ended or no longer answers; the log of that rank "
                f"says why. A rerun goes on from the last checkpoint. ({error.message})"
            ) from error


def start(wanted: int, folder: Path) -> Ranks:
    """Join the other ranks of this job, as many as `execution.ranks` asks for.

    Under srun every task calls this and they find each other by a file in `folder`, which all see;
    horovodrun has set everything already.

    Raises:
        RankError: Horovod is missing, the job was started with another number of processes, or
            not all of them came.
    """
    slurm = int(os.environ.get("SLURM_STEP_NUM_TASKS", os.environ.get("SLURM_NTASKS", "1")))
    started = int(os.environ.get("HOROVOD_SIZE", slurm if wanted > 1 else 1))
    if started != wanted:
        raise RankError(
            f"execution.ranks is {wanted}, but this job runs as {started} process(es); start it "
            f"with `srun -n {wanted}` or `horovodrun -np {wanted} --gloo`, as the workflow does."
        )
    if wanted == 1:
        return Ranks()
    try:
        import horovod.tensorflow as hvd
    except ImportError as error:
        raise RankError(
            f"execution.ranks is {wanted}, but Horovod is not installed ({error}); install it as "
            "docs/hpc.md says, or set execution.ranks: 1."
        ) from error
    if not hvd.is_initialized():
        os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(TIMEOUT))
        path = None if "HOROVOD_RANK" in os.environ else _describe(folder)
        _meet(path)
        try:
            hvd.init()
        except ValueError as error:
            raise RankError(f"{_name()}: {error}") from error
        if path is not None and hvd.rank() == 0:
            path.unlink(missing_ok=True)  # nobody looks at it any more
    return _Horovod()


_SCOPE = "omniflow"  # of what ranks say to each other while they meet
_server: Any = None  # rank 0 serves the others until it ends


def _describe(folder: Path) -> Path:
    """Tell Horovod about this task of a Slurm step; return where rank 0 says how to reach it."""
    counts, node = _tasks_per_node(), int(os.environ["SLURM_NODEID"])
    local = int(os.environ["SLURM_LOCALID"])
    os.environ |= {
        "HOROVOD_RANK": os.environ["SLURM_PROCID"],
        "HOROVOD_SIZE": os.environ["SLURM_NTASKS"],
        "HOROVOD_LOCAL_RANK": str(local),
        "HOROVOD_LOCAL_SIZE": str(counts[node]),
        "HOROVOD_CROSS_RANK": str(node),
        "HOROVOD_CROSS_SIZE": str(sum(count > local for count in counts)),
        "HOROVOD_HOSTNAME": f"node-{node}",
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
    }
    if len(counts) == 1:
        os.environ.setdefault("HOROVOD_GLOO_IFACE", "lo")
    else:
        _require_address()
    step = "-".join(os.environ[f"SLURM_{name}"] for name in ("JOB_ID", "STEP_ID"))
    return folder / f"ranks-{step}.txt"


def _meet(path: Path | None) -> None:
    """Wait until every rank has got this far.

    Horovod has one timeout for its start and for ranks that are lost later, which must be short.

    Args:
        path: where rank 0 says how to reach it; None if horovodrun has told everybody.
    """
    rank, size = int(os.environ["HOROVOD_RANK"]), int(os.environ["HOROVOD_SIZE"])
    if rank > 0:
        _wait_until(lambda: _join(path, rank), 0)
        return
    scope = _SCOPE if path is None else _serve(path)
    for other in range(1, size):
        _wait_until(functools.partial(_ask, "GET", scope, other), other)
    _wait_until(lambda: _ask("PUT", scope, 0), 0)


def _join(path: Path | None, rank: int) -> bool:
    """Tell rank 0 that this rank is there; return whether it says that all are."""
    scope = _SCOPE
    if path is not None:
        # Read anew each time: a requeued job has the same number, and this may be the file of a
        # predecessor that did not live to remove it.
        try:
            address, port, scope = path.read_text(encoding="utf-8").split()
        except OSError:
            return False  # not there yet
        os.environ |= {
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": address,
            "HOROVOD_GLOO_RENDEZVOUS_PORT": port,
        }
    return _ask("PUT", scope, rank) and _ask("GET", scope, 0)


def _ask(method: str, scope: str, rank: int) -> bool:
    """Tell (PUT) or ask (GET) the server by which ranks find each other that one is there."""
    address, port = (os.environ[f"HOROVOD_GLOO_RENDEZVOUS_{name}"] for name in ("ADDR", "PORT"))
    connection = HTTPConnection(address, int(port), timeout=10)
    try:
        connection.request(method, f"/{scope}/{rank}", b"there" if method == "PUT" else None)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False  # too busy, or not there yet
    finally:
        connection.close()


def _wait_until(done: Callable[[], bool], rank: int) -> None:
    deadline = time.monotonic() + START
    while not done():
        if time.monotonic() > deadline:
            raise RankError(
                f"{_name()}: nothing is heard of rank {rank}; its log says why. "
                f"Waited for {START} s."
            )
        time.sleep(0.5)


def _name() -> str:
    """Return what messages call this process."""
    rank, size = (os.environ[f"HOROVOD_{name}"] for name in ("RANK", "SIZE"))
    return f"rank {rank} of {size} on {socket.gethostname()}"


def _serve(path: Path) -> str:
    """Start the server by which ranks find each other, write to `path` how to reach it.

    Return the scope of its keys. It is new each time, so that no rank takes another job's server,
    at the address of an old file, for its own.
    """
    global _server
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
    from horovod.runner.http.http_server import RendezvousServer

    path.unlink(missing_ok=True)
    counts = _tasks_per_node()
    hosts = parse_hosts(",".join(f"node-{node}:{count}" for node, count in enumerate(counts)))
    _server = RendezvousServer()
    port, address = _server.start(), _address(os.environ["SLURM_STEP_NODELIST"])
    _server.init(get_host_assignments(hosts, sum(counts)))
    os.environ |= {
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": address,
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
    }
    scope = f"{_SCOPE}-{uuid.uuid4().hex}"
    write_text(f"{address} {port} {scope}\n", path)
    return scope


def _require_address() -> None:
    """Refuse a node whose own name leads other nodes astray.

    Horovod 0.28 heeds HOROVOD_GLOO_IFACE while ranks meet; for what they exchange it tells the
    others the address of the host's name, and would crash where that is of the loopback.
    """
    name = socket.gethostname()
    try:
        address = str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        address, said = "", f"has no address ({error})"
    else:
        said = f"has the address {address} here, where other nodes find themselves"
    if not address or ipaddress.ip_address(address).is_loopback:
        raise RankError(
            f"{_name()}: the node's name, {name}, {said}. Horovod gives that address to the ranks "
            "on other nodes. Ask those who run the cluster for the node's address in its "
            "/etc/hosts, or keep the ranks on one node (nodes: 1 in the profile)."
        )


def _address(nodes: str) -> str:
    """Return the address of this machine that the last of these nodes (Slurm's form) reaches."""
    command = ["scontrol", "show", "hostnames", nodes]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    # Not that of its own name, which may stand for the loopback. Nothing is sent.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((names[-1], 9))
        return probe.getsockname()[0]


def _tasks_per_node() -> list[int]:
    """Return the tasks on each node of this Slurm step, which has a form such as `4(x2),1`."""
    counts = []
    for part in os.environ["SLURM_STEP_TASKS_PER_NODE"].split(","):
        count, _, times = part.rstrip(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts


def _tensors(arrays: Sequence[np.ndarray]) -> list[Any]:
    import tensorflow as tf

    return [tf.convert_to_tensor(array) for array in arrays]
