"""EDM4hep (podio): members of classes, `MCParticles.momentum.x`, of ePIC, FCC and Key4hep."""

from __future__ import annotations

from omniflow.drafts import names
from omniflow.drafts.content import Content, Table
from omniflow.drafts.draft import TODO, Column, Level, Sample
from omniflow.drafts.layouts.layout import Layout

_MEASURED = ("ReconstructedParticles", "ReconstructedChargedParticles", "PandoraPFOs")
_TRUE = ("MCParticles", "MCParticle", "GeneratedParticles")
_HEADER = "EventHeader"


class Podio(Layout):
    """Reconstructed and stable generated particles, momenta of components."""

    title = "EDM4hep (podio)"

    def recognises(self, content: Content) -> bool:
        """Return whether there are reconstructed particles with components of momenta."""
        return self._table(content) is not None

    def has_truth(self, content: Content) -> bool:
        """Return whether there are generated particles."""
        table = self._table(content)
        return table is not None and bool(_first(table, _TRUE))

    def sample(self, content: Content) -> Sample:
        """Return particles at both levels."""
        table = self._table(content) or content.tables[0]
        true = _first(table, _TRUE)
        sample = Sample(content.source, truth=bool(true), table=table.name or "")
        sample.detector = self._level(table, _first(table, _MEASURED))
        if true:
            sample.particle = self._level(table, true)
        sample.id = [
            f"first({names.expression(name)})"
            for name in (f"{_HEADER}.runNumber", f"{_HEADER}.eventNumber")
            if table.has(name)
        ]
        if true and table.has(f"{_HEADER}.weight"):
            sample.weight = f"first({names.expression(f'{_HEADER}.weight')})"
            sample.notes["weight"] = "of the generator"
        numbers = [n for n in table.names if n.startswith("InclusiveKinematics")]
        if numbers:
            sample.remarks.append(
                f"Numbers of the event, lists of one: under event of a level write q2: "
                f"first({numbers[0].partition('.')[0]}.Q2), and select events that have it."
            )
        return sample

    def _level(self, table: Table, name: str) -> Level:
        x, y, z = (names.expression(f"{name}.momentum.{axis}") for axis in "xyz")
        pt = f"sqrt({x}**2 + {y}**2)"
        level = Level()
        level.particles = {
            "pt": Column(pt, "GeV"),
            "eta": Column(f"arcsinh({z} / {pt})"),
            "phi": Column(f"arctan2({y}, {x})", "rad"),
        }
        if table.has(f"{name}.charge"):
            level.particles["charge"] = Column(names.expression(f"{name}.charge"))
        level.keep = f"{pt} > 0.1 and abs({z}) < 27 * {pt}"  # |eta| < 4
        if table.has(f"{name}.generatorStatus"):
            level.keep = f"{names.expression(f'{name}.generatorStatus')} == 1 and {level.keep}"
        level.notes = {
            "keep": f"{TODO}which particles count: here pT > 0.1 GeV and |eta| < 4",
            "selection": f"{TODO}which events pass (the fiducial region)",
        }
        level.selection = f"count({x}[{level.keep}]) >= 1"
        return level

    def _table(self, content: Content) -> Table | None:
        return next((table for table in content.tables if _first(table, _MEASURED)), None)


def _first(table: Table, known: tuple[str, ...]) -> str:
    """Return the first collection of a table that has components of momenta; or nothing."""
    return next((n for n in known if table.has(f"{n}.momentum.x", f"{n}.momentum.z")), "")
