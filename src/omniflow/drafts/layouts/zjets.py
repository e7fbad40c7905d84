"""Public Z + jets events of OmniFold: npz (zenodo 3548091), and the HDF5 files made of them."""

from __future__ import annotations

from omniflow.drafts.content import Content
from omniflow.drafts.draft import TODO, Column, Level, Sample
from omniflow.drafts.layouts.layout import Layout

_NUMBERS = {
    "mult": "mults",
    "width": "widths",
    "lha": "lhas",
    "ang2": "ang2s",
    "tau2": "tau2s",
    "groomed_mass": "sdms",
    "zg": "zgs",
}
_SUBSTRUCTURE = ("mass", "width", "multiplicity", "ln_rho", "zg", "tau21")
_FIDUCIAL = f"{TODO}the fiducial region; publications on these events ask for pT > 150 GeV"


class ZJets(Layout):
    """npz with `sim_jets`, `sim_particles`, ... and the same with `gen_`."""

    title = "Z + jets of OmniFold (npz)"

    def recognises(self, content: Content) -> bool:
        """Return whether there are jets of detector level."""
        return {"sim_jets", "sim_particles"} <= set(content.tables[0].arrays)

    def has_truth(self, content: Content) -> bool:
        """Return whether there are generated jets."""
        return {"gen_jets", "gen_particles"} <= set(content.tables[0].arrays)

    def sample(self, content: Content) -> Sample:
        """Return constituents and observables of the jet."""
        arrays = content.tables[0].arrays
        sample = Sample(content.source, truth=self.has_truth(content))
        prefixes = {"detector": "sim"} | ({"particle": "gen"} if sample.truth else {})
        numbers = {
            key: name
            for key, name in _NUMBERS.items()
            if all(f"{prefix}_{name}" in arrays for prefix in prefixes.values())
        }
        for name, prefix in prefixes.items():
            level = Level(selection=f"{prefix}_jets[0] > 150")
            level.particles = {
                "pt": Column(f"100 * {prefix}_particles[0]", "GeV"),
                "eta": Column(f"{prefix}_particles[1]"),
                "phi": Column(f"{prefix}_particles[2]", "rad"),
            }
            level.event = {
                "jet_pt": Column(f"{prefix}_jets[0]", "GeV"),
                "mass": Column(f"{prefix}_jets[3]", "GeV"),
            }
            level.event |= {key: Column(f"{prefix}_{each}") for key, each in numbers.items()}
            level.notes = {
                "particles": "constituents: pT / 100, rapidity and phi relative to the jet",
                "selection": _FIDUCIAL,
            }
            setattr(sample, name, level)
        sample.own = {"mass": {"expression": "mass", "unit": "GeV"}}
        for key in ("mult", "width", "zg"):
            sample.own |= {key: {"expression": key}} if key in numbers else {}
        if {"tau2", "width"} <= set(numbers):
            sample.own["tau21"] = {"expression": "tau2 / width"}
        if "groomed_mass" in numbers:
            sample.own["ln_rho"] = {"expression": "2 * log(groomed_mass / jet_pt)"}
        return sample


class ZJetsHdf5(Layout):
    """HDF5 with `reco_jets`, `reco_subs` and the same with `gen_`."""

    title = "Z + jets of OmniFold (HDF5: reco, reco_jets, reco_subs)"

    def recognises(self, content: Content) -> bool:
        """Return whether there are jets and substructure of detector level."""
        arrays = content.tables[0].arrays
        return {"reco_jets", "reco_subs"} <= set(arrays) and arrays["reco_subs"].shape[1:] == (6,)

    def has_truth(self, content: Content) -> bool:
        """Return whether there are generated jets."""
        return {"gen_jets", "gen_subs"} <= set(content.tables[0].arrays)

    def sample(self, content: Content) -> Sample:
        """Return the six observables of substructure and the jet's momentum."""
        sample = Sample(content.source, truth=self.has_truth(content))
        prefixes = {"detector": "reco"} | ({"particle": "gen"} if sample.truth else {})
        for name, prefix in prefixes.items():
            level = Level(selection=f"{prefix}_jets[0] > 150")
            level.event = {"jet_pt": Column(f"{prefix}_jets[0]", "GeV")}
            for at, key in enumerate(_SUBSTRUCTURE):
                level.event[key] = Column(f"{prefix}_subs[{at}]", "GeV" if key == "mass" else "")
            level.notes = {"selection": _FIDUCIAL}
            setattr(sample, name, level)
        if "reco" in content.tables[0].arrays:
            shape = content.tables[0].arrays["reco"].shape
            sample.remarks.append(
                f"Constituents are in `reco` and `gen` {shape[1:]}: to unfold with them add under "
                'detector `particles: { f0: "reco[0]", f1: "reco[1]" }` and so on, under particle '
                "the same of gen."
            )
        sample.remarks.append(
            "Rows of the published training and test files overlap: data and simulation must not."
        )
        return sample
