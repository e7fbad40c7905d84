"""Tables of diagnostics of a made-up study, with known numbers."""

from __future__ import annotations

import numpy as np


def tables(model, observables):
    """Tables of `trust` for a model of study_factory: lists of rows by name."""
    methods, iterations = list(model.methods), range(1, model.iterations + 1)
    chains = {}
    for strategy in model.methods.values():
        lanes = max(strategy.lanes, chains.get(strategy.chain, (0, 0))[0])
        chains[strategy.chain] = (lanes, strategy.members)
    found = {name: [] for name in ("classifiers", "reliability", "roc", "overtraining")}
    for chain, (lanes, members) in chains.items():
        for i in iterations:
            for step in ("1", "2"):
                for part in ("held-out", "trained"):
                    _classifiers(found, model, chain, lanes, members, i, step, part)
        found["overtraining"] += [
            {"chain": chain, "lane": lane, "member": member, "iteration": i, "observable": o,
             "chi2": 18.0 / i, "bins": 15, "p_value": 0.26, "difference": 0.004}
            for i in sorted({1, model.iterations})
            for lane in range(lanes) for member in range(members) for o in observables
        ]  # fmt: skip
    levels = ["detector"] + ["particle"] * model.has_truth
    found["second_classifier"] = [
        {"subject": s, "level": level, "events": 4000, "auc": 0.58 if s == "_prior" else 0.508,
         "auc_error": 0.004, "best_epoch": 3, "failure": ""}
        for s in ("_prior", *methods) for level in levels
    ]  # fmt: skip
    found["tails"] = [
        {"method": m, "pass": p, "iteration": i, "change": 0.2 * 0.4**i, "minimum": 0.02,
         "quantile_0_001": 0.11, "median": 0.93, "quantile_0_999": 4.1, "maximum": 12.5,
         "share_of_largest": 0.043, "ess": 51234}
        for m in methods for p in range(1, model.passes + 1) for i in iterations
    ]  # fmt: skip
    low = np.round(np.arange(-40, 40) * 0.02, 4)
    found["weight_distributions"] = [
        {"method": m, "low": x, "high": round(x + 0.02, 4), "fraction": np.exp(-20 * x * x) / 20}
        for m in methods for x in low
    ]  # fmt: skip
    found["effective_sizes"] = [
        {"method": m, "observable": o, "bin": b, "low": e[b], "high": e[b + 1],
         "ess": 900.0 - 20 * b, "ess_prior": 1000.0 - 20 * b}
        for m in methods for o, e in observables.items() for b in range(len(e) - 1)
    ]  # fmt: skip
    subjects = ["_prior", *methods, *["_oracle"] * model.has_truth]
    found["distances"] = [
        {"level": level, "subject": s, "observable": o, "td": np.nan if o == "_sliced" else td,
         "td_floor": np.nan if o == "_sliced" else 0.12, "wasserstein": td / 80,
         "wasserstein_floor": 0.004}
        for level in levels for s in subjects for o in (*observables, "_sliced")
        for td in [{"_prior": 4.0, "_oracle": 0.11}.get(s, 0.15)]
    ]  # fmt: skip
    found["response"] = [
        {"role": "data", "test": test, "events": 5000, "auc_alone": 0.6, "auc_alone_error": 0.005,
         "auc": 0.503, "auc_error": 0.005, "z": 0.8, "p_value": 0.21, "failure": ""}
        for test in ("sample", "control")
    ] * model.has_truth  # fmt: skip
    last = model.iterations
    found["acceptance"] = [
        {"observable": o, "bin": b, "low": e[b], "high": e[b + 1], "efficiency": 0.05 * (b + 1),
         "efficiency_error": 0.002, "fake_fraction": 0.1, "fake_fraction_error": 0.004}
        for o, e in observables.items() for b in range(len(e) - 1)
    ]  # fmt: skip
    found["convergence"] = [
        {"level": level, "method": m, "combine": "none", "observable": o, "iteration": i, "to": j,
         "td": 4 * 0.1**j, "td_floor": 0.12, "fall": 4 * (0.1**i - 0.1**j), "error": 0.38,
         "uncertainty": 0.4}
        for level in levels for m in methods for o in observables
        for i in range(last) for j in range(i + 1, last + 1)
    ]  # fmt: skip
    found["stopping"] = [
        {"method": m, "iteration": np.nan if n == 0 else 1, "fall": 0.84 if n == 0 else np.nan,
         "observable": next(iter(observables)) if n == 0 else "", "to": last if n == 0 else np.nan,
         "last": last, "uncertainty": 0.2 if n == 0 else np.nan, "above_floor": "", "rising": ""}
        for n, m in enumerate(methods)
    ]  # fmt: skip
    return found


def _classifiers(found, model, chain, lanes, members, iteration, step, part):
    area = 0.5 + 0.08 * (0.4**iteration if step == "1" else 1) + 0.004 * (part == "trained")
    keys = {"chain": chain, "iteration": iteration, "step": step, "part": part}
    found["classifiers"] += [
        keys | {"pass": p, "lane": lane, "member": m, "fold": 0, "events": 10000, "auc": area,
                "auc_error": 0.005, "chi2": 13.0, "bins": 12}
        for p in range(1, model.passes + 1) for lane in range(lanes) for m in range(members)
    ]  # fmt: skip
    x = np.linspace(0, 1, 30)
    found["roc"] += [
        keys | {"class_b": b, "class_a": a}
        for b, a in zip(x, x + 6 * (area - 0.5) * x * (1 - x), strict=True)
    ]
    p = np.linspace(0.5 - 2 * (area - 0.5), 0.5 + 2 * (area - 0.5), 12)
    found["reliability"] += [
        keys | {"predicted": q, "observed": q + 0.004 * np.sin(9 * q * iteration),
                "observed_error": 0.01}
        for q in p
    ]  # fmt: skip
