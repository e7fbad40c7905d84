"""The plan: every sample, network, job and file of a study, from its configuration alone.

Snakefile, scripts, report and `omniflow plan` all ask this module for paths, seeds, dependencies
and numbers of networks; nothing else knows them. It loads neither TensorFlow nor event files.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from omniflow.config.schema import Config
from omniflow.unfolding import notes
from omniflow.unfolding.fingerprints import Fingerprints
from omniflow.unfolding.inputs import Inputs
from omniflow.unfolding.results import Results


class Plan(Results):
    """Everything that follows from a configuration."""

    def __init__(
        self, config: Config, root: Path | None = None, given: Config | None = None
    ) -> None:
        """Derive the plan of `config`; nothing is read or written.

        Args:
            config: of the study.
            root: its folder, where it is not that of the configuration.
            given: the user's configuration, where `config` has other numbers of lanes.
        """
        super().__init__(config, root)
        self.given = given or config
        self.fingerprints = Fingerprints(self)
        self.inputs = Inputs(self)

    def with_lanes(self, lanes: Mapping[str, int]) -> Plan:
        """Return the plan with other numbers of lanes; groups, paths and seeds are the same.

        Args:
            lanes: by method.
        """
        methods = {
            name: method.model_copy(update={"lanes": lanes.get(name, method.lanes)})
            for name, method in self.config.methods.items()
        }
        return Plan(self.config.model_copy(update={"methods": methods}), self.root, self.given)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results has to know about this configuration."""
        return notes.of(self)
