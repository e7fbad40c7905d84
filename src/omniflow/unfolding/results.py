"""Results: what is made of the weights of a study's lanes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from omniflow.tables.catalogue import FILES
from omniflow.tables.table import When
from omniflow.unfolding.coordinates import NOMINAL, Group, parted
from omniflow.unfolding.subsets import subsets
from omniflow.unfolding.trainings import Trainings
from omniflow.unfolding.variants import TOY

NO_COMBINATION = "none"  # in place of a combination for methods of one lane
PRIOR = "_prior"  # in place of a method: the simulation before unfolding
# Tests of the detector response take at most so many events of a sample: more would cost time and
# memory, and find differences that matter to nobody.
RESPONSE_EVENTS = 200_000
# Second classifiers take at most so many simulated events per event of data: more would cost much
# and tell little, because the data limit what can be told.
SECOND_SIMULATION = 2


class Results(Trainings):
    """Combinations of lanes, smaller ensembles, second classifiers and tables."""

    def combinations(self, method: str) -> tuple[str, ...]:
        """Return the combinations of a method's lanes; `none` for a single lane.

        A truncated mean of fewer than three lanes does not exist and is left out (see `notes`).
        """
        lanes = self.variants.method(method).lanes
        if lanes == 1:
            return (NO_COMBINATION,)
        return tuple(c for c in self.config.combine if c != "truncated_mean" or lanes >= 3)

    def subsets(self, method: str) -> list[tuple[int, ...]]:
        """Return the subsets of a method's lanes whose spread over passes is compared."""
        if parted(method)[0] != NOMINAL:
            return []
        lanes = self.config.methods[method].lanes
        several = lanes > 1 and len(self.passes) > 1
        return subsets(lanes, self.combinations(method)[0]) if several else []

    def member_subsets(self, method: str) -> list[tuple[int, ...]]:
        """Return the subsets of the members of a method's last step 2 whose spread is compared."""
        if parted(method)[0] != NOMINAL or len(self.passes) == 1:
            return []
        chain = self.chains[self.chain_slug(self.config.methods[method])]
        return subsets(chain.members, chain.aggregate) if chain.exchangeable else []

    def lane_groups(self, method: str, pass_: int) -> list[Group]:
        """Return the groups that hold the lanes of a method, or of another result."""
        chain, variant = self.chain_slug(self.variants.method(method)), parted(method)[0]
        lanes = range(self.variants.method(method).lanes)
        groups = [self.group_of(chain, pass_, lane, variant) for lane in lanes]
        return list(dict.fromkeys(groups))

    @property
    def second_subjects(self) -> tuple[str, ...]:
        """What second classifiers judge: every method, and the simulation before unfolding."""
        wanted = self.config.diagnostics.second_classifier
        return (PRIOR, *self.config.methods) if wanted else ()

    @cached_property
    def has_oracle(self) -> bool:
        """Whether step 2 is trained on the truth of the data, as far as their source tells."""
        return self.config.diagnostics.oracle and self._may_have_truth("data")

    @cached_property
    def response_roles(self) -> tuple[str, ...]:
        """Samples whose detector response is compared with that of the simulation.

        Data, where they have truth, and other simulations of systematic variations.
        """
        if not self.config.diagnostics.response:
            return ()
        others = [role for role in self.simulations if role != "simulation"]
        varied = [role for role in others if self.variants[parted(role)[0]].kind != TOY]
        return (*(["data"] if self._may_have_truth("data") else []), *varied)

    def _may_have_truth(self, role: str) -> bool:
        return self.samples[role].has_truth() is not False

    @property
    def tables(self) -> list[Path]:
        """Tables of the study, and other files for the reader; those of uncertainties apart."""
        stacked = any(chain.aggregate == "stacking" for chain in self.chains.values())
        more = [When.STACKING] * stacked + [When.ADAPTIVE] * bool(self.adaptive)
        return self._files(When.ALWAYS, *more)

    @property
    def uncertainty_tables(self) -> list[Path]:
        """Tables of uncertainties; none where there are neither variants nor predictions."""
        return self._files(When.UNCERTAINTIES) if self.variants.methods else []

    def _files(self, *when: When) -> list[Path]:
        return [self.table(file.name) for file in FILES if file.when in when]
