import subprocess
import sys
from pathlib import Path

import fresh_process
import numpy as np
import pytest
import tensorflow as tf

from omniflow.training import runtime


def test_fresh_processes_train_bitwise_the_same_networks():
    script = Path(fresh_process.__file__)
    printed = [
        subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    lines = printed[0].splitlines()
    assert len(lines) == 4  # two engines, each twice
    for first, again in (lines[:2], lines[2:]):
        assert first == again  # twice in one process
        assert not first.endswith(" 0")  # trained, not the initial weights
    assert printed[0] == printed[1]  # and in two


def test_the_settings_hold_and_may_be_repeated():
    tf.constant(np.ones(3)) + 1
    runtime.configure(1)
    assert tf.config.threading.get_intra_op_parallelism_threads() == 1
    assert tf.config.threading.get_inter_op_parallelism_threads() == 1


def test_other_threads_within_one_process_are_refused():
    tf.constant(np.ones(3)) + 1
    with pytest.raises(RuntimeError, match="cannot be modified"):
        runtime.configure(3)


def test_the_device_has_a_name():
    assert runtime.device() == "CPU" or tf.config.list_physical_devices("GPU")
