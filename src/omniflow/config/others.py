"""Others: the samples of a study beside its simulation, which is compared with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from omniflow.config.samples import Sample, Samples
from omniflow.config.section import LEVELS
from omniflow.config.uncertainties import Uncertainties

DETECTOR, PARTICLE = ((level,) for level in LEVELS)


class Other(NamedTuple):
    """A sample that has to fit the simulation.

    Attributes:
        where: its key in the configuration.
        sample: the events.
        seen: levels at which networks see them.
        compared: levels at which their observables are histogrammed.
    """

    where: str
    sample: Sample
    seen: tuple[str, ...]
    compared: tuple[str, ...]


def others(samples: Samples, uncertainties: Uncertainties) -> list[Other]:
    """Return all samples but the simulation."""
    return [*_unfolded(samples, uncertainties), *_beside(samples, uncertainties)]


def _unfolded(samples: Samples, uncertainties: Uncertainties) -> Iterator[Other]:
    yield _data("samples.data", samples.data)
    for name, background in samples.backgrounds.items():
        yield Other(f"samples.backgrounds.{name}.sample", background.sample, DETECTOR, DETECTOR)
    for name, variation in uncertainties.variations.items():
        where = f"uncertainties.variations.{name}"
        if variation.data is not None:
            yield _data(f"{where}.data", variation.data)
        if variation.simulation is not None:
            yield Other(f"{where}.simulation", variation.simulation, LEVELS, LEVELS)


def _data(where: str, sample: Sample) -> Other:
    return Other(where, sample, DETECTOR, LEVELS if sample.has_truth() else DETECTOR)


def _beside(samples: Samples, uncertainties: Uncertainties) -> Iterator[Other]:
    if samples.pretraining is not None:
        for key, sample in samples.pretraining.samples.items():
            # Its two classes are those levels of a simulation; else both are of detector level.
            seen = LEVELS if key == "simulation" else DETECTOR
            yield Other(f"samples.pretraining.{key}", sample, seen, ())
    for name, sample in uncertainties.predictions.items():
        yield Other(f"uncertainties.predictions.{name}", sample, (), PARTICLE)
