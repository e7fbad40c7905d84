"""Jets and their substructure by FastJet (EPJC 72 (2012) 1896) and its contributions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from omniflow.errors import ConfigError, InputError
from omniflow.events.sample import Level

if TYPE_CHECKING:
    import awkward as ak
    import fastjet

Algorithm = Literal["kt", "antikt", "cambridge"]
MOMENTUM = ("pt", "eta", "phi")  # columns that particles need
# The largest radius that FastJet allows: all particles of a jet are clustered to one.
_WHOLE = 1000.0


@dataclass(frozen=True)
class JetDefinition:
    """How particles are clustered to jets; four-momenta are added.

    Attributes:
        algorithm: which particles are merged first: `kt` the soft ones, `antikt` those around hard
            ones, `cambridge` (Cambridge/Aachen) the closest.
        radius: R of the algorithm, in rapidity and azimuth.
        pt_min: least pT of a jet, in the units of the particles.
    """

    algorithm: Algorithm
    radius: float
    pt_min: float


@dataclass(frozen=True)
class Groomed:
    """What soft drop leaves of J jets.

    Attributes:
        mass: (J,) float32; 0 where one massless particle is left.
        zg: (J,) float32, share of the softer branch in the pT of the first pair of branches that
            passes; NaN where none does.
    """

    mass: np.ndarray
    zg: np.ndarray


class Jets:
    """Jets of n events, J in all, jagged; each event's jets are sorted by falling pT.

    Substructure is computed when it is asked for.

    Attributes:
        definition: how they were clustered.
        offsets: (n + 1,) int64; jets of event i are offsets[i]:offsets[i + 1].
        pt: (J,) float32.
        eta: (J,) float32 pseudorapidity.
        phi: (J,) float32 azimuth in [-pi, pi).
        mass: (J,) float32.
    """

    def __init__(
        self,
        definition: JetDefinition,
        counts: np.ndarray,
        momentum: np.ndarray,
        constituents: Callable[[], ak.Array] | None = None,
        rows: Callable[[], ak.Array] | None = None,
    ) -> None:
        """Take jets of n events.

        Args:
            definition: how they were clustered.
            counts: (n,) jets per event.
            momentum: (J, 4) px, py, pz, E of the jets, each event's sorted by falling pT.
            constituents: returns the particles px, py, pz, E of every jet, which take as long as
                the clustering and are asked for where a property needs them; None without jets.
            rows: returns which particles of the events these are, from the first event's on.
        """
        self.definition = definition
        self._momentum = momentum
        self.offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        px, py, pz, energy = momentum.T
        pt = np.hypot(px, py)
        self.pt, self.phi = _single(pt), _single(np.arctan2(py, px))
        self.eta, self.mass = _single(np.arcsinh(pz / pt)), _single(_mass(pt, pz, energy))
        self._find_constituents, self._find_rows = constituents, rows
        self._tau: dict[int, np.ndarray] = {}
        self._groomed: dict[tuple[float, float], Groomed] = {}

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.offsets) - 1

    @cached_property
    def _axis(self) -> np.ndarray:
        """Rapidity and azimuth, (2, J) float64."""
        px, py, pz, energy = self._momentum.T
        return np.stack([_rapidity(np.hypot(px, py), pz, energy), np.arctan2(py, px)])

    @cached_property
    def _constituents(self) -> ak.Array | None:
        return None if self._find_constituents is None else self._find_constituents()

    @cached_property
    def rows(self) -> ak.Array:
        """Particles of every jet, (J,) jagged: rows of the level's particles, from the first on."""
        import awkward as ak

        none = np.zeros(0, np.int64)
        return ak.unflatten(none, none) if self._find_rows is None else self._find_rows()

    def leading(self) -> Jets:
        """Return the jet of highest pT of every event; events without jets have none."""
        first = self.offsets[np.flatnonzero(self.counts)]
        constituents = self._find_constituents
        return Jets(
            self.definition,
            np.minimum(self.counts, 1),
            self._momentum[first],
            None if constituents is None else lambda: constituents()[first],
            None if self._find_rows is None else lambda: self.rows[first],
        )

    @property
    def counts(self) -> np.ndarray:
        """Jets per event, (n,) int64."""
        return np.diff(self.offsets)

    @property
    def event_index(self) -> np.ndarray:
        """Event of every jet, (J,) int64."""
        return np.repeat(np.arange(len(self)), self.counts)

    @cached_property
    def multiplicity(self) -> np.ndarray:
        """Particles in every jet, (J,) int64."""
        if self._constituents is None:
            return np.zeros(0, np.int64)
        import awkward as ak

        return ak.to_numpy(ak.num(self._constituents)).astype(np.int64)

    @cached_property
    def width(self) -> np.ndarray:
        """Mean distance to the jet in rapidity and azimuth, weighted with pT; (J,) float32."""
        if self._constituents is None:
            return np.zeros(0, np.float32)
        import awkward as ak

        flat = ak.flatten(self._constituents)
        px, py, pz, energy = (ak.to_numpy(flat[axis]) for axis in ("px", "py", "pz", "E"))
        pt = np.hypot(px, py)
        jet = np.repeat(np.arange(len(self.pt)), self.multiplicity)
        rapidity, phi = self._axis[:, jet]
        turn = (np.arctan2(py, px) - phi + np.pi) % (2 * np.pi) - np.pi
        distance = np.hypot(_rapidity(pt, pz, energy) - rapidity, turn)
        size = len(self.pt)
        return _single(np.bincount(jet, pt * distance, size) / np.bincount(jet, pt, size))

    def tau(self, n: int) -> np.ndarray:
        """Return the N-subjettiness tau_N of every jet, (J,) float32; 0 for n or fewer particles.

        Thaler and Van Tilburg, JHEP 03 (2011) 015, with beta = 1, the normalised measure whose R0
        is the radius of the jets, and the exclusive kT axes without minimisation: other axes give
        other values (means of tau_2 / tau_1 over soft jets 0.62 for kT, 0.56 for one-pass axes).

        Args:
            n: number of axes N, from 1.

        Returns:
            (J,) float32.
        """
        return _single(np.where(self.multiplicity > n, self._taus(n)[0], 0.0))

    def tau_ratio(self, n: int) -> np.ndarray:
        """Return tau_n / tau_(n - 1), (J,) float32; NaN for jets of fewer than n particles.

        Also where tau_(n - 1) is 0.

        Args:
            n: number of axes, from 2.

        Returns:
            (J,) float32.
        """
        above, below = self._taus(n, n - 1)
        result = np.full(len(above), np.nan)
        # Of as many particles as axes tau is 0 up to rounding.
        defined = (self.multiplicity > n - 1) & (below > 0)
        np.divide(above, below, out=result, where=defined)
        return _single(result)

    def groomed(self, z_cut: float, beta: float) -> Groomed:
        """Return mass and zg after soft drop (Larkoski et al., JHEP 05 (2014) 146).

        The particles of a jet are clustered anew by Cambridge/Aachen. The softer branch is dropped,
        from the last merging on, until min(pT1, pT2) / (pT1 + pT2) > z_cut (dR / R)^beta.
        """
        if self._constituents is None:
            return Groomed(np.zeros(0, np.float32), np.zeros(0, np.float32))
        if (z_cut, beta) not in self._groomed:
            import awkward as ak

            found = self._whole.exclusive_jets_softdrop_grooming(
                njets=1, beta=beta, symmetry_cut=z_cut, R0=self.definition.radius
            )
            zg = ak.to_numpy(found["symmetrysoftdrop"])
            # One particle has no branches (-1) and, up to rounding, no mass.
            mass = np.maximum(ak.to_numpy(found["msoftdrop"]), 0.0)
            self._groomed[z_cut, beta] = Groomed(
                _single(mass), _single(np.where(zg > 0, zg, np.nan))
            )
        return self._groomed[z_cut, beta]

    def _taus(self, *numbers: int) -> list[np.ndarray]:
        """Return tau_N (J,) float64 of every N, computed together."""
        missing = sorted({n for n in numbers if n not in self._tau})
        if missing and self._constituents is None:
            self._tau |= dict.fromkeys(missing, np.zeros(0))
        elif missing:
            found = self._whole.njettiness(
                measure_definition="NormalizedMeasure",
                axes_definition="KT_Axes",
                njets=missing,
                beta=1.0,
                R0=self.definition.radius,
            )
            values = np.asarray(found, dtype=np.float64).reshape(-1, len(missing))
            self._tau |= dict(zip(missing, values.T, strict=True))
        return [self._tau[n] for n in numbers]

    @cached_property
    def _whole(self) -> fastjet.ClusterSequence:
        """Every jet as an event of its own, whose particles make one jet."""
        import fastjet

        definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, _WHOLE)
        return fastjet.ClusterSequence(self._constituents, definition)


