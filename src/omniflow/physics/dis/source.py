"""What sources of DIS events have in common, whatever they are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omniflow.events.plausibility import Rule
    from omniflow.events.sample import Events
    from omniflow.sources.source import ColumnNames, Source


class DISEvents:
    """Columns, presets, checks and rules of DIS events; a base beside `Source` (`physics.dis`)."""

    if TYPE_CHECKING:

        def title(self) -> str:
            """Return what the source is called; `Source` has it."""

    def columns(self, level: str) -> ColumnNames:
        """Return the columns of events and of particles, the same at both levels."""
        from omniflow.physics.dis.kinematics import DIS_EVENT, DIS_PARTICLE

        return DIS_EVENT, DIS_PARTICLE

    def units(self) -> dict[str, str]:
        """Return the units of the columns."""
        from omniflow.physics.dis.kinematics import UNITS

        return dict(UNITS)

    def features(self, level: str) -> str:
        """Return the preset of features, the same at both levels."""
        return "dis"

    def observables(self, others: Mapping[str, Sequence[Source]]) -> dict[str, Any]:
        """Return the set of observables."""
        return {"names": ["dis"]}

    def typical(self) -> tuple[float, float]:
        """Return particles per event and the share that passes, of high-Q2 DIS at HERA."""
        from omniflow.physics.dis.kinematics import TYPICAL

        return TYPICAL

    def check(self, events: Events, first: int) -> None:
        """Refuse events without Q2 or electron (`physics.dis.checks`)."""
        from omniflow.physics.dis import checks

        checks.check(events, self.title(), first)

    def rules(self) -> Sequence[Rule]:
        """Return what is doubtful of them."""
        from omniflow.physics.dis.plausibility import RULES

        return RULES
