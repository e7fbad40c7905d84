"""Events in the padded HDF5 layout of the public H1 code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from omniflow.sources.source import FileSource

if TYPE_CHECKING:
    from omniflow.events.plausibility import Rule
    from omniflow.events.sample import Events
    from omniflow.sources.description import Description


class H1(FileSource):
    """Events in the padded HDF5 layout of the public H1 code (docs/formats.md)."""

    source: Literal["h1"]

    @classmethod
    def describe(cls, path: str) -> Description | None:
        """Return the events of a file in this layout (`h1_file.describe`)."""
        from omniflow.sources import h1_file

        return h1_file.describe(path)

    def count(self, path: str) -> int:
        """Return the number of records in a file."""
        from omniflow.errors import InputError
        from omniflow.files import open_h5

        with open_h5(path) as h5file:
            if "reco_event_features" not in h5file:
                raise InputError(f"{path}: reco_event_features: no such dataset")
            return len(h5file["reco_event_features"])

    def has_truth(self) -> bool | None:
        """Return whether all files have a particle level; None where they cannot be read."""
        from omniflow.errors import InputError
        from omniflow.files import open_h5

        truth = True
        try:
            for name in self.files:
                with open_h5(name) as h5file:
                    truth = truth and any(key.startswith("gen_") for key in h5file)
        except InputError:
            return None
        return truth

    def columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return those of DIS events."""
        from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE

        return DIS_EVENT, DIS_PARTICLE

    def units(self) -> dict[str, str]:
        """Return those of DIS events."""
        from omniflow.physics.dis.kinematics import UNITS

        return dict(UNITS)

    def features(self) -> str:
        """Return the preset of DIS events."""
        return "dis"

    def observables(self) -> dict[str, Any]:
        """Return the set of DIS events."""
        return {"names": ["dis"]}

    def typical(self) -> tuple[float, float]:
        """Return what high-Q2 DIS at HERA has."""
        from omniflow.physics.dis.kinematics import TYPICAL

        return TYPICAL

    def provenance(self) -> dict[str, Any]:
        """Return the files; that they fit together is checked first."""
        from omniflow.sources import h1_file

        h1_file.survey(self.files)
        return super().provenance()

    def check(self, events: Events, first: int) -> None:
        """Refuse events without Q2 or electron (`physics.dis.checks`)."""
        from omniflow.physics.dis import checks

        checks.check(events, self.title(), first)

    def rules(self) -> Sequence[Rule]:
        """Return those of DIS events."""
        from omniflow.physics.dis.plausibility import RULES

        return RULES

    def read(self) -> Iterator[Events]:
        """Yield the records by blocks (`h1_file.read`)."""
        from omniflow.sources import h1_file

        return h1_file.read(self.files, self.events, self.skip)
