"""CMS: NanoAOD, and NanoAOD with particle-flow candidates (PFNano)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from omniflow.drafts.content import Content, Table
from omniflow.drafts.draft import TODO, Column, Level, Sample
from omniflow.drafts.layouts.layout import Layout

_IDS = ("run", "luminosityBlock", "event")
_METS = ("PuppiMET_pt", "PFMET_pt", "MET_pt")


class NanoAOD(Layout):
    """Jets, or leptons where there are none, of the table `Events`, with missing momentum.

    Columns are `Jet_pt` in trees and `Jet.pt` in RNTuples.
    """

    title = "NanoAOD"
    rank = 1
    # Collections that are taken, the first that is there; and what they are at particle level.
    measured: tuple[str, ...] = ("Jet", "Muon", "Electron", "FatJet")
    true: Mapping[str, tuple[str, ...]] = MappingProxyType(
        {
            "Jet": ("GenJet",),
            "Muon": ("GenDressedLepton", "GenPart"),
            "Electron": ("GenDressedLepton", "GenPart"),
            "FatJet": ("GenJetAK8",),
        }
    )
    more: tuple[str, ...] = ("mass",)

    def recognises(self, content: Content) -> bool:
        """Return whether there are particles and ids of NanoAOD."""
        table = _events(content)
        return table is not None and table.has("run", "event") and bool(self._prefixes(table))

    def has_truth(self, content: Content) -> bool:
        """Return whether there are generated particles."""
        table = _events(content)
        return table is not None and len(self._prefixes(table)) == 2

    def _prefixes(self, table: Table) -> list[str]:
        """Return the collections of detector level and, if it is there, of particle level."""
        dot = next((d for d in "_." if any(table.has(f"{n}{d}pt") for n in self.measured)), "_")
        there = [
            f"{name}{dot}"
            for name in self.measured
            if table.has(*(f"{name}{dot}{key}" for key in ("pt", "eta", "phi")))
        ]
        if not there:
            return []
        true = [f"{name}{dot}" for name in self.true[there[0][:-1]]]
        return [there[0], *[name for name in true if table.has(f"{name}pt")][:1]]

    def sample(self, content: Content) -> Sample:
        """Return particles at both levels, with cuts that are to be chosen."""
        table = _events(content) or content.tables[0]
        prefixes = self._prefixes(table)
        truth = len(prefixes) == 2
        met = next((name for name in _METS if table.has(name)), "")
        both = [
            name
            for name in ("pt", "eta", "phi", *self.more)
            if all(table.has(f"{prefix}{name}") for prefix in prefixes)
            and ("Jet" in prefixes[0] or name != "mass")  # that of leptons tells nothing
        ]
        sample = Sample(content.source, truth=truth, table=table.name or "")
        sample.detector = self._level(table, prefixes[0], both, met)
        if truth:
            sample.particle = self._level(table, prefixes[1], both, "GenMET_pt" if met else "")
            self._weigh(sample, table)
        triggers = [name for name in table.names if name.startswith("HLT_")]
        if triggers:
            shown = ", ".join(triggers[:3]) + (" and more" if len(triggers) > 3 else "")
            sample.detector.notes["selection"] += f". Triggers in the file: {shown}"
        sample.id = [name for name in _IDS if table.has(name)]
        others = [n[:-3] for n in table.names if n.endswith(("_pt", ".pt"))]
        taken, dot = {prefix[:-1] for prefix in prefixes}, prefixes[0][-1]
        if others := [n for n in others if n not in taken and table.has(f"{n}{dot}eta")]:
            sample.remarks.append(f"Other collections in the file: {', '.join(others[:12])}.")
        sample.own = self._observables(prefixes[0][:-1])
        return sample

    def _weigh(self, sample: Sample, table: Table) -> None:
        """Give the generator's weight, and those of its variations."""
        if not table.has("genWeight"):
            return
        sample.weight = "genWeight"
        sample.notes["weight"] = "of the generator; unfolding.scale normalises the sample"
        if table.has("LHEScaleWeight"):
            sample.weights = {
                "scale_up": "genWeight * nth(LHEScaleWeight, 8)",
                "scale_down": "genWeight * nth(LHEScaleWeight, 0)",
            }
            sample.notes["weights"] = (
                "for uncertainties.variations; of 9 entries 8 is both scales doubled, 0 both "
                "halved: see the title of the branch"
            )
        if table.has("LHEPdfWeight"):
            sample.remarks.append(
                "PDF sets are in LHEPdfWeight, as further `weights`: "
                '{ pdf_1: "genWeight * nth(LHEPdfWeight, 1)", ... }.'
            )

    def _level(self, table: Table, prefix: str, both: list[str], met: str) -> Level:
        cut = f"{prefix}pt > 20 and abs({prefix}eta) < 2.5"
        if prefix[:-1] == "GenPart":
            cut = f"{cut} and {prefix}status == 1 and abs({prefix}pdgId) == 13"
        level = Level(keep=cut, selection=f"count({prefix}pt[{cut}]) >= 1")
        units = {"pt": "GeV", "mass": "GeV", "phi": "rad"}
        level.particles = {n: Column(f"{prefix}{n}", units.get(n, "")) for n in both}
        if met and table.has(met):
            level.event = {"met": Column(met, "GeV")}
        where = "generated" if prefix.startswith("Gen") else "measured"
        what = "jets" if "Jet" in prefix else "leptons (which of them?)"
        level.notes = {
            "keep": f"{TODO}which {where} {what} count; the same cuts at both levels, as a start",
            "selection": f"{TODO}which events pass (the fiducial region)",
        }
        return level

    def _observables(self, collection: str) -> dict[str, dict[str, Any]]:
        """Return what could be unfolded."""
        if "Jet" not in collection:
            return {
                "n_leptons": {"expression": "count(pt)", "label": "number of leptons"},
                "lead_pt": {"expression": "first(sort(pt))", "unit": "GeV"},
                "lead_eta": {"expression": "abs(first(eta))", "label": "|eta| of lepton 1"},
            }
        return {
            "n_jets": {"expression": "count(pt)", "label": "number of jets"},
            "ht": {"expression": "sum(pt)", "unit": "GeV", "label": "H_T"},
            "lead_pt": {"expression": "first(sort(pt))", "unit": "GeV", "label": "pT of jet 1"},
        }