def cluster(level: Level, definition: JetDefinition) -> Jets:
    """Cluster the particles of each event to jets.

    Memory grows with the number of events: give some ten thousand at a time.

    Args:
        level: events with particle columns pt, eta, phi; particles are massless where there is no
            column mass.
        definition: algorithm, radius and threshold.

    Returns:
        Jets of all events, in their order.

    Raises:
        ConfigError: fastjet is not installed.
        InputError: a column is missing.
    """
    try:
        import awkward as ak
        import fastjet
    except ImportError as error:
        raise ConfigError("jets need the package fastjet; install omniflow[physics]") from error

    momentum = momenta(level)
    counts = np.diff(level.offsets)
    none = Jets(definition, np.zeros(len(counts), np.int64), np.zeros((0, 4)))
    if len(momentum[0]) == 0:
        return none
    axes = ("px", "py", "pz", "E")
    # As `ak.zip` and `ak.unflatten` would make them, which takes a tenth of the clustering's time.
    particles = ak.contents.RecordArray(
        [ak.contents.NumpyArray(values) for values in momentum],
        list(axes),
        parameters={"__record__": "Momentum4D"},
    )
    offsets = ak.index.Index64(level.offsets - level.offsets[0])
    events = ak.Array(ak.contents.ListOffsetArray(offsets, particles))
    algorithm = getattr(fastjet, f"{definition.algorithm}_algorithm")
    clustering = fastjet.JetDefinition(algorithm, definition.radius)
    sequence = fastjet.ClusterSequence(events, clustering)
    jets = sequence.inclusive_jets(min_pt=definition.pt_min)
    per_event = ak.to_numpy(ak.num(jets)).astype(np.int64)
    if per_event.sum() == 0:
        return none
    flat = ak.flatten(jets)
    vectors = np.stack([ak.to_numpy(flat[axis]) for axis in axes], axis=1)
    event = np.repeat(np.arange(len(counts)), per_event)
    order = np.lexsort((-np.hypot(vectors[:, 0], vectors[:, 1]), event))

    def constituents() -> ak.Array:
        return ak.flatten(sequence.constituents(min_pt=definition.pt_min), axis=1)[order]

    def rows() -> ak.Array:
        within = ak.flatten(sequence.constituent_index(min_pt=definition.pt_min), axis=1)[order]
        return within + (level.offsets[:-1] - level.offsets[0])[event[order]]

    return Jets(definition, per_event, vectors[order], constituents, rows)


