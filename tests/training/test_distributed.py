"""Two ranks give what one gives. They are threads here; Horovod's own are in tests/cluster."""

import copy
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
from small_networks import changed, initial_weights, layout, make_trainer, native_trainer
from training_inputs import twins, two_classes

from omniflow.errors import TrainingError
from omniflow.files import write_text
from omniflow.training import distributed
from omniflow.training.checkpoint import Checkpoint
from omniflow.training.distributed import RankError, Ranks
from omniflow.training.interrupt import Interrupt, Interrupted
from omniflow.training.progress import Seeds, Task
from omniflow.training.trainer import Trainer

VARIABLES = ("HOROVOD_SIZE", "HOROVOD_RANK", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS")


class Thread(Ranks):
    """One of several ranks in one process, which meet at a barrier."""

    def __init__(self, rank, size, meeting):
        self.rank, self.size, self.meeting = rank, size, meeting

    def _exchange(self, value):
        table, barrier = self.meeting
        table[self.rank] = value
        barrier.wait(60)
        found = [table[rank] for rank in range(self.size)]
        barrier.wait(60)
        return found

    def sum(self, arrays):
        every = self._exchange([np.asarray(array) for array in arrays])
        return [np.sum(columns, axis=0) for columns in zip(*every, strict=True)]

    def first(self, array):
        return self._exchange(array)[0]


def _run(size, work):
    """Call work(ranks) once per rank, side by side, and return what each returns."""
    meeting = ({}, threading.Barrier(size))
    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(work, Thread(rank, size, meeting)) for rank in range(size)]
    return [future.result() for future in futures]


def _trainer(ranks, interrupt=None, native=False, **changes):
    chosen = {"optimizer": "sgd", "learning_rate": 0.2, "epochs": 2} | changes
    one = (native_trainer if native else make_trainer)("deepsets", **chosen)
    return Trainer(layout(one), one.settings, one.engine, ranks, interrupt)


def _task(trainer, sources, initial=1, checkpoint=None):
    seeds = Seeds(17, np.random.SeedSequence(3))
    return Task("network", sources, initial_weights(trainer, initial), seeds, 1.0, checkpoint)


@pytest.mark.parametrize("sources", [two_classes(301), (twins(301),)], ids=["step 1", "step 2"])
@pytest.mark.parametrize(("size", "optimizer"), [(2, "sgd"), (3, "sgd"), (3, "ecd")])
def test_ranks_give_what_one_gives(size, optimizer, sources, float64):
    """Odd numbers of events, batches that do not divide by the ranks, one rank with other start."""

    def work(ranks):
        trainer = _trainer(ranks, optimizer=optimizer, ecd={"nu_hat": 0.1, "eta": 20.0})
        (fit,) = trainer.fit([_task(trainer, sources, initial=1 + ranks.rank)])
        parts = trainer.predict([fit.parameters], sources[-1])
        return fit, np.concatenate([found[0] for _, found in parts])

    (alone, logits), *_ = _run(1, work)
    assert alone.best_epoch > 0
    for fit, found in _run(size, work):
        np.testing.assert_allclose(fit.parameters, alone.parameters, atol=1e-10)
        np.testing.assert_allclose(found, logits, atol=1e-6)
        for a, b in zip(fit.history, alone.history, strict=True):
            assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-12)
            assert a.get("loss", 0) == pytest.approx(b.get("loss", 0), rel=1e-12)
        assert fit.summary["train_events"] == alone.summary["train_events"]


@pytest.mark.parametrize("sources", [two_classes(301), (twins(301),)], ids=["step 1", "step 2"])
def test_ranks_of_the_native_engine_give_what_one_gives(sources):
    def work(ranks):
        trainer = _trainer(ranks, native=True)
        return trainer.fit([_task(trainer, sources, initial=1 + ranks.rank)])[0]

    (alone,) = _run(1, work)
    assert alone.best_epoch > 0
    for fit in _run(3, work):
        np.testing.assert_allclose(fit.parameters, alone.parameters, atol=1e-5)


@pytest.mark.parametrize("native", [False, True])
def test_ranks_share_the_work(native):
    sources, sizes = two_classes(300), {}

    def work(ranks):
        trainer = _trainer(ranks, native=native, epochs=1)
        trainer.engine = copy.copy(trainer.engine)  # a spy of its own
        sizes[ranks.rank] = counts = []
        prepare = trainer.engine.prepare

        def spy(networks):
            ((_, positions),) = networks
            counts.extend(
                [len(index) for index in update] for update in zip(*positions, strict=True)
            )
            return prepare(networks)

        trainer.engine.prepare = spy
        return trainer.fit([_task(trainer, sources)])[0]

    (fit, _) = _run(2, work)
    assert sizes[0] == sizes[1] == [[16, 16]] * fit.summary["updates_per_epoch"]


