"""ATLAS's 24-dimensional Z + jets (zenodo 11507450): a table of pandas."""

from __future__ import annotations

import re

from omniflow.drafts import names
from omniflow.drafts.content import Content, Table
from omniflow.drafts.draft import TODO, Column, Level, Sample
from omniflow.drafts.layouts.layout import Layout

_MARKS = ("pT_ll", "pT_trackj1", "Ntracks_trackj1", "eta_l1")
_NAMED = 12  # weights that are written down


class AtlasZJets(Layout):
    """Columns per event, with nominal and further weights."""

    title = "24-dimensional Z + jets of ATLAS (pandas)"

    def recognises(self, content: Content) -> bool:
        """Return whether there are the dilepton and leading track jet, and weights."""
        table = content.tables[0]
        return sum(table.has(name) for name in _MARKS) >= 2 and any(
            name.startswith("weight") for name in table.names
        )

    def has_truth(self, content: Content) -> bool:
        """Return True: its events are of particle level."""
        return True

    def sample(self, content: Content) -> Sample:
        """Return the columns, which stand for both levels."""
        table = content.tables[0]
        found = table.values(table.names)
        numbers = [
            name
            for name in found
            if not names.is_weight(name) and name != "index" and not name.startswith("target")
        ]
        sample = Sample(content.source, truth=True, table=table.name or "")
        sample.detector, sample.particle = (
            Level(event={names.column(n): _column(n) for n in numbers}) for _ in range(2)
        )
        sample.detector.notes["event"] = (
            f"{TODO}the file has one level, which stands for both here, as of a perfect detector. "
            "Give the columns as they are measured"
        )
        self._weigh(sample, table)
        sample.id = ["index"] if table.has("index") else []
        return sample

    def _weigh(self, sample: Sample, table: Table) -> None:
        nominal = next((n for n in ("weight_mc", "weights_nominal") if table.has(n)), "")
        sample.weight = nominal or names.weights(table.names)[0]
        sample.notes["weight"] = (
            f"{TODO}weight_mc is the generator's; weights_nominal is the published result, "
            "which has weight_mc in it"
        )
        further = [n for n in names.weights(table.names) if n != sample.weight]
        single = [n for n in further if not re.search(r"_\d+$", n)]
        sample.weights = {names.column(n.removeprefix("weights_")): n for n in single[:_NAMED]}
        sample.notes["weights"] = "for uncertainties.variations, by name"
        many = sorted({re.sub(r"_\d+$", "", n) for n in further if re.search(r"_\d+$", n)})
        if many:
            sample.remarks.append(
                f"There are replicas of weights, {', '.join(f'{n}_0 ...' for n in many)}: list "
                "those of the bootstrap under `replicas`."
            )


def _column(name: str) -> Column:
    quantity = names.plain(name.partition("_")[0])
    unit = {"pt": "GeV", "m": "GeV", "phi": "rad"}.get(quantity, "")
    return Column(names.expression(name), unit)