class PFNano(NanoAOD):
    """Particle-flow candidates."""

    title = "PFNano (NanoAOD with particle-flow candidates)"
    rank = 0
    measured = ("PFCands",)
    true = MappingProxyType({"PFCands": ("GenCands",)})
    more = ()

    def _level(self, table: Table, prefix: str, both: list[str], met: str) -> Level:
        level = super()._level(table, prefix, both, "")
        cut = f"{prefix}pt > 0.5 and abs({prefix}eta) < 2.5"
        puppi = f"{prefix}puppiWeight"
        level.keep = f"{puppi} > 0.5 and {cut}" if table.has(puppi) else cut
        level.selection = f"count({prefix}pt[{level.keep}]) >= 1"
        level.notes["keep"] = f"{TODO}which particles count (pT, eta, charge, pile-up)"
        return level

    def _observables(self, collection: str) -> dict[str, dict[str, Any]]:
        return {
            "multiplicity": {"expression": "count(pt)"},
            "sum_pt": {"expression": "sum(pt)", "unit": "GeV"},
            "jet_pt": {"jets": "pt", "radius": 0.4, "pt_min": 20, "unit": "GeV"},
            "jet_mass": {"jets": "mass", "radius": 0.4, "pt_min": 20, "unit": "GeV"},
        }


def _events(content: Content) -> Table | None:
    """Return the table of events: `Events`, or the only one of a Parquet file."""
    return content.table("Events") or (content.tables[0] if content.source == "parquet" else None)
