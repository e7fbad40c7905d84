"""Events in the padded HDF5 layout of the public H1 code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omniflow.physics.dis.source import DISEvents
from omniflow.sources.source import FileSource

if TYPE_CHECKING:
    from omniflow.events.sample import Events
    from omniflow.sources.description import Description


class H1(DISEvents, FileSource):
    """Events in the padded HDF5 layout of the public H1 code (docs/formats.md)."""

    source: Literal["h1"]

    @classmethod
    def describe(cls, path: str) -> Description | None:
        """Return the events of a file in this layout (`h1_file.describe`)."""
        from omniflow.physics.dis import h1_file

        return h1_file.describe(path)

    def count(self, path: str) -> int:
        """Return the number of records in a file."""
        from omniflow.errors import InputError
        from omniflow.hdf5 import open_h5

        with open_h5(path) as h5file:
            if "reco_event_features" not in h5file:
                raise InputError(f"{path}: reco_event_features: no such dataset")
            return len(h5file["reco_event_features"])

    def has_truth(self) -> bool | None:
        """Return whether all files have a particle level; None where they cannot be read."""
        from omniflow.errors import InputError
        from omniflow.hdf5 import open_h5

        truth = True
        try:
            for name in self.files:
                with open_h5(name) as h5file:
                    truth = truth and any(key.startswith("gen_") for key in h5file)
        except InputError:
            return None
        return truth

    def provenance(self) -> dict[str, Any]:
        """Return the files; that they fit together is checked first."""
        from omniflow.physics.dis import h1_file

        h1_file.survey(self.files)
        return super().provenance()

    def survey(self) -> None:
        """Refuse files whose datasets are others, or of other shapes (`h1_file.survey`)."""
        from omniflow.physics.dis import h1_file

        if there := [name for name in self.files if Path(name).is_file()]:
            h1_file.survey(there)

    def read(self) -> Iterator[Events]:
        """Yield the records by blocks (`h1_file.read`)."""
        from omniflow.physics.dis import h1_file

        return h1_file.read(self.files, self.events, self.skip)
