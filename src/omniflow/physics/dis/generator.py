"""High-Q2 neutral-current DIS at HERA from Pythia 8 (SciPost Phys. Codebases 8), particle level."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow.errors import ConfigError
from omniflow.events.sample import Level
from omniflow.physics.dis.kinematics import (
    DIS_EVENT,
    DIS_PARTICLE,
    LEPTON_ENERGY,
    PARTICLE_ETA,
    PARTICLE_PT_MIN,
    PROTON_ENERGY,
    electron_kinematics,
)

if TYPE_CHECKING:
    from omniflow.physics.dis.pythia import Pythia

# Records that are kept: a little wider than every later selection, so that it can migrate.
RECORD_Q2_MIN = 100.0
RECORD_Y = (0.07, 0.75)
# Beyond the tracker no charge is measured, so particle level does not carry one either.
CHARGE_ETA_MAX = 2.0

# Events per call of Pythia: bounds memory at about 100 MB; fixed, so that nothing depends on it.
_BATCH = 1000
# So many batches without a single record mean settings that never give one.
_MAX_EMPTY_BATCHES = 20

_COMMON_SETTINGS = (
    "Print:quiet = on",
    "Print:errors = off",
    "Print:verbosity = 0",
    "Random:setSeed = on",
    "Beams:frameType = 2",
    "Beams:idA = 2212",
    f"Beams:eA = {PROTON_ENERGY}",
    f"Beams:eB = {LEPTON_ENERGY}",
    "WeakBosonExchange:ff2ff(t:gmZ) = on",
    # Keeps the lepton's momentum fixed while the parton shower radiates.
    "SpaceShower:dipoleRecoil = on",
    "SpaceShower:pTmaxMatch = 2",
    # Without QED radiation off lepton and quarks the electron's Q2 is that of the exchange.
    "PDF:lepton = off",
    "TimeShower:QEDshowerByL = off",
    "TimeShower:QEDshowerByQ = off",
    "SpaceShower:QEDshowerByQ = off",
    "ParticleDecays:limitTau0 = on",
    "ParticleDecays:tau0Max = 10.",  # mm/c: K0S and hyperons are stable
    "PhaseSpace:Q2Min = 95.0",
)
_SHOWER_SETTINGS = {
    "simple": ("PartonShowers:model = 1",),
    "vincia": ("PartonShowers:model = 2", "Vincia:ewMode = 0"),
}
_LEPTON_ID = {"positron": -11, "electron": 11}
# The kinematics of this package are those of HERA, and the seed belongs to the sample.
_RESERVED = ("beams:", "random:")


def generate(sample: Pythia, progress: Callable[[int], None] | None = None) -> Level:
    """Generate exactly `sample.events` records at particle level.

    A record has Q2 > 100 GeV^2 and 0.07 < y < 0.75, both from the scattered lepton, and at least
    one particle. Particles are the visible final-state particles other than the scattered lepton
    with pT > 0.1 GeV and -1.5 < eta < 2.75, sorted by falling pT; their charge is 0 beyond
    |eta| = 2. The same sample gives the same events.

    Args:
        sample: number of records, seed and physics model.
        progress: called after each batch with the number of records so far.

    Returns:
        Level with the columns `DIS_EVENT` and `DIS_PARTICLE`.

    Raises:
        ConfigError: pythia8mc is not installed, refuses a setting, or generates no record.
    """
    pythia = _initialise(sample)
    events, particles, counts = [], [], []
    done = empty = 0
    while done < sample.events:
        batch = pythia.nextBatch(_BATCH)
        event, particle, count = _records(batch, _LEPTON_ID[sample.lepton], pythia.particleData)
        empty = 0 if len(event) else empty + 1
        if empty >= _MAX_EMPTY_BATCHES:
            raise ConfigError(
                f"Pythia gave no record with Q2 > {RECORD_Q2_MIN:g} GeV^2 and {RECORD_Y[0]} < y < "
                f"{RECORD_Y[1]} in {empty * _BATCH} events; check `settings` of the sample: "
                f"{list(sample.settings)}"
            )
        keep = min(len(event), sample.events - done)
        events.append(event[:keep])
        counts.append(count[:keep])
        particles.append(particle[: count[:keep].sum()])
        done += keep
        if progress is not None:
            progress(done)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    return Level(
        np.concatenate(events), np.concatenate(particles), offsets, DIS_EVENT, DIS_PARTICLE
    )


def _initialise(sample: Pythia) -> Any:
    """Return an initialised Pythia."""
    try:
        import pythia8mc
    except ImportError as error:
        raise ConfigError(
            "`source: pythia` needs the package pythia8mc; install omniflow[physics]"
        ) from error

    pythia = pythia8mc.Pythia("", False)
    own = (
        *_COMMON_SETTINGS,
        f"Beams:idB = {_LEPTON_ID[sample.lepton]}",
        *_SHOWER_SETTINGS[sample.shower],
        f"PDF:pSet = {sample.pdf}",
        f"SigmaProcess:factorMultFac = {sample.factorisation_scale}",
        f"Random:seed = {sample.seed}",
    )
    for line in (*own, *sample.settings):
        if line in sample.settings and line.lower().startswith(_RESERVED):
            raise ConfigError(
                f"Pythia setting {line!r}: beams are those of HERA and random numbers come from "
                "`seed`; remove the line"
            )
        if not pythia.readString(line, False) or not _took(pythia, line):
            raise ConfigError(
                f"Pythia refuses the setting {line!r}: unknown name, wrong type or out of range"
            )
    if not pythia.init():
        raise ConfigError(
            "Pythia cannot be initialised; check the sample's pdf, factorisation_scale and "
            f"settings: pdf {sample.pdf}, factorisation_scale {sample.factorisation_scale}, "
            f"settings {list(sample.settings)}"
        )
    return pythia


def _took(pythia: Any, line: str) -> bool:
    """Whether a number in `line` was stored as given: Pythia clips and ignores silently."""
    key, text = (part.strip() for part in line.split("=", 1))
    settings = pythia.settings
    try:
        if settings.isMode(key):
            return settings.mode(key) == int(text)
        if settings.isParm(key):
            return bool(np.isclose(settings.parm(key), float(text)))
    except ValueError:
        return False
    if settings.isFlag(key):
        return text.lower() in ("on", "off", "yes", "no", "true", "false", "1", "0")
    return True


def _records(
    batch: Any, lepton_id: int, particle_data: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return event rows, particle rows and particles per event of the records in a batch."""
    import awkward as ak

    entries = batch["prt"]
    n = len(entries)
    event = np.repeat(np.arange(n), ak.to_numpy(ak.num(entries["status"])))
    final = ak.to_numpy(ak.flatten(entries["status"])) > 0
    event, pdg = event[final], ak.to_numpy(ak.flatten(entries["id"]))[final]
    px, py, pz = (ak.to_numpy(ak.flatten(entries["p"][axis]))[final] for axis in ("px", "py", "pz"))

    # The scattered lepton precedes leptons from hadron decays in Pythia's record.
    leptons = np.flatnonzero(pdg == lepton_id)
    with_lepton, first = np.unique(event[leptons], return_index=True)
    scattered = leptons[first]
    momentum = np.full((n, 3), np.nan)
    momentum[with_lepton] = np.stack([px[scattered], py[scattered], pz[scattered]], axis=1)
    q2, y = electron_kinematics(momentum)

    pt = np.hypot(px, py)
    eta = np.arcsinh(pz / np.maximum(pt, 1e-12))
    kinds, kind = np.unique(pdg, return_inverse=True)
    visible = np.array([particle_data.isVisible(int(k)) for k in kinds])[kind]
    charge = np.array([particle_data.charge(int(k)) for k in kinds])[kind]
    charge = np.where(np.abs(eta) > CHARGE_ETA_MAX, 0.0, charge)
    accepted = visible & (pt > PARTICLE_PT_MIN) & (eta > PARTICLE_ETA[0]) & (eta < PARTICLE_ETA[1])
    accepted[scattered] = False

    count = np.bincount(event[accepted], minlength=n)
    # Comparisons with NaN are false: events without a lepton drop out here.
    record = (q2 > RECORD_Q2_MIN) & (y > RECORD_Y[0]) & (y < RECORD_Y[1]) & (count > 0)
    rows = np.flatnonzero(accepted & record[event])
    rows = rows[np.lexsort((-pt[rows], event[rows]))]
    phi = np.arctan2(py[rows], px[rows])
    particles = np.stack([pt[rows], eta[rows], phi, charge[rows]], axis=1).astype(np.float32)
    events = np.column_stack([q2, y, momentum])[record].astype(np.float32)
    return events, particles, count[record]