def momenta(level: Level) -> tuple[np.ndarray, ...]:
    """Return px, py, pz, E of all particles, (M,) each.

    Args:
        level: with M particles: pT in the sample's unit, eta, phi in rad and, if there is one,
            mass.

    Returns:
        px, py, pz and E in that unit, (M,) float64 each.

    Raises:
        InputError: the level lacks one of their columns pt, eta and phi.
    """
    missing = [name for name in MOMENTUM if name not in level.particle_columns]
    if missing:
        raise InputError(
            f"jets need the particle columns {', '.join(MOMENTUM)}, but this level has "
            f"{', '.join(level.particle_columns) or 'none'}: choose other observables or add "
            f"{', '.join(missing)}"
        )
    has_mass = "mass" in level.particle_columns
    names = (*MOMENTUM, "mass") if has_mass else MOMENTUM
    columns = [level.particle_columns.index(name) for name in names]
    rows = level.particles[level.offsets[0] : level.offsets[-1]]
    pt, eta, phi, *mass = np.asarray(rows, dtype=np.float64)[:, columns].T
    energy = np.hypot(pt * np.cosh(eta), mass[0]) if has_mass else pt * np.cosh(eta)
    return pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy


def _single(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)


def _mass(pt: np.ndarray, pz: np.ndarray, energy: np.ndarray) -> np.ndarray:
    # Rounding makes the square of a massless jet negative.
    return np.sqrt(np.maximum((energy + pz) * (energy - pz) - pt**2, 0.0))


def _rapidity(pt: np.ndarray, pz: np.ndarray, energy: np.ndarray) -> np.ndarray:
    # Without the difference of E and |pz|, which loses its digits in the forward direction.
    transverse = np.hypot(pt, _mass(pt, pz, energy))
    return np.sign(pz) * np.log((energy + np.abs(pz)) / transverse)
