"""Tables that compare methods, and numbers of networks."""

from __future__ import annotations

from omniflow.tables.shared import COMBINE, METHOD, OBSERVABLE, PASSES
from omniflow.tables.table import Table, number, text, whole

TITLE = "Comparisons"
NOTES = "After the last iteration, at the first combination."

COMPARISONS = Table(
    "comparisons.csv",
    "ratios of spread and MSE of every pair of methods, with their significance",
    notes="[Comparing methods](method/comparison.md) has the test.",
    columns=(
        text("metric", "`sigma_rel` (several passes), `rel_mse` (with truth)"),
        METHOD,
        text("other", "name of the other method"),
        text("observable", "name of the observable; empty: averaged over all"),
        number("ratio", "of `method` to `other`, geometric mean over bins"),
        number("log_error", "standard deviation of its logarithm"),
        number("p_value", "probability of a ratio as far from 1 if they do not differ"),
        number("p_adjusted", "`p_value` corrected for all pairs"),
        whole("bins", "that took part; 0: no ratio"),
        PASSES,
    ),
    key=("metric", "method", "other", "observable"),
)
NETWORKS = Table(
    "networks.csv",
    "spread against the number of lanes, and of members of the last step",
    notes="""\
[What it means](method/number-of-networks.md). Only methods with several lanes or members, in
studies with several passes, have rows.""",
    columns=(
        METHOD,
        COMBINE,
        OBSERVABLE,
        text(
            "varied",
            "what n counts: `lanes`, or `members` of the last step, given the weights of earlier "
            "steps, which used all members",
        ),
        whole("lanes", "of the ensemble; n where they are varied"),
        whole("members", "of the ensemble; n where they are varied"),
        whole("networks", "per step in them; with `members` networks of the last step"),
        whole("subsets", "ensembles of this size that are averaged"),
        number(
            "sigma_rel",
            "spread between passes, mean over bins; for whole ensembles that of `summary.csv`",
        ),
        number("sigma_rel_error", "bootstrap over passes"),
        number("expected", "that of n = 1 over √n"),
        number("expected_error", "bootstrap over passes"),
        number("ratio", "spread of the whole ensemble over that of n"),
        number("ratio_error", "bootstrap over passes"),
        number(
            "floor_squared",
            "squared relative spread that does not fall with n, with a sign; the same in all rows "
            "of a curve",
        ),
        number("floor_squared_error", "bootstrap over passes"),
        PASSES,
    ),
    key=("method", "observable", "varied", "lanes", "members"),
)
