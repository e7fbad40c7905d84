"""Write the ntuples of this example: `python make.py [EVENTS]`, ROOT files beside this script.

Toy physics with a known truth: momentum pt (GeV) and rapidity y of a boson. Nature's spectrum is
harder than the simulation's. A detector smears both, does not see all, and sees some where nothing
was. A second process lies under the data. The simulation has weights of both signs, as those of
next-to-leading order, and a second weight for the choice of a scale.
"""

import sys
from pathlib import Path

import numpy as np
import uproot

HERE = Path(__file__).parent
ABSENT = -999.0


def spectrum(rng, n, slope):
    """Return pt and y (n,) of bosons above 20 GeV."""
    return 20 + rng.exponential(slope, n), rng.normal(0, 1.2, n)


def detector(rng, pt, y):
    """Return measured pt and y, ABSENT where the boson is not seen (15% and more)."""
    seen = rng.random(len(pt)) < 0.85 - 0.15 * (np.abs(y) > 1.5)
    measured = pt * rng.normal(1, 0.12, len(pt)), y + rng.normal(0, 0.1, len(pt))
    return [np.where(seen, column, ABSENT) for column in measured]


def noise(rng, n):
    """Return pt and y of n records that no boson made."""
    return 25 + rng.exponential(6, n), rng.uniform(-2.2, 2.2, n)


def columns(rng, true, fakes):
    """Return the columns of bosons `true` and of `fakes` records without one."""
    reco = [
        np.concatenate(pair) for pair in zip(detector(rng, *true), noise(rng, fakes), strict=True)
    ]
    gen = [np.concatenate([column, np.full(fakes, ABSENT)]) for column in true]
    return dict(zip(("reco_pt", "reco_y", "gen_pt", "gen_y"), (*reco, *gen), strict=True))


def weights(rng, pt):
    """Return generator weights of +1 and -1, and with another scale; negative ones at high pt."""
    negative = rng.random(len(pt)) < np.clip((pt - 20) / 400, 0, 0.25)
    nominal = np.where(negative, -1.0, 1.0)
    return nominal, nominal * (1 + 0.1 * np.clip((pt - 40) / 40, -0.5, 1))


def write(name, rng, arrays):
    """Write a file, its records in random order and numbered."""
    n = len(arrays["reco_pt"])
    order = rng.permutation(n)
    with uproot.recreate(HERE / f"{name}.root") as file:
        file["events"] = {key: values[order] for key, values in arrays.items()} | {
            "run": np.full(n, 1),
            "event": np.arange(n),
        }


def main(events):
    """Write data, simulation and background."""
    rng = np.random.default_rng(7)
    signal = columns(rng, spectrum(rng, events, 22.0), events // 50)
    below = dict(zip(("reco_pt", "reco_y"), noise(rng, events // 8), strict=True))
    below |= {key: np.full(events // 8, ABSENT) for key in ("gen_pt", "gen_y")}
    write("data", rng, {key: np.concatenate([signal[key], below[key]]) for key in signal})

    true = spectrum(rng, 2 * events, 20.0)
    simulation = columns(rng, true, events // 25)
    nominal, scale_up = weights(rng, np.concatenate([true[0], np.full(events // 25, 20.0)]))
    write("simulation", rng, simulation | {"weight": nominal, "weight_scale_up": scale_up})

    # Four times the luminosity of data.
    below = dict(zip(("reco_pt", "reco_y"), noise(rng, events // 2), strict=True))
    write("background", rng, below)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
