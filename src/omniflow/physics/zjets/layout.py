"""Leading jets in the layout of OmniFold's public Z + jets set (zenodo.org/records/3548091)."""

from __future__ import annotations

import numpy as np

from omniflow.events.sample import Level
from omniflow.physics.jets import JetDefinition, cluster

RADIUS = 0.4
JETS = JetDefinition("antikt", RADIUS, 10.0)
Z_CUT, BETA = 0.1, 0.0
# The set's codes of particles.
CODES = {
    **{22: 0.0, 211: 0.1, -211: 0.2, 130: 0.3, 11: 0.4, -11: 0.5, 13: 0.6, -13: 0.7},
    **{321: 0.8, -321: 0.9, 2212: 1.0, -2212: 1.1, 2112: 1.2, -2112: 1.3},
}
_UNKNOWN = CODES[130]


def leading_jets(level: Level) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the leading anti-kT jet (R = 0.4, above 10 GeV) of each event, as arrays of the set.

    Angularities are sums over particles of z (distance / R)^beta about the jet's axis, with z the
    share in the scalar sum of pT; soft drop has z_cut = 0.1 and beta = 0.

    Args:
        level: n events with the particle columns `generator.PARTICLE`.

    Returns:
        Which events have a jet (n,), and for these J: `jets` (J, 4: pt, y, phi, m), `particles`
        (J, P, 4: pt / 100, y and phi relative to the jet, code; hardest first, padded with 0),
        `mults`, `lhas`, `widths`, `ang2s` (angularities of beta 1/2, 1 and 2), `tau2s`, `sdms`,
        `zgs` (0 where soft drop leaves one particle), (J,) each; all float32.

    Raises:
        ConfigError: fastjet is not installed.
    """
    import awkward as ak

    jets = cluster(level, JETS).leading()
    j = len(jets.pt)
    counts = ak.to_numpy(ak.num(jets.rows)).astype(np.int64)
    owner = np.repeat(np.arange(j), counts)
    rows = np.asarray(level.particles, dtype=np.float64)[ak.to_numpy(ak.flatten(jets.rows))]
    rows = rows[np.lexsort((-rows[:, 0], owner))]
    pt, eta, phi, mass, pdg = rows.T
    axis = _rapidity(*(np.asarray(x, np.float64) for x in (jets.pt, jets.eta, jets.mass)))
    y = _rapidity(pt, eta, mass) - axis[owner]
    phi = (phi - jets.phi[owner] + np.pi) % (2 * np.pi) - np.pi

    share = pt / np.bincount(owner, pt, j)[owner]
    distance = np.hypot(y, phi) / RADIUS
    angularities = {
        name: np.bincount(owner, share * distance**beta, j)
        for name, beta in (("lhas", 0.5), ("widths", 1.0), ("ang2s", 2.0))
    }
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    codes = np.array([CODES.get(int(each), _UNKNOWN) for each in pdg])
    particles = np.zeros((j, counts.max(initial=0), 4))
    particles[owner, place] = np.stack([pt / 100, y, phi, codes], axis=1)
    groomed = jets.groomed(Z_CUT, BETA)
    arrays = {
        "jets": np.stack([jets.pt, axis, jets.phi, jets.mass], axis=1),
        "particles": particles,
        "mults": counts,
        **angularities,
        "tau2s": jets.tau(2),
        "sdms": groomed.mass,
        "zgs": np.nan_to_num(groomed.zg),
    }
    return jets.counts > 0, {name: array.astype(np.float32) for name, array in arrays.items()}


def _rapidity(pt: np.ndarray, eta: np.ndarray, mass: np.ndarray) -> np.ndarray:
    return np.arcsinh(pt * np.sinh(eta) / np.hypot(pt, mass))
