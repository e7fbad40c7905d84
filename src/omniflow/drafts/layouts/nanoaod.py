"""CMS: NanoAOD, and NanoAOD with particle-flow candidates (PFNano)."""

from __future__ import annotations

from omniflow.drafts.content import Content, Table
from omniflow.drafts.draft import TODO, Column, Level, Sample
from omniflow.drafts.layouts.layout import Layout

_IDS = ("run", "luminosityBlock", "event")
_METS = ("PuppiMET_pt", "PFMET_pt", "MET_pt")


class NanoAOD(Layout):
    """Jets, with the missing transverse momentum, of the table `Events`."""

    title = "NanoAOD"
    rank = 1
    measured, true = "Jet", "GenJet"
    more: tuple[str, ...] = ("mass",)

    def recognises(self, content: Content) -> bool:
        """Return whether there are the jets and ids of NanoAOD."""
        table = _events(content)
        wanted = [f"{self.measured}_{name}" for name in ("pt", "eta", "phi")]
        return table is not None and table.has(*wanted, "event", "run")

    def has_truth(self, content: Content) -> bool:
        """Return whether there are generated particles."""
        table = _events(content)
        return table is not None and table.has(f"{self.true}_pt")

    def sample(self, content: Content) -> Sample:
        """Return jets at both levels, with cuts that are to be chosen."""
        table = _events(content) or content.tables[0]
        truth = self.has_truth(content)
        met = next((name for name in _METS if table.has(name)), "")
        both = [
            name
            for name in ("pt", "eta", "phi", *self.more)
            if table.has(f"{self.measured}_{name}")
            and (not truth or table.has(f"{self.true}_{name}"))
        ]
        sample = Sample(content.source, truth=truth, table=table.name or "")
        sample.detector = self._level(table, self.measured, both, met)
        if truth:
            sample.particle = self._level(table, self.true, both, "GenMET_pt" if met else "")
            if table.has("genWeight"):
                sample.weight = "genWeight"
                sample.notes["weight"] = "of the generator; unfolding.scale normalises the sample"
            if table.has("LHEScaleWeight"):
                sample.weights = {"scale_up": "genWeight * nth(LHEScaleWeight, 8)"}
                sample.notes["weights"] = (
                    "for uncertainties.variations; entry 8 of 9 is both scales doubled: see the "
                    "title of the branch"
                )
        triggers = [name for name in table.names if name.startswith("HLT_")]
        if triggers:
            shown = ", ".join(triggers[:3]) + (" and more" if len(triggers) > 3 else "")
            sample.detector.notes["selection"] += f". Triggers in the file: {shown}"
        sample.id = [name for name in _IDS if table.has(name)]
        self._remark(sample)
        return sample

    def _level(self, table: Table, prefix: str, both: list[str], met: str) -> Level:
        cut = f"{prefix}_pt > 20 and abs({prefix}_eta) < 2.5"
        level = Level(keep=cut, selection=f"count({prefix}_pt[{cut}]) >= 1")
        units = {"pt": "GeV", "mass": "GeV", "phi": "rad"}
        level.particles = {n: Column(f"{prefix}_{n}", units.get(n, "")) for n in both}
        if met and table.has(met):
            level.event = {"met": Column(met, "GeV")}
        where = "generated" if prefix == self.true else "measured"
        level.notes = {
            "keep": f"{TODO}which {where} jets count; the same cuts at both levels, as a start",
            "selection": f"{TODO}which events pass (the fiducial region)",
        }
        return level

    def _remark(self, sample: Sample) -> None:
        """Say what else could be unfolded."""
        sample.own = {
            "n_jets": {"expression": "count(pt)", "label": "number of jets"},
            "ht": {"expression": "sum(pt)", "unit": "GeV", "label": "H_T"},
            "lead_pt": {"expression": "first(sort(pt))", "unit": "GeV", "label": "pT of jet 1"},
        }


class PFNano(NanoAOD):
    """Particle-flow candidates."""

    title = "PFNano (NanoAOD with particle-flow candidates)"
    rank = 0
    measured, true = "PFCands", "GenCands"
    more = ()

    def _level(self, table: Table, prefix: str, both: list[str], met: str) -> Level:
        level = super()._level(table, prefix, both, "")
        cut = f"{prefix}_pt > 0.5 and abs({prefix}_eta) < 2.5"
        puppi = f"{prefix}_puppiWeight"
        level.keep = f"{puppi} > 0.5 and {cut}" if table.has(puppi) else cut
        level.selection = f"count({prefix}_pt[{level.keep}]) >= 1"
        level.notes["keep"] = f"{TODO}which particles count (pT, eta, charge, pile-up)"
        return level

    def _remark(self, sample: Sample) -> None:
        sample.own = {
            "multiplicity": {"expression": "count(pt)"},
            "sum_pt": {"expression": "sum(pt)", "unit": "GeV"},
            "jet_pt": {"jets": "pt", "radius": 0.4, "pt_min": 20, "unit": "GeV"},
            "jet_mass": {"jets": "mass", "radius": 0.4, "pt_min": 20, "unit": "GeV"},
        }


def _events(content: Content) -> Table | None:
    """Return the table of events: `Events`, or the only one of a Parquet file."""
    return content.table("Events") or (content.tables[0] if content.source == "parquet" else None)
