"""Random numbers: every seed derives from the study seed and a network's coordinates."""

from __future__ import annotations

import zlib

import numpy as np


def sequence(study_seed: int, purpose: str, *coordinates: int) -> np.random.SeedSequence:
    """Return the seed sequence of `purpose` at `coordinates` (non-negative integers).

    Different purposes or coordinates give independent streams (NumPy's SeedSequence);
    neither a method's name nor the size of a job enters.

    Args:
        study_seed: `study.seed`.
        purpose: what the random numbers are for.
        coordinates: of the network.

    Returns:
        NumPy's sequence.

    Examples:
        >>> integer(sequence(1, "split", 0, 3)) == integer(sequence(1, "split", 0, 3))
        True
        >>> integer(sequence(1, "split", 0, 3)) == integer(sequence(1, "order", 0, 3))
        False
    """
    return np.random.SeedSequence(
        study_seed, spawn_key=(zlib.crc32(purpose.encode()), *coordinates)
    )


def integer(sequence: np.random.SeedSequence) -> int:
    """Return a 63-bit integer drawn from the sequence."""
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
