"""Process-wide TensorFlow settings; the only place that touches them."""

from __future__ import annotations

import os


def configure(threads: int, local_rank: int = 0) -> None:
    """Set the threads of TensorFlow and make its operations deterministic.

    Call once per process, before any network is built: the number of threads is part of what makes
    two runs bitwise equal. Of several GPUs that it sees, a process uses that of its local rank.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    if gpus := tf.config.list_physical_devices("GPU"):
        own = gpus[local_rank % len(gpus)]
        tf.config.set_visible_devices(own, "GPU")
        tf.config.experimental.set_memory_growth(own, True)


def device() -> str:
    """Return what networks run on: the GPU's name, or `CPU`."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
