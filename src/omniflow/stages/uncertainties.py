"""Stage 5, beside the tables: covariances in blocks, shifts, tests, pulls, coverage.

All of the last iteration and of each method's first combination, as event yields (`absolute`) or
with unit sum (`shape`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from omniflow.evaluation.uncertainty_tables import (
    Key,
    chi2_table,
    covariance_table,
    pulls_tables,
    shifts_table,
)
from omniflow.evaluation.varied import Scheme, Varied
from omniflow.events.quality import measure
from omniflow.hdf5 import create_h5
from omniflow.stages import evaluation, inputs, predictions
from omniflow.stages.origins import origins
from omniflow.stages.predictions import TRUTH
from omniflow.tables import uncertainties as declared
from omniflow.unfolding.coordinates import NOMINAL, prefixed
from omniflow.unfolding.plan import Plan
from omniflow.unfolding.variants import ROLES, TOY, VARIATION


def make_tables(plan: Plan) -> None:
    """Write covariances, tests, pulls and coverage of all methods that get uncertainties."""
    compared, results = predictions.make(plan), _results(plan)
    truth = {name: found[TRUTH] for name, found in compared.items() if TRUTH in found}
    shape = plan.config.unfolding.normalization == "shape"
    pulls, coverage = pulls_tables(results, truth, _truths_of_toys(plan) if truth else {})
    frames = {
        declared.COVARIANCE: covariance_table(results),
        declared.SHIFTS: shifts_table(results, _relative_sizes(plan)),
        declared.CHI2: chi2_table(results, compared, shape),
        declared.PULLS: pulls,
        declared.COVERAGE: coverage,
    }
    for table, frame in frames.items():
        table.write(frame, plan.table(table.name))
    write_joint(plan, results)


def write_joint(plan: Plan, results: Mapping[Key, Varied]) -> None:
    """Write the covariance of the bins of all observables together, for fits of several.

    Every variant gives all observables from the same events, so that covariances between their
    bins are those within one.
    """
    methods: dict[str, dict[str, Varied]] = {}
    for (method, _, name), result in results.items():
        methods.setdefault(method, {})[name] = result
    sizes = {name: r.passes.shape[1] for name, r in next(iter(methods.values())).items()}
    with create_h5(plan.table(declared.JOINT_COVARIANCE.name)) as file:
        file.attrs.update(schema="omniflow-covariance", version=1)
        file["observable"] = np.repeat(list(sizes), list(sizes.values())).astype("S")
        file["bin"] = np.concatenate([np.arange(size) for size in sizes.values()])
        for method, observables in methods.items():
            joined = Varied.joined(observables.values())
            file[f"{method}/mean"] = joined.passes.mean(axis=0)
            for name, matrix in joined.matrices().items():
                file[f"{method}/covariance/{name}"] = matrix


def scheme(plan: Plan) -> Scheme:
    """Return what a study varies."""
    variants, settings = plan.variants, plan.config.uncertainties
    sides = variants.blocks()
    return Scheme(
        {kind: tuple(variants.of_kind(kind)) for kind in (*ROLES, VARIATION, TOY)},
        sides,
        {name: _origins(plan, of) for name, of in sides.items()},
        settings.passes,
        tuple(settings.drawn_in_toys),
    )


def _origins(plan: Plan, variations: tuple[str, ...]) -> frozenset[str]:
    """Return what made the samples that variations bring in."""
    roles = [role for name in variations for role in plan.variants[name].roles.values()]
    return frozenset().union(*(origins(plan, role) for role in roles))


def _results(plan: Plan) -> dict[Key, Varied]:
    """Return the results of all methods, by method, combination and observable."""
    varied, found = scheme(plan), {}
    for method in plan.variants.methods:
        contents = {v: _last(plan, prefixed(v, method)) for v in plan.variants.names}
        how = plan.combinations(method)[0]
        for name, passes in contents[NOMINAL].items():
            own = {variant: each[name] for variant, each in contents.items()}
            found[method, how, name] = Varied(varied, passes, own)
    return found


def _last(plan: Plan, result: str) -> dict[str, np.ndarray]:
    """Return the contents (passes, B) of the last iteration and first combination of a result."""
    how, iteration = plan.combinations(result)[0], plan.iterations[-1]
    (found,) = (
        unfolded
        for unfolded in evaluation.read_histograms(plan, result, "particle")
        if (unfolded.combine, unfolded.iteration) == (how, iteration)
    )
    return {name: predictions.units(plan, h.content) for name, h in found.histograms.items()}


def _relative_sizes(plan: Plan) -> dict[str, dict[str, float]]:
    """Return effective sizes (sum w)^2 / sum w^2, nominal over varied, by variation and role."""

    def size(role: str, variant: str) -> float:
        events = inputs.events(plan, role, variant)
        counted = events.pass_detector if role == "data" else inputs.unfolded(plan, events)
        weight = np.asarray(events.weight)[np.asarray(counted, bool)]
        return measure(weight).effective

    return {
        name: {role: size(role, NOMINAL) / size(role, name) for role in plan.variants[name].roles}
        for name in plan.variants.of_kind(VARIATION)
    }


def _truths_of_toys(plan: Plan) -> dict[str, np.ndarray]:
    """Return the truth (toys, B) of each toy by observable."""
    rows: dict[str, list[np.ndarray]] = {n: [] for n in evaluation.edges(plan, "particle")}
    for toy in plan.variants.of_kind(TOY):
        weight = inputs.events(plan, "data", toy).weight
        filled = evaluation.fill(plan, plan.variants.role("data", toy), "particle", weight)
        for name, histogram in filled.items():
            rows[name].append(predictions.units(plan, histogram.content))
    return {name: np.array(found) for name, found in rows.items()}