@pytest.mark.parametrize(("scaling", "rate"), [("sqrt", 0.2 * 2**0.5), ("linear", 0.4)])
def test_batch_and_rate_grow_with_the_ranks_on_request(scaling, rate):
    sources = two_classes(300)

    def work(ranks):
        trainer = _trainer(ranks, epochs=1, scale_with_ranks=scaling)
        return trainer.fit([_task(trainer, sources)])[0]

    fit, _ = _run(2, work)
    alone = work(Ranks())
    assert fit.history[1]["learning_rate"] == pytest.approx(rate)
    assert alone.history[1]["learning_rate"] == pytest.approx(0.2)
    assert fit.summary["updates_per_epoch"] == alone.summary["updates_per_epoch"] // 2


def test_all_ranks_stop_where_one_is_told_to(tmp_path):
    sources = two_classes(300)

    def work(ranks):
        interrupt = Interrupt()
        interrupt.requested = ranks.rank == 1
        trainer = _trainer(ranks, interrupt)
        state = Checkpoint(tmp_path / f"{ranks.rank}.h5", "key")
        with pytest.raises(Interrupted):
            trainer.fit([_task(trainer, sources, checkpoint=state)])

    _run(2, work)
    # Rank 0 alone writes, after the same update.
    assert [path.name for path in tmp_path.iterdir()] == ["0.h5"]
    assert Checkpoint(tmp_path / "0.h5", "key").read().progress["update"] == 1


def test_ranks_at_different_updates_are_an_error(tmp_path):
    """Rank 0 finds the checkpoint of an interrupted training; another does not see it."""
    sources = two_classes(300)

    def interrupted(ranks):
        interrupt = Interrupt()
        interrupt.requested = True
        state = Checkpoint(tmp_path / "0.h5", "key")
        with pytest.raises(Interrupted):
            _trainer(ranks, interrupt).fit([_task(_trainer(ranks), sources, checkpoint=state)])

    def resumed(ranks):
        trainer, state = _trainer(ranks), Checkpoint(tmp_path / f"{ranks.rank}.h5", "key")
        message = (
            "network: where the training goes on differs between the ranks: "
            "'epoch 1, update 1' on rank 0; 'epoch 0, update 0' on rank 1. .* checkpoints"
        )
        with pytest.raises(RankError, match=message):
            trainer.fit([_task(trainer, sources, checkpoint=state)])

    _run(2, interrupted)
    _run(2, resumed)


def test_ranks_that_differ_say_who(tmp_path):
    def work(ranks):
        ranks.agree("Size", "the same", "")
        with pytest.raises(RankError) as found:
            ranks.agree("The engine", "native" if ranks.rank % 2 else "tensorflow", "Mend it.")
        return str(found.value)

    message = "The engine differs between the ranks: 'tensorflow' on rank 0, 2; 'native' on rank 1."
    assert _run(3, work) == [f"{message} Mend it."] * 3
    Ranks().agree("The engine", "native", "")  # nobody to differ from


def test_more_ranks_than_events_of_a_batch_are_an_error():
    data, simulation = two_classes(12)
    few = changed(data, select=np.arange(12) < 12)
    ranks = Ranks()
    ranks.size = 64
    trainer = _trainer(ranks)
    with pytest.raises(TrainingError, match=r"fewer than the 64 ranks.*lower execution\.ranks"):
        trainer.fit([_task(trainer, (few, simulation))])


# -- starting ------------------------------------------------------------------------------------


@pytest.fixture
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_one_rank_needs_nothing(environment, tmp_path):
    environment.setenv("SLURM_NTASKS", "8")  # a whole node, of which one process is used
    ranks = distributed.start(1, tmp_path)
    assert (ranks.rank, ranks.local, ranks.size) == (0, 0, 1)
    assert not list(tmp_path.iterdir())
    arrays = [np.ones(2), np.zeros(1)]
    assert ranks.sum(arrays) == arrays
    assert ranks.first(arrays[0]) is arrays[0]


def test_a_job_started_otherwise_than_configured_is_refused(environment, tmp_path):
    with pytest.raises(RankError, match=r"ranks is 2, but this job runs as 1 process"):
        distributed.start(2, tmp_path)
    environment.setenv("HOROVOD_SIZE", "4")
    with pytest.raises(RankError, match=r"ranks is 1, but this job runs as 4 process"):
        distributed.start(1, tmp_path)


def test_without_horovod_the_message_says_how_to_get_it(environment, tmp_path):
    environment.setenv("SLURM_NTASKS", "2")
    environment.setitem(__import__("sys").modules, "horovod.tensorflow", None)
    with pytest.raises(RankError, match=r"Horovod is not installed.*docs/hpc\.md"):
        distributed.start(2, tmp_path)


@pytest.mark.parametrize(("text", "counts"), [("4(x2),1", [4, 4, 1]), ("2", [2])])
def test_tasks_per_node(environment, text, counts):
    environment.setenv("SLURM_STEP_TASKS_PER_NODE", text)
    assert distributed._tasks_per_node() == counts


