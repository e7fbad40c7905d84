"""Fit the strength of a peak and the shape of what lies below it to an unfolded spectrum.

    python fit.py [events [replicas [bins [epochs]]]]

unfolds pseudo-data of a falling spectrum with a peak, with replicas and a systematic variation,
writes pyhf's workspace of the result into `workspaces/`, fits it, and prints a chi-square with the
full covariance beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyhf

import omniflow
from omniflow.export import fits, model
from omniflow.export.binned import binned

FOLDER = Path(__file__).parent
SLOPE, STEEPER = 1.0, 1.15  # of exp(-slope mass) between 0 and 4
PEAK, WIDTH, SHARE = 2.0, 0.15, 0.04  # position, width, and yield relative to the spectrum


def spectrum(events: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Return masses (events,) of a falling spectrum."""
    return -np.log(1 - rng.uniform(size=events) * (1 - np.exp(-4 * slope))) / slope


def peak(events: int, rng: np.random.Generator) -> np.ndarray:
    """Return masses (events,) of a peak."""
    return rng.normal(PEAK, WIDTH, events)


def sample(mass: np.ndarray, rng: np.random.Generator, width: float = 0.1) -> omniflow.Events:
    """Return events with a mass (n,) at particle level, and a smeared one at detector level."""
    return omniflow.Events.from_arrays(
        {"mass": mass + rng.normal(0, width, len(mass))}, {"mass": mass}
    )


def unfold(events: int, replicas: int, bins: int, epochs: int, output: Path) -> omniflow.Study:
    """Return the study: data with a peak of strength 1, unfolded, and predictions beside it."""
    rng, edges = np.random.default_rng(1), np.linspace(0, 4, bins + 1).tolist()
    more = 4 * events  # simulated events, which count a quarter each
    bumps = round(SHARE * more)
    data = np.concatenate([spectrum(events, SLOPE, rng), peak(round(SHARE * events), rng)])
    wide = np.concatenate([spectrum(more, SLOPE, rng), peak(2 * bumps, rng)])
    return omniflow.unfold(
        sample(data, rng),
        sample(wide, rng),
        iterations=2,
        passes=2,
        classifier={"kind": "mlp", "width": 32, "blocks": 2},
        training={"epochs": epochs, "batch_size": 512, "learning_rate": 2e-3},
        unfolding={"scale": events / more},
        observables={"define": {"mass": {"expression": "mass", "edges": edges}}},
        uncertainties={
            **{"data_replicas": replicas, "simulation_replicas": replicas},
            "variations": {
                "resolution_up": {"simulation": sample(wide, rng, 0.12)},
                "resolution_down": {"simulation": sample(wide, rng, 0.08)},
            },
            "predictions": {
                "standard": sample(spectrum(more, SLOPE, rng), rng),
                "steeper": sample(spectrum(more, STEEPER, rng), rng),
                "peak": sample(peak(bumps, rng), rng),
            },
        },
        diagnostics={"second_classifier": False},
        output=output,
    )


def fit(workspace: pyhf.Workspace) -> np.ndarray:
    """Print best values, q_mu and CLs; return the best parameters."""
    likelihood = workspace.model()
    data, config = workspace.data(likelihood), likelihood.config
    best = pyhf.infer.mle.fit(data, likelihood, return_uncertainties=True)
    for name in ("mu", "shape"):
        value, error = best[config.par_slice(name)][0]
        print(f"{name:<6}{value:6.2f} +- {error:.2f}")
    settings = (config.suggested_init(), config.suggested_bounds(), config.suggested_fixed())
    for mu in (1.5, 2.0):
        q = pyhf.infer.test_statistics.qmu(mu, data, likelihood, *settings)
        cls = pyhf.infer.hypotest(mu, data, likelihood, test_stat="q")
        print(f"mu = {mu:g}: q_mu {float(q):.2f}, CLs {float(cls):.3f}")
    q = pyhf.infer.test_statistics.q0(0.0, data, likelihood, *_above_zero(settings, config))
    print(f"q_0 {float(q):.1f}: {np.sqrt(float(q)):.1f} standard deviations from no peak")
    return best[:, 0]


def _above_zero(settings: tuple, config: pyhf.pdf._ModelConfig) -> tuple:
    """Return settings with mu from 0 on, which q_0 wants."""
    start, bounds, fixed = settings
    bounds = [list(pair) for pair in bounds]
    bounds[config.poi_index][0] = 0
    return start, bounds, fixed


def compare(result: fits.Binned, mu: float, shape: float) -> None:
    """Print the chi-square of two models, with the full covariance and without correlations."""
    one = {name: found.content for name, found in result.references.items()}
    without = one["standard"]
    fitted = without + shape * (one["steeper"] - one["standard"]) + mu * one["peak"]
    full = fits.Fit.of(result)
    errors = np.sqrt(np.diagonal(full.covariance))
    print(f"chi2 in {len(errors)} bins      full covariance   errors alone")
    for name, expected in (("as fitted", fitted), ("standard, no peak", without)):
        pulls = (result.content - expected) / errors
        print(f"{name:<20} {full.chi2(expected):16.1f} {np.sum(pulls**2):14.1f}")


def main(events: int = 10_000, replicas: int = 24, bins: int = 10, epochs: int = 6) -> None:
    """Unfold, export, fit, compare."""
    study = unfold(events, replicas, bins, epochs, Path("results/fits"))
    wanted = model.read(FOLDER / "model.yaml")
    print(*fits.write(study, None, None, Path("workspaces"), wanted), sep="\n")
    # Minuit finds its step sizes; SciPy's default loses digits in correlated bins.
    pyhf.set_backend("numpy", "minuit")
    workspace = pyhf.Workspace(json.loads(Path("workspaces/mass.json").read_text("utf-8")))
    best = fit(workspace)
    places = workspace.model().config
    at = {name: float(best[places.par_slice(name)][0]) for name in ("mu", "shape")}
    compare(binned(study), at["mu"], at["shape"])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
