"""What is fitted to an unfolded result: templates, some of them times a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from omniflow.api.choices import one_of
from omniflow.config import text
from omniflow.config.load import validate_section
from omniflow.config.section import Name, Section
from omniflow.errors import InputError
from omniflow.export.binned import Binned
from omniflow.stages.predictions import PRIOR, TRUTH

Bounds = tuple[float, float]


class Sample(Section):
    """A template: a prediction, the difference of two, or contents."""

    name: Name = Field(description="Name in the workspace.")
    prediction: str | None = Field(
        None, description="`uncertainties.predictions`, `simulation` (before unfolding) or `truth`."
    )
    minus: str | None = Field(
        None, description="A prediction that is subtracted: the template of a change of shape."
    )
    contents: dict[str, tuple[float, ...]] | None = Field(
        None, description="In place of a prediction: contents per bin, by observable."
    )
    scale: float = Field(1.0, description="Factor on the template.")
    parameter: Name | None = Field(None, description="What multiplies it in the fit; else nothing.")
    start: float = Field(1.0, description="Where the parameter starts.")
    bounds: Bounds = Field((0.0, 10.0), description="Of the parameter.")

    @model_validator(mode="after")
    def _has_one_template(self) -> Sample:
        if (self.prediction is None) == (self.contents is None):
            raise ValueError("give prediction or contents, and not both")
        if self.minus is not None and self.prediction is None:
            raise ValueError("minus: is subtracted from a prediction; give one")
        if not self.bounds[0] <= self.start <= self.bounds[1]:
            raise ValueError(f"start {self.start:g} is not within bounds {list(self.bounds)}")
        return self


class Model(Section):
    """A sum of templates, linear in its parameters."""

    observables: tuple[str, ...] = Field(
        (), description="What is fitted, jointly; by default each alone and all together."
    )
    interest: Name = Field(description="The parameter of interest.")
    samples: tuple[Sample, ...] = Field(min_length=1, description="They are added.")

    @model_validator(mode="after")
    def _parameters_are_there(self) -> Model:
        names = [sample.name for sample in self.samples]
        if len(set(names)) < len(names):
            raise ValueError(f"names of samples are given twice: {', '.join(names)}")
        known = {sample.parameter for sample in self.samples} - {None}
        if self.interest not in known:
            raise ValueError(f"interest: {self.interest!r} is the parameter of no sample")
        seen: dict[str, tuple] = {}
        for sample in self.samples:
            if sample.parameter is not None:
                told = (sample.start, sample.bounds)
                if seen.setdefault(sample.parameter, told) != told:
                    raise ValueError(f"{sample.parameter}: has two starts or bounds")
        return self

    @property
    def parameters(self) -> dict[str, Sample]:
        """A sample of each parameter, by its name, the parameter of interest first."""
        found = {s.parameter: s for s in self.samples if s.parameter is not None}
        return {self.interest: found.pop(self.interest), **found}


def read(path: str | Path) -> Model:
    """Read a model from a YAML file.

    Raises:
        ConfigError: it cannot be read, or is no model.
    """
    return validate_section(Model, text.read(path), str(path))


def default(binned: Binned) -> Model:
    """Return the model without a file: the first prediction, else the simulation, times `mu`."""
    predictions = [name for name in binned.references if name not in (TRUTH, PRIOR)]
    name = (*predictions, PRIOR)[0]
    return Model(interest="mu", samples=(Sample(name=name, prediction=name, parameter="mu"),))


@dataclass(frozen=True)
class Template:
    """A sample of a model in the bins of a result.

    Attributes:
        content: (T,).
        statistics: factor on each prediction whose own statistics move it, by name.
    """

    content: np.ndarray
    statistics: Mapping[str, float]


def template(sample: Sample, binned: Binned) -> Template:
    """Return what a sample is in the bins of a result.

    Args:
        sample: of a model.
        binned: the result.

    Returns:
        Content (T,), and the predictions in it whose events are not those of the result.

    Raises:
        InputError: there is no such prediction, or contents do not fit the bins.
    """
    if sample.contents is not None:
        parts = [_given(sample, axis.name, len(axis.edges) - 1) for axis in binned.axes]
        return Template(sample.scale * np.concatenate(parts), {})
    factors = {sample.prediction or "": sample.scale}
    if sample.minus is not None:
        factors[sample.minus] = factors.get(sample.minus, 0.0) - sample.scale
    where = f"prediction of sample {sample.name}"
    found = {
        one_of(where, name, list(binned.references)): binned.references[name] for name in factors
    }
    return Template(
        np.sum([factors[name] * reference.content for name, reference in found.items()], axis=0),
        {name: factors[name] for name, reference in found.items() if not reference.shared},
    )


def _given(sample: Sample, observable: str, bins: int) -> np.ndarray:
    """Return the contents (B,) that a file gives."""
    found = (sample.contents or {}).get(observable)
    if found is None or len(found) != bins:
        has = "none" if found is None else f"{len(found)}"
        raise InputError(
            f"sample {sample.name}: contents: {observable} has {bins} bins, and {has} are given; "
            "give one number per bin"
        )
    return np.asarray(found, float)
