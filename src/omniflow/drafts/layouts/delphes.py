"""Delphes: members of classes, `Jet.PT`."""

from __future__ import annotations

from omniflow.drafts.content import Content
from omniflow.drafts.draft import TODO, Column, Level, Sample
from omniflow.drafts.layouts.layout import Layout

_COLUMNS = {"pt": "PT", "eta": "Eta", "phi": "Phi", "mass": "Mass"}
_UNITS = {"pt": "GeV", "phi": "rad", "mass": "GeV"}


class Delphes(Layout):
    """Jets and missing transverse energy of the tree `Delphes`."""

    title = "Delphes"

    def recognises(self, content: Content) -> bool:
        """Return whether there are Delphes' jets."""
        return any(table.has("Jet.PT", "Jet.Eta", "Jet.Phi") for table in content.tables)

    def has_truth(self, content: Content) -> bool:
        """Return whether there are generated jets."""
        return any(table.has("Jet.PT", "GenJet.PT") for table in content.tables)

    def sample(self, content: Content) -> Sample:
        """Return jets at both levels, with cuts that are to be chosen."""
        table = next(table for table in content.tables if table.has("Jet.PT"))
        sample = Sample(content.source, truth=self.has_truth(content), table=table.name or "")
        levels = {"detector": ("Jet", "MissingET.MET")}
        if sample.truth:
            levels["particle"] = ("GenJet", "GenMissingET.MET")
        for name, (jets, met) in levels.items():
            level = Level(keep=f"{jets}.PT > 20 and abs({jets}.Eta) < 2.5")
            level.selection = f"count({jets}.PT[{level.keep}]) >= 1"
            for key, member in _COLUMNS.items():
                if all(table.has(f"{each}.{member}") for each, _ in levels.values()):
                    level.particles[key] = Column(f"{jets}.{member}", _UNITS.get(key, ""))
            if all(table.has(each) for _, each in levels.values()):
                level.event["met"] = Column(f"first({met})", "GeV")
            level.notes = {
                "keep": f"{TODO}which jets count; the same cuts at both levels, as a start",
                "selection": f"{TODO}which events pass (the fiducial region)",
            }
            setattr(sample, name, level)
        if table.has("Event.Weight") and sample.truth:
            sample.weight = "first(Event.Weight)"
            sample.notes["weight"] = "of the generator; a list of one number"
        if table.has("Event.Number"):
            sample.id = ["first(Event.Number)"]
        sample.own = {
            "n_jets": {"expression": "count(pt)", "label": "number of jets"},
            "ht": {"expression": "sum(pt)", "unit": "GeV", "label": "H_T"},
            "lead_pt": {"expression": "first(sort(pt))", "unit": "GeV", "label": "pT of jet 1"},
        }
        return sample
