"""omniflow's own event store."""

from __future__ import annotations

from omniflow.drafts import names
from omniflow.drafts.content import Content
from omniflow.drafts.draft import Column, Level, Sample
from omniflow.drafts.layouts.layout import Layout
from omniflow.events import store


class EventStore(Layout):
    """Samples of another study, read as HDF5."""

    title = "event store of omniflow"
    rank = 0

    def recognises(self, content: Content) -> bool:
        """Return whether it says that it is an event store."""
        return content.source == "store"

    def has_truth(self, content: Content) -> bool:
        """Return whether it has a particle level."""
        return "pass_particle" in content.tables[0].arrays

    def sample(self, content: Content) -> Sample:
        """Return its columns, by the names that they have there."""
        events, units = store.open_store(content.path), store.units(content.path)
        sample = Sample("hdf5", truth=self.has_truth(content), weight="weight", id=["event_id"])
        for name in ("detector", "particle"):
            found = getattr(events, name)
            if found is None:
                continue
            level = Level(selection=f"pass_{name}")
            for part, keys in (
                ("particles", found.particle_columns),
                ("event", found.event_columns),
            ):
                columns = getattr(level, part)
                for at, key in enumerate(keys):
                    unit = units.get(key, "")
                    column = Column(f"{name}.{part}[{at}]", "" if unit == "1" else unit)
                    columns[names.column(key, columns)] = column
            if found.particle_columns:
                sample.counts[f"{name}/particles"] = f"{name}/offsets"
            setattr(sample, name, level)
        sample.weights = {names.column(n): names.expression(f"weights.{n}") for n in events.weights}
        return sample
