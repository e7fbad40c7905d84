"""Samples of jets in Z + jets with both levels, as arrays and as files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omniflow.physics.zjets.detector import simulate
from omniflow.physics.zjets.generator import generate
from omniflow.physics.zjets.layout import leading_jets


def make_sample(
    events: int, seed: int, tune: int, settings: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Generate events and return the leading jet of either level of each.

    Args:
        events: number of events; those that lack a jet above 10 GeV at either level, far fewer than
            one in a thousand, are left out.
        seed: of generator and detector.
        tune: Pythia's `Tune:pp`.
        settings: further settings of Pythia, one `Key:name = value` each.

    Returns:
        `gen_<key>` and `sim_<key>` for the keys of `layout.leading_jets`, (N, ...) each.

    Raises:
        ConfigError: pythia8mc or fastjet is not installed, or Pythia refuses a setting.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for number, particle in enumerate(generate(events, seed, tune, settings)):
        levels = {"gen": particle, "sim": simulate(particle, (seed, number))}
        found = {name: leading_jets(level) for name, level in levels.items()}
        both = found["gen"][0] & found["sim"][0]
        for name, (has_jet, arrays) in found.items():
            for key, array in arrays.items():
                parts.setdefault(f"{name}_{key}", []).append(array[both[has_jet]])
    return {key: np.concatenate(_as_long(arrays)) for key, arrays in parts.items()}


def _as_long(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Return arrays whose places for particles are as many as those of the longest."""
    if arrays[0].ndim < 3:
        return arrays
    longest = max(each.shape[1] for each in arrays)
    return [np.pad(each, ((0, 0), (0, longest - each.shape[1]), (0, 0))) for each in arrays]
