"""ATLAS: DAOD_PHYSLITE, as a tree (names with dots) or an RNTuple (names with colons)."""

from __future__ import annotations

from omniflow.drafts import names
from omniflow.drafts.content import Content, Table
from omniflow.drafts.draft import TODO, Column, Level, Sample
from omniflow.drafts.layouts.layout import Layout

_JETS = "AnalysisJetsAuxDyn"
_TRUE = ("AntiKt4TruthDressedWZJetsAuxDyn", "AntiKt4TruthDressedWZJetsAux", "AntiKt4TruthJetsAux")
_UNITS = {"pt": "MeV", "phi": "rad", "m": "MeV"}


class Physlite(Layout):
    """Calibrated jets and jets of dressed truth, in MeV."""

    title = "DAOD_PHYSLITE"

    def recognises(self, content: Content) -> bool:
        """Return whether there are its calibrated jets."""
        return self._table(content) is not None

    def has_truth(self, content: Content) -> bool:
        """Return whether there are jets of truth."""
        table = self._table(content)
        return table is not None and bool(self._true(table))

    def sample(self, content: Content) -> Sample:
        """Return jets at both levels."""
        table = self._table(content) or content.tables[0]
        true = self._true(table)
        sample = Sample(content.source, truth=bool(true), table=table.name or "")
        prefixes = {"detector": _JETS} | ({"particle": true} if true else {})
        for name, prefix in prefixes.items():
            level = Level()
            for key, member in {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "m"}.items():
                if all(_column(table, each, member) for each in prefixes.values()):
                    text = names.expression(_column(table, prefix, member))
                    level.particles[key] = Column(text, _UNITS.get(member, ""))
            pt, eta = (level.particles[key].expression for key in ("pt", "eta"))
            cut = f"{pt} > 20000 and abs({eta}) < 2.5"
            jvt = _column(table, prefix, "JVT")
            level.keep = f"{names.expression(jvt)} > 0.5 and {cut}" if jvt else cut
            level.selection = f"count({pt}[{cut}]) >= 1"
            level.notes = {
                "keep": f"{TODO}which jets count (in MeV, as in the file)",
                "selection": f"{TODO}which events pass (trigger, fiducial region)",
            }
            setattr(sample, name, level)
        weights = _column(table, "EventInfoAuxDyn", "mcEventWeights")
        if weights and true:
            sample.weight = f"nth({names.expression(weights)}, 0)"
            sample.notes["weight"] = "of the generator; without pile-up and scale factors"
        ids = [_column(table, "EventInfoAuxDyn", n) for n in ("runNumber", "eventNumber")]
        sample.id = [names.expression(name) for name in ids if name]
        sample.own = {
            "n_jets": {"expression": "count(pt)", "label": "number of jets"},
            "ht": {"expression": "sum(pt)", "unit": "GeV", "label": "H_T"},
            "lead_pt": {"expression": "first(sort(pt))", "unit": "GeV", "label": "pT of jet 1"},
        }
        return sample

    def _table(self, content: Content) -> Table | None:
        return next((t for t in content.tables if _column(t, _JETS, "pt")), None)

    def _true(self, table: Table) -> str:
        return next((prefix for prefix in _TRUE if _column(table, prefix, "pt")), "")


def _column(table: Table, prefix: str, member: str) -> str:
    """Return the name of a column of a container in either spelling; nothing if it is not there."""
    return next((n for n in (f"{prefix}.{member}", f"{prefix}:{member}") if table.has(n)), "")
