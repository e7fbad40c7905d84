"""Texts of a HEPData submission, which no study knows: from a YAML file, with placeholders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from omniflow.config import text
from omniflow.config.load import validate_section
from omniflow.config.section import Section

TODO = "TODO"


class Licence(Section):
    """A licence of the data; HEPData's own is CC0."""

    name: str = Field(max_length=256, description="Its name.")
    url: str = Field(max_length=256, description="Where its text is.")
    description: str | None = Field(None, description="What it permits.")


class Keywords(Section):
    """HEPData's keywords, which searches find."""

    cmenergies: tuple[float | str, ...] = Field((), description="Centre-of-mass energies, GeV.")
    reactions: tuple[str, ...] = Field((), description="Such as `E+ P --> E+ JET X`.")
    observables: tuple[str, ...] = Field((), description="Such as `DSIG/DPT`.")
    phrases: tuple[str, ...] = Field((), description="Such as `Deep Inelastic Scattering`.")


class Described(Section):
    """What is said of one observable."""

    description: str | None = Field(None, description="Caption of its table.")
    location: str | None = Field(
        None, max_length=256, description="Where the paper shows it, such as `Figure 3`."
    )
    observables: tuple[str, ...] = Field((), description="Keywords in place of the common ones.")


class Submission(Section):
    """Texts of a submission."""

    abstract: str | None = Field(None, description="Of the paper.")
    inspire_id: int | None = Field(None, ge=1, description="Record of the paper on INSPIRE.")
    keywords: Keywords = Field(Keywords(), description="Of all tables.")
    location: str | None = Field(None, max_length=256, description="Of all tables.")
    tables: dict[str, Described] = Field({}, description="By observable.")
    bundle: str | None = Field(
        None, pattern="^https?://", description="Where the events and weights are published."
    )
    links: dict[str, str] = Field({}, description="Further addresses, by what they lead to.")
    licence: Licence | None = Field(None, description="Of the data.")

    def placeholders(self) -> Iterator[str]:
        """Yield what is not given, and stands as a placeholder or is left out."""
        for name in ("abstract", "location"):
            if getattr(self, name) is None:
                yield f"{name}: {TODO} stands there"
        for name in ("inspire_id", "bundle"):
            if getattr(self, name) is None:
                yield f"{name}: left out"
        for name, values in self.keywords:
            if not values:
                yield f"keywords.{name}: left out"


def read(path: str | Path) -> Submission:
    """Read texts from a YAML file.

    Raises:
        ConfigError: it cannot be read, or has other keys or values.
    """
    return validate_section(Submission, text.read(path), str(path))
