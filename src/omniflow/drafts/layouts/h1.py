"""The padded HDF5 layout of the public H1 code."""

from __future__ import annotations

from omniflow.drafts.content import Content
from omniflow.drafts.draft import Sample
from omniflow.drafts.layouts.layout import Layout


class H1(Layout):
    """Read by a source of its own, which knows columns, flags and weights."""

    title = "padded HDF5 of the H1 code"
    rank = 0
    patterns = False

    def recognises(self, content: Content) -> bool:
        """Return whether it has the event and particle features of detector level."""
        return {"reco_particle_features", "reco_event_features"} <= set(content.tables[0].arrays)

    def has_truth(self, content: Content) -> bool:
        """Return whether there are generated events."""
        return "gen_event_features" in content.tables[0].arrays

    def sample(self, content: Content) -> Sample:
        """Return the source `h1`."""
        return Sample(
            "h1",
            truth=self.has_truth(content),
            notes={
                "source": "columns, units, weight, pass_reco and pass_gen are known from the layout"
            },
        )