class Said(BaseHTTPRequestHandler):
    """What ranks have told a server, as Horovod's own keeps it."""

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.said.append(self.path)
        self._answer(200)

    def do_GET(self):
        self._answer(200 if self.path in self.server.said else 404)

    def _answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start servers; each tells its port and has what it was told in `said`."""
    servers = []

    def start(*said):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Said)
        server.said = list(said)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def rank_of(environment):
    """Make this process one rank of two; it waits 20 s for the other."""
    environment.setattr(distributed, "START", 20)

    def be(rank):
        environment.setenv("HOROVOD_RANK", str(rank))
        environment.setenv("HOROVOD_SIZE", "2")
        for name in ("ADDR", "PORT"):  # set back in the end
            environment.setenv(f"HOROVOD_GLOO_RENDEZVOUS_{name}", "0")

    return be


@pytest.mark.parametrize("answers", [False, True])
def test_the_address_of_a_predecessor_is_given_up(rank_of, serve, tmp_path, answers):
    """Nobody is there any more, or it is the server of another job."""
    rank_of(1)
    old, new = serve("/omniflow-theirs/0"), serve("/omniflow-new/0")
    if not answers:
        old.shutdown()
        old.server_close()
    path = tmp_path / "ranks-7-0.txt"
    path.write_text(f"127.0.0.1 {old.server_port} omniflow-old\n")
    fresh = f"127.0.0.1 {new.server_port} omniflow-new\n"
    later = threading.Timer(1.5, write_text, [fresh, path])
    later.start()
    distributed._meet(path)
    later.join()
    assert os.environ["HOROVOD_GLOO_RENDEZVOUS_PORT"] == str(new.server_port)
    assert "/omniflow-new/1" in new.said
    assert ("/omniflow-old/1" in old.said) == answers


def test_rank_0_replaces_the_file_of_a_predecessor(rank_of, serve, environment, tmp_path):
    rank_of(0)
    server, path = serve(), tmp_path / "ranks-7-0.txt"
    old = f"127.0.0.1 {server.server_port} omniflow-old"
    path.write_text(old)

    class Rendezvous:
        def start(self):
            assert not path.exists()
            return server.server_port

        def init(self, hosts):
            assert hosts == 2

    hosts = SimpleNamespace(parse_hosts=str, get_host_assignments=lambda _, size: size)
    http = SimpleNamespace(RendezvousServer=Rendezvous)
    for name in ("", ".runner", ".runner.common", ".runner.common.util", ".runner.http"):
        environment.setitem(sys.modules, f"horovod{name}", SimpleNamespace())
    environment.setitem(sys.modules, "horovod.runner.common.util.hosts", hosts)
    environment.setitem(sys.modules, "horovod.runner.http.http_server", http)
    environment.setattr(distributed, "_address", lambda _: "127.0.0.1")
    environment.setenv("SLURM_STEP_TASKS_PER_NODE", "2")
    environment.setenv("SLURM_STEP_NODELIST", "node")

    def rank_1():
        text = old
        while text == old:
            time.sleep(0.05)
            with suppress(FileNotFoundError):
                text = path.read_text()
        server.said.append(f"/{text.split()[2]}/1")

    other = threading.Thread(target=rank_1)
    other.start()
    distributed._meet(path)
    other.join()
    address, port, scope = path.read_text().split()
    assert (address, port) == ("127.0.0.1", str(server.server_port))
    assert scope not in ("omniflow", "omniflow-old")
    assert f"/{scope}/0" in server.said  # its word that all are there


def test_the_address_is_that_of_the_way_to_the_other_nodes(monkeypatch, tmp_path):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        '#!/bin/sh\n[ "$3" = "node[1-2]" ] && echo nowhere.invalid && echo 127.0.0.1'
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert distributed._address("node[1-2]") == "127.0.0.1"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("127.0.1.1", "has the address 127.0.1.1"),
        ("::1", "has the address ::1"),
        (None, "no address"),
    ],
)
def test_a_node_whose_name_is_no_address_for_others_is_refused(rank_of, environment, found, said):
    rank_of(1)
    _named(environment, found)
    with pytest.raises(
        distributed.RankError, match=rf"rank 1 of 2 .* node-a, .*{said}.*/etc/hosts"
    ):
        distributed._require_address()


@pytest.mark.parametrize("found", ["192.0.2.7", "fe80::1%eth0"])
def test_a_node_with_an_address_of_its_own_takes_part(rank_of, environment, found):
    rank_of(1)
    _named(environment, found)
    distributed._require_address()


def _named(environment, address):
    """Give this machine a name, and the name an address."""

    def lookup(name, port, type):
        if address is None:
            raise OSError("Name or service not known")
        assert name == "node-a"
        return [(2, type, 6, "", (address, 0))]

    environment.setattr(distributed.socket, "gethostname", lambda: "node-a")
    environment.setattr(distributed.socket, "getaddrinfo", lookup)
