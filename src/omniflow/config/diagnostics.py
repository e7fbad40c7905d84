"""Configuration of diagnostics."""

from __future__ import annotations

from pydantic import Field

from omniflow.config.section import Section


class Diagnostics(Section):
    """What tells how far the result can be trusted, beyond what every report has."""

    second_classifier: bool = Field(
        True,
        description="Train a second classifier per method to tell data from reweighted simulation "
        "and, where there is truth, truth from the unfolded result, and one of each before "
        "unfolding. That is two networks per method and two more.",
    )
