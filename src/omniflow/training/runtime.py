"""Process-wide TensorFlow settings; the only place that touches them."""

from __future__ import annotations

import os


def configure(threads: int) -> None:
    """Set the threads of TensorFlow and make its operations deterministic.

    Call once per process, before any network is built: the number of threads is part of what makes
    two runs bitwise equal.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def device() -> str:
    """Return what networks run on: the GPU's name, or `CPU`."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
