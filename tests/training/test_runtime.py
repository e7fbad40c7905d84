import subprocess
import sys
import tempfile

import fresh_process
import numpy as np
import pytest
import tensorflow as tf

from omniflow.training import runtime


def test_a_fresh_process_trains_bitwise_the_same_networks(capsys):
    """As this one, whatever it has done before; each engine twice in both."""
    command = [sys.executable, fresh_process.__file__]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = printed.splitlines()
    assert len(lines) == 4  # two engines, each twice
    for first, again in (lines[:2], lines[2:]):
        assert first == again  # twice in one process
        assert not first.endswith(" 0")  # trained, not the initial weights
    fresh_process.main()
    assert capsys.readouterr().out == printed  # and in two


def test_the_settings_hold_and_may_be_repeated():
    tf.constant(np.ones(3)) + 1
    runtime.configure(1)
    assert tf.config.threading.get_intra_op_parallelism_threads() == 1
    assert tf.config.threading.get_inter_op_parallelism_threads() == 1


def test_a_program_that_has_used_tensorflow_keeps_its_threads_and_is_warned():
    tf.constant(np.ones(3)) + 1
    before = tf.config.threading.get_intra_op_parallelism_threads()
    with pytest.warns(UserWarning, match="in use already, and keeps its own threads"):
        runtime.configure(3)
    assert tf.config.threading.get_intra_op_parallelism_threads() == before


def test_the_device_has_a_name():
    assert runtime.device() == "CPU" or tf.config.list_physical_devices("GPU")


@pytest.fixture
def new_process(monkeypatch, tmp_path):
    """What own_gpu answers to another process of the same machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(runtime, "_held", [])
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)

    def ask(count, local_rank=0):
        runtime.own_gpu.cache_clear()
        return runtime.own_gpu(count, local_rank)

    yield ask
    runtime.own_gpu.cache_clear()
    for lock in runtime._held:
        lock.close()


def test_jobs_on_one_machine_take_a_gpu_each(new_process):
    assert [new_process(3), new_process(3)] == [0, 1]
    assert runtime.own_gpu(3, 0) == 1  # the same process, asked again
    assert new_process(3) == 2
    assert new_process(3) == 0  # all are taken
    runtime._held[1].close()  # the process ends
    assert new_process(3) == 1


def test_ranks_beside_another_job_take_a_gpu_each(new_process):
    assert new_process(4) == 0
    assert [new_process(4, rank) for rank in range(3)] == [1, 2, 3]


def test_gpus_are_known_by_the_name_that_all_jobs_see(new_process, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert new_process(2) == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2,3")
    assert [new_process(3, 1), new_process(3, 1)] == [2, 0]


def test_slurm_gives_the_gpus(new_process, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert [new_process(2), new_process(2), new_process(2, 1), new_process(1, 1)] == [0, 0, 1, 0]


def test_the_gpu_of_a_process_is_the_only_one_that_tensorflow_sees(new_process, monkeypatch):
    seen = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0", f"{kind}:1"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *given: seen.append(given))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *_: None)
    assert new_process(2) == 0
    runtime.own_gpu.cache_clear()
    runtime.configure(1)
    runtime.configure(1)
    assert seen == [("GPU:1", "GPU")] * 2
