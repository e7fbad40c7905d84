"""Jets and N-subjettiness by FastJet (EPJC 72 (2012) 1896) and its contribution Nsubjettiness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omniflow.errors import ConfigError
from omniflow.events.sample import Level

RADIUS = 1.0
PT_MIN = 5.0

# Events clustered at once: bounds memory, changes nothing else.
_CHUNK = 10_000


@dataclass(frozen=True)
class Jets:
    """Jets of n events, J in all, jagged; each event's jets are sorted by falling pT.

    Attributes:
        offsets: (n + 1,) int64; jets of event i are offsets[i]:offsets[i + 1].
        pt: (J,) float32 in GeV.
        eta: (J,) float32 pseudorapidity.
        phi: (J,) float32 azimuth in [-pi, pi).
        tau21: (J,) float32 N-subjettiness ratio tau_2 / tau_1; NaN where tau_1 = 0, that is for
            jets of one particle.
    """

    offsets: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    tau21: np.ndarray

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.offsets) - 1

    @property
    def counts(self) -> np.ndarray:
        """Jets per event, (n,) int64."""
        return np.diff(self.offsets)


def cluster(level: Level) -> Jets:
    """Cluster the particles of each event to kT jets, R = 1.0, pT > 5 GeV, E-scheme.

    Particles are taken as massless. tau_N (Thaler and Van Tilburg, JHEP 03 (2011) 015) has beta =
    1, the normalised measure with R0 = 1.0, and the exclusive kT axes without minimisation: other
    axes give other values (means over DIS jets 0.62 for kT, 0.56 for one-pass axes).

    Args:
        level: events with particle columns pt, eta, phi.

    Returns:
        Jets of all events, in their order.

    Raises:
        ConfigError: fastjet is not installed.
    """
    columns = [level.particle_columns.index(name) for name in ("pt", "eta", "phi")]
    parts = []
    for start in range(0, len(level), _CHUNK):
        stop = min(start + _CHUNK, len(level))
        first, last = level.offsets[start], level.offsets[stop]
        particles = np.asarray(level.particles[first:last], dtype=np.float64)[:, columns]
        parts.append(_cluster_chunk(particles, np.diff(level.offsets[start : stop + 1])))
    counts = np.concatenate([part[0] for part in parts] or [np.zeros(0, dtype=np.int64)])
    jets = np.concatenate([part[1] for part in parts] or [np.zeros((0, 4))]).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Jets(offsets, *(np.ascontiguousarray(column) for column in jets.T))


def _cluster_chunk(particles: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return jets per event and (J, 4) pt, eta, phi, tau21 of the jets."""
    try:
        import awkward as ak
        import fastjet
    except ImportError as error:
        raise ConfigError("jets need the package fastjet; install omniflow[physics]") from error

    empty = np.zeros(len(counts), dtype=np.int64), np.zeros((0, 4))
    if len(particles) == 0:
        return empty
    pt, eta, phi = particles.T
    momentum = (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta))
    events = ak.unflatten(
        ak.zip(dict(zip(("px", "py", "pz", "E"), momentum, strict=True)), with_name="Momentum4D"),
        counts,
    )
    sequence = fastjet.ClusterSequence(events, fastjet.JetDefinition(fastjet.kt_algorithm, RADIUS))
    jets = sequence.inclusive_jets(min_pt=PT_MIN)
    per_event = ak.to_numpy(ak.num(jets)).astype(np.int64)
    if per_event.sum() == 0:
        return empty

    px, py, pz = (ak.to_numpy(ak.flatten(jets[axis])) for axis in ("px", "py", "pz"))
    constituents = ak.flatten(sequence.constituents(min_pt=PT_MIN), axis=1)
    tau = _subjettiness(constituents)
    tau21 = np.full(len(tau), np.nan)
    # One constituent: tau_1 is 0 up to rounding.
    defined = (ak.to_numpy(ak.num(constituents)) > 1) & (tau[:, 0] > 0)
    np.divide(tau[:, 1], tau[:, 0], out=tau21, where=defined)

    jet_pt = np.hypot(px, py)
    event = np.repeat(np.arange(len(counts)), per_event)
    order = np.lexsort((-jet_pt, event))
    jet = np.column_stack([jet_pt, np.arcsinh(pz / jet_pt), np.arctan2(py, px), tau21])
    return per_event, jet[order]


def _subjettiness(constituents) -> np.ndarray:
    """Return tau_1 and tau_2, (J, 2), of jets given as an awkward array jet * constituent."""
    import fastjet

    # Each jet is passed as one event: njettiness works on all particles of an event.
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, RADIUS)
    tau = fastjet.ClusterSequence(constituents, definition).njettiness(
        measure_definition="NormalizedMeasure",
        axes_definition="KT_Axes",
        njets=[1, 2],
        beta=1.0,
        R0=RADIUS,
    )
    return np.asarray(tau, dtype=np.float64).reshape(-1, 2)
