"""High-Q2 DIS events generated with Pythia 8 and a parametrised detector."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from omniflow.config.section import Positive
from omniflow.errors import InputError
from omniflow.physics.dis.source import DISEvents
from omniflow.sources.source import Source

if TYPE_CHECKING:
    from omniflow.events.sample import Events

# Modules of the extra `physics`; any other missing module is an error of the installation.
_PHYSICS = {"pythia8mc", "fastjet", "vector"}


class Pythia(DISEvents, Source):
    """High-Q2 DIS events generated with Pythia 8 and a parametrised detector."""

    generated: ClassVar[bool] = True

    source: Literal["pythia"]
    events: Positive = Field(description="Generated records (about half pass the detector cuts).")
    seed: int = Field(ge=1, le=900_000_000, description="Seed of the generator and the detector.")
    shower: Literal["simple", "vincia"] = Field("simple", description="Parton shower model.")
    pdf: int = Field(13, ge=1, le=22, description="Pythia's PDF:pSet of the proton.")
    factorisation_scale: float = Field(
        1.0, gt=0, description="Pythia's SigmaProcess:factorMultFac, factor on the squared scale."
    )
    lepton: Literal["positron", "electron"] = Field("positron", description="Beam lepton.")
    settings: tuple[str, ...] = Field(
        (), description="Further Pythia settings, one `Key:name = value` each, applied last."
    )

    @field_validator("settings")
    @classmethod
    def _settings_are_assignments(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            if not re.fullmatch(r"[A-Za-z0-9:()]+ *= *\S.*", line):
                raise ValueError(f"{line!r} is not of the form 'Key:name = value'")
        return value

    def extent(self) -> str:
        """Return the seed."""
        return f"seed {self.seed}"

    def shares(self, other: Source) -> bool:
        """Return whether everything but the number of events is the same."""
        if not isinstance(other, Pythia):
            return False
        return self.model_dump(exclude={"events"}) == other.model_dump(exclude={"events"})

    def next(self, number: int) -> Self:
        """Return a sample with another seed."""
        seed = 1 + (self.seed - 1 + 100_003 * number) % 900_000_000
        return self.model_copy(update={"seed": seed})

    def origins(self) -> frozenset[str]:
        """Return the settings: seed and number of events do not tell models apart."""
        return frozenset([self.model_copy(update={"seed": 1, "events": 1}).model_dump_json()])

    def has_truth(self) -> bool:
        """Return that there is a particle level."""
        return True

    def provenance(self) -> dict[str, Any]:
        """Return the versions of what generates events."""
        from importlib.metadata import PackageNotFoundError, version

        found = {}
        for name in sorted(_PHYSICS):
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                continue
        return {"versions": found}

    def read(self) -> Iterator[Events]:
        """Yield the events, in one part.

        Raises:
            InputError: a module that it needs is not installed.
        """
        try:
            from omniflow.physics.dis.sample import make_sample

            yield make_sample(self)
        except ModuleNotFoundError as error:
            if error.name not in _PHYSICS:
                raise
            raise InputError(
                f"source: pythia needs the module {error.name}, which is not installed; "
                "install it with: pip install 'omniflow[physics]'"
            ) from error
