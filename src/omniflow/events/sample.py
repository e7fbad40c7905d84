"""In-memory form of a sample of events; the arrays may be memory maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omniflow.errors import InputError


@dataclass(frozen=True, repr=False)
class Level:
    """One level (particle or detector) of n events with M particles in all, jagged.

    Attributes:
        event: (n, E) float32, one column per name in `event_columns`.
        particles: (M, F) float32 flat array, one column per name in `particle_columns`;
            (0, 0) for samples without particles.
        offsets: (n + 1,) int64; particles of event i are rows offsets[i]:offsets[i + 1].
        event_columns: names of the columns of `event`.
        particle_columns: names of the columns of `particles`.
    """

    event: np.ndarray
    particles: np.ndarray
    offsets: np.ndarray
    event_columns: tuple[str, ...]
    particle_columns: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event)

    def __repr__(self) -> str:
        """Return number of events and names of the columns."""
        parts = [f"{len(self)} events", ", ".join(self.event_columns)]
        if self.particle_columns:
            parts.append(f"{len(self.particles)} particles of {', '.join(self.particle_columns)}")
        return f"Level({'; '.join(part for part in parts if part)})"

    @property
    def counts(self) -> np.ndarray:
        """Particles per event, (n,) int64."""
        return np.diff(self.offsets)

    def take(self, index: np.ndarray) -> Level:
        """Return the events `index` ((k,) integers or (n,) bool) as a new level, copied.

        Args:
            index: (k,) integers, or (n,) bool.

        Returns:
            A level of k events, in the order of `index`.
        """
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        # Of these events alone, so that many small parts cost no more than one large one.
        first = np.asarray(self.offsets[index])
        counts = np.asarray(self.offsets[index + 1]) - first
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], counts)
        return Level(
            np.asarray(self.event[index]),
            np.asarray(self.particles[rows]),
            offsets,
            self.event_columns,
            self.particle_columns,
        )

    @classmethod
    def joined(cls, parts: Sequence[Level]) -> Level:
        """Return levels of the same columns, of which there is one at least, as one level.

        Args:
            parts: levels of n1, n2, ... events.

        Returns:
            A level of n1 + n2 + ... events.
        """
        counts = np.concatenate([part.counts for part in parts])
        return cls(
            np.concatenate([part.event for part in parts]),
            np.concatenate([part.particles for part in parts]),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            parts[0].event_columns,
            parts[0].particle_columns,
        )


@dataclass(frozen=True, repr=False)
class Events:
    """A sample: n events with weights, selection flags and one or both levels.

    Attributes:
        event_id: (n,) uint64, unique in the sample.
        weight: (n,) float64 base weights.
        pass_detector: (n,) bool, event passes the detector-level selection.
        pass_particle: (n,) bool, event lies in the fiducial region at particle level;
            None where there is no particle level (real data).
        detector: detector level; rows of events that fail are all zero, without particles.
        particle: particle level, or None.
        weights: further weights (n,) float64 by name, each in place of `weight` in a variation.
    """

    event_id: np.ndarray
    weight: np.ndarray
    pass_detector: np.ndarray
    pass_particle: np.ndarray | None
    detector: Level
    particle: Level | None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def from_arrays(
        cls,
        detector: Any,
        particle: Any = None,
        *,
        weight: Any = None,
        weights: Mapping[str, Any] | None = None,
        pass_detector: Any = None,
        pass_particle: Any = None,
        event_id: Any = None,
    ) -> Events:
        """Return a sample from arrays of a program, checked and copied.

        Either level is one of

        * an array (n,) or (n, columns); columns are called x0, x1 and so on
        * a mapping from names to arrays (n,), a pandas DataFrame, or a structured array
        * an awkward array of n records: flat fields are columns of the event, jagged ones columns
          of its particles (of one collection: all with the same counts)
        * a mapping with the keys `particles` and, if there are any, `event` (one of the forms
          above). Particles are padded, (n, N, columns), with zeros or with a `mask` (n, N) beside,
          or jagged: an awkward array, or a mapping of such. `event_columns` and
          `particle_columns` name the columns
        * an array (n, N, columns): padded particles alone.

        Numbers are kept as float32. Units are the user's, and the same for all samples of a study.

        Args:
            detector: what was measured; rows of events that do not pass are ignored.
            particle: the truth of a simulation or of pseudo-data; None for real data. Fakes, which
                do not pass there, may have NaN for it.
            weight: (n,) base weights, of either sign; by default 1.
            weights: further ones (n,) by name, which take the place of `weight` in variations
                (`simulation_weights: <name>`); `replica-<n>` in bootstrap replicas.
            pass_detector: (n,) flags, event passes the selection; by default all do.
            pass_particle: (n,) flags, event lies in the fiducial region at particle level; by
                default all do.
            event_id: (n,) whole numbers, unique in the sample; by default 0 to n - 1. Random
                numbers of events, such as which of them are held out, follow from their ids.

        Returns:
            A sample of n events.

        Raises:
            InputError: something is not of such a form, or the events cannot be unfolded
                (`checks.check`); the message names argument, event and remedy.

        Examples:
            >>> import numpy as np
            >>> truth = np.array([1.0, 2.0, 3.0])
            >>> Events.from_arrays({"mass": truth + 0.1}, {"mass": truth}, weight=[1, 0.5, 1])
            Events(3 events; 3 pass; detector: mass; particle: mass)
            >>> Events.from_arrays(np.ones((3, 2)), pass_detector=[True, True, False])
            Events(3 events; 2 pass; detector: x0, x1)
            >>> padded = [[[20.0, 0.5], [10.0, -1.0]], [[15.0, 2.0], [0.0, 0.0]]]
            >>> jets = {"particles": np.array(padded), "particle_columns": ["pt", "eta"]}
            >>> Events.from_arrays(jets).detector
            Level(2 events; 3 particles of pt, eta)
        """
        from omniflow.events import arrays
        from omniflow.events.checks import check

        arrays.require_one_order(
            detector=detector,
            particle=particle,
            weight=weight,
            pass_detector=pass_detector,
            pass_particle=pass_particle,
            event_id=event_id,
        )
        measured = arrays.level(detector, "detector")
        truth = None if particle is None else arrays.level(particle, "particle")
        n = len(measured)
        if truth is None and pass_particle is not None:
            raise InputError(
                f"{arrays.WHERE}: pass_particle: is given without particle; give the particle "
                "level, or leave it out"
            )
        if truth is not None and len(truth) != n:
            raise InputError(
                f"{arrays.WHERE}: particle: has {len(truth)} events and detector has {n}; give "
                "both levels of the same events (pass_detector and pass_particle say which fail)"
            )
        passes, inside = arrays.flags(pass_detector, "pass_detector", n), None
        if truth is not None:
            inside = arrays.flags(pass_particle, "pass_particle", n)
            truth = arrays.with_truth(truth, inside)
        events = cls(
            arrays.ids(event_id, n),
            arrays.weights(weight, n),
            passes,
            inside,
            arrays.blanked(measured, passes),
            truth,
            arrays.named_weights(weights, n),
        )
        check(events, arrays.WHERE)
        return events

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event_id)

    def __repr__(self) -> str:
        """Return numbers of events and names of the columns."""
        passing = int(np.count_nonzero(self.pass_detector))
        levels = {"detector": self.detector, "particle": self.particle}
        columns = [
            f"{name}: {', '.join((*level.event_columns, *level.particle_columns))}"
            for name, level in levels.items()
            if level is not None
        ]
        return f"Events({'; '.join([f'{len(self)} events', f'{passing} pass', *columns])})"

    def take(self, index: np.ndarray) -> Events:
        """Return the events `index` ((k,) integers or (n,) bool) as a new sample, copied.

        Args:
            index: (k,) integers, or (n,) bool.

        Returns:
            A sample of k events, in the order of `index`.
        """
        index = np.asarray(index)
        return Events(
            np.asarray(self.event_id[index]),
            np.asarray(self.weight[index]),
            np.asarray(self.pass_detector[index]),
            None if self.pass_particle is None else np.asarray(self.pass_particle[index]),
            self.detector.take(index),
            None if self.particle is None else self.particle.take(index),
            {name: np.asarray(values[index]) for name, values in self.weights.items()},
        )

    @classmethod
    def joined(cls, parts: Sequence[Events]) -> Events:
        """Return samples of the same columns, of which there is one at least, as one sample.

        Args:
            parts: samples of n1, n2, ... events.

        Returns:
            A sample of n1 + n2 + ... events.
        """
        particles = [part.particle for part in parts if part.particle is not None]
        return cls(
            np.concatenate([part.event_id for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate([part.pass_detector for part in parts]),
            np.concatenate([part.pass_particle for part in parts]) if particles else None,
            Level.joined([part.detector for part in parts]),
            Level.joined(particles) if particles else None,
            {n: np.concatenate([part.weights[n] for part in parts]) for n in parts[0].weights},
        )
