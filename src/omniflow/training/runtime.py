"""Process-wide TensorFlow settings; the only place that touches them, and that loads it first."""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from omniflow.errors import OmniflowError
from omniflow.training.compiler import REMEDY

# By these a machine shows that it has GPUs (Nvidia's, AMD's, those of Windows below its Linux).
_DEVICES = ("nvidia[0-9]*", "kfd", "dxg")

_held: list[TextIO] = []  # locks of this process, until it ends


class EngineError(OmniflowError):
    """TensorFlow is needed and not installed."""


def configure(threads: int, local_rank: int = 0, why: str = "it is asked for") -> None:
    """Load TensorFlow, set its threads and make its operations deterministic.

    Call once per process, before any network is built: the number of threads is part of what makes
    two runs bitwise equal. Of several GPUs that it sees, a process uses one; see `own_gpu`.

    A program that has used TensorFlow before keeps its settings, and is warned.

    Args:
        threads: of this process.
        local_rank: number of this process on its machine.
        why: what takes TensorFlow, for the message where there is none.

    Raises:
        EngineError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise missing(why, str(error)) from error

    tf.config.experimental.enable_op_determinism()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if gpus := tf.config.list_physical_devices("GPU"):
            own = gpus[own_gpu(len(gpus), local_rank)]
            tf.config.set_visible_devices(own, "GPU")
            tf.config.experimental.set_memory_growth(own, True)
    except RuntimeError as error:  # they can be set once
        warnings.warn(
            f"TensorFlow is in use already, and keeps its own threads and GPUs ({error}); numbers "
            "may differ by rounding from those of another process. Call omniflow first to avoid it",
            stacklevel=2,
        )


def installed() -> bool:
    """Return whether TensorFlow is installed; it is not loaded."""
    try:
        return find_spec("tensorflow") is not None
    except ImportError:
        return False


def missing(why: str, said: str = "it is not installed") -> EngineError:
    """Return the error of TensorFlow that is needed and missing.

    Args:
        why: what takes it.
        said: what is wrong with it.
    """
    return EngineError(
        f"TensorFlow is needed here and cannot be loaded ({said}); {why.rstrip('.')}. Install it "
        "with `pip install 'omniflow[cpu]'`, or 'omniflow[gpu]', on Python 3.11 or 3.12. On CPUs "
        f"the native engine does without it; it takes a C++ compiler: {REMEDY}."
    )


@functools.cache
def own_gpu(count: int, local_rank: int) -> int:
    """Return which of the `count` GPUs that this process sees is its own.

    Under Slurm, which gives GPUs to jobs, it is that of the local rank; elsewhere the first from
    there on that no other process of this user has locked, or that of the rank if all are.
    """
    if "SLURM_JOB_ID" not in os.environ:
        names = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
        for index in (*range(local_rank % count, count), *range(local_rank % count)):
            name = f"omniflow-{os.getuid()}-gpu-{names.split(',')[index]}.lock"
            lock = open(Path(tempfile.gettempdir(), name), "w", encoding="utf-8")  # noqa: SIM115
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
            else:
                _held.append(lock)
                return index
    return local_rank % count


def device() -> str:
    """Return what TensorFlow's networks run on: the GPU's name, or `CPU`.

    TensorFlow is asked, and loaded, only where the machine shows a GPU.
    """
    if not any(any(Path("/dev").glob(name)) for name in _DEVICES):
        return "CPU"
    try:
        import tensorflow as tf
    except ImportError:
        return "CPU"

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
