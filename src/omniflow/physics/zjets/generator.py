"""Z + jets at the LHC from Pythia 8 (SciPost Phys. Codebases 8), particle level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow.errors import ConfigError
from omniflow.events.sample import Level

if TYPE_CHECKING:
    import awkward as ak

PARTICLE = ("pt", "eta", "phi", "mass", "pdg")
Z_PT_MIN = 200.0
# Events per call of Pythia: bounds memory at about 100 MB; fixed, so that nothing depends on it.
_BATCH = 1000
# So many batches without a single event mean settings that never give one.
_MAX_EMPTY_BATCHES = 20

_SETTINGS = (
    "Print:quiet = on",
    "Print:errors = off",
    "Random:setSeed = on",
    "Beams:eCM = 14000.",
    "WeakBosonAndParton:qqbar2gmZg = on",
    "WeakBosonAndParton:qg2gmZq = on",
    "WeakZ0:gmZmode = 2",  # no photon exchange
    "23:mayDecay = off",
    "PhaseSpace:pTHatMin = 150.",
)
_Z = 23


def generate(events: int, seed: int, tune: int, settings: Sequence[str] = ()) -> Iterator[Level]:
    """Generate events with a stable Z boson above 200 GeV.

    Proton-proton collisions at 14 TeV with pT-hat above 150 GeV, as those of the public set
    (zenodo.org/records/3548091).

    Args:
        events: number of events.
        seed: of Pythia, 1 to 900,000,000.
        tune: Pythia's `Tune:pp`, such as 14 (Monash) or 26 (ATLAS A14, variation 2-).
        settings: further lines `Key:name = value`, applied last.

    Yields:
        Levels of at most 1000 events without event columns. Particles are the visible ones of the
        final state, without the Z, with the columns `PARTICLE`: GeV, rad and the PDG's number.

    Raises:
        ConfigError: Pythia is not installed, refuses a setting or gives no event.
    """
    pythia = _initialise(seed, tune, settings)
    left, empty = events, 0
    while left:
        level = _visible(pythia.nextBatch(_BATCH), pythia.particleData)
        empty = 0 if len(level) else empty + 1
        if empty >= _MAX_EMPTY_BATCHES:
            raise ConfigError(
                f"Pythia gave no Z boson above {Z_PT_MIN:g} GeV in {empty * _BATCH} events; check "
                f"the settings {list(settings)}"
            )
        level = level.take(np.arange(min(left, len(level))))
        left -= len(level)
        if len(level):
            yield level


def _initialise(seed: int, tune: int, settings: Sequence[str]) -> Any:
    try:
        import pythia8mc
    except ImportError as error:
        raise ConfigError(
            "Z + jets need the package pythia8mc; install omniflow[physics]"
        ) from error

    pythia = pythia8mc.Pythia("", False)
    for line in (*_SETTINGS, f"Random:seed = {seed}", f"Tune:pp = {tune}", *settings):
        if not pythia.readString(line, False):
            raise ConfigError(f"Pythia refuses the setting {line!r}: unknown name or wrong type")
    if not pythia.init():
        raise ConfigError(
            f"Pythia cannot be initialised; check tune {tune} and settings {list(settings)}"
        )
    return pythia


def _visible(batch: ak.Array, particle_data: Any) -> Level:
    """Return the events of a batch whose Z is hard enough."""
    import awkward as ak

    entries = batch["prt"]
    n = len(entries)
    event = np.repeat(np.arange(n), ak.to_numpy(ak.num(entries["status"])))
    final = ak.to_numpy(ak.flatten(entries["status"])) > 0
    event = event[final]
    pdg, mass = (ak.to_numpy(ak.flatten(entries[name]))[final] for name in ("id", "m"))
    px, py, pz = (ak.to_numpy(ak.flatten(entries["p"][axis]))[final] for axis in ("px", "py", "pz"))
    pt = np.hypot(px, py)
    kept = np.zeros(n, bool)
    kept[event[(pdg == _Z) & (pt > Z_PT_MIN)]] = True

    kinds, kind = np.unique(pdg, return_inverse=True)
    visible = np.array([particle_data.isVisible(int(k)) and k != _Z for k in kinds], bool)
    visible = visible[kind]
    rows = np.flatnonzero(visible & kept[event] & (pt > 0))
    columns = pt, np.arcsinh(pz / np.maximum(pt, 1e-12)), np.arctan2(py, px), np.maximum(mass, 0)
    particles = np.stack([*columns, pdg], axis=1)[rows].astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(event[rows], minlength=n)[kept])])
    none = np.zeros((kept.sum(), 0), np.float32)
    return Level(none, particles, offsets.astype(np.int64), (), PARTICLE)
