"""Tables of results: distributions at both levels, their averages and what lies outside of bins."""

from __future__ import annotations

from omniflow.tables.shared import BIN, BINS, METHOD, OBSERVABLE, PASSES, RESULT, RESULT_KEY
from omniflow.tables.table import Column, File, Table, number, text, whole

TITLE = "Results"
NOTES = """\
Contents are event yields with `normalization: absolute` and distributions of unit sum with
`shape`, never divided by the width of the bin. Formulas are in [metrics](method/metrics.md).
Bins without entries in truth, or in the unfolded simulation, have no row; contents below 0 have
one, and what is relative to a sum of 0 is empty. Tables of particle level have no rows of
observables that do not exist there, nor those of detector level."""

_AVERAGED = {
    "bias_rel": "magnitude of the relative bias",
    "sigma_rel": "relative spread between passes",
    "rel_mse": "relative mean squared error",
}


def _averages() -> tuple[Column, ...]:
    """Return the averages over bins, plain and weighted, with their errors."""
    columns = []
    for suffix, how in (
        ("", "mean over bins"),
        ("_weighted", "weighted by the magnitude of truth (real data: of `mean`)"),
    ):
        for name, words in _AVERAGED.items():
            columns += [
                number(name + suffix, f"{words}, {how}"),
                number(f"{name}{suffix}_error", "its error: bootstrap over passes"),
            ]
    return tuple(columns)


METRICS = Table(
    "metrics.csv",
    "the unfolded distributions with bias and spread, per bin",
    notes="Both sigmas and the bootstrap errors are empty with one pass.",
    columns=(
        *RESULT,
        *BIN,
        number("truth", "particle level of the pseudo-data; empty for real data"),
        number("prior", "simulation before unfolding, times s"),
        number("mean", "mean over passes of the unfolded content"),
        number("bias_rel", "(mean - truth) / truth"),
        number("sigma_rel", "spread between passes, relative to the mean"),
        number("sigma_rel_paper", "the same with N in place of N - 1"),
        number("rel_mse", "mean squared error relative to the square of truth"),
        number("mse_rel_paper", "mean squared error relative to truth"),
        PASSES,
        number(
            "truth_error", "from the sum of squared weights, entries of one event counted together"
        ),
        number("prior_error", "likewise"),
        number(
            "mean_error",
            "likewise; it holds no statistics of the data: for the error of a measurement use "
            "`covariance.csv`",
        ),
        number("sigma_rel_error", "bootstrap over passes"),
        number("bias_rel_error", "bootstrap over passes"),
        number("rel_mse_error", "bootstrap over passes"),
    ),
    key=(*RESULT_KEY, "bin"),
)
METRICS_PARQUET = File("metrics.parquet", "`metrics.csv` as Parquet")
SUMMARY = Table(
    "summary.csv",
    "averages over bins and distances, per observable",
    columns=(
        *RESULT,
        *_averages(),
        number("td_prior", "triangular discriminator × 1000 of truth and prior"),
        number("td", "that of truth and the mean unfolded distribution"),
        number("td_floor", "statistical floor of `td`"),
        number("td_prior_floor", "statistical floor of `td_prior`"),
        PASSES,
        BINS,
    ),
    key=RESULT_KEY,
)
_FROM_0 = whole("iteration", "0: the simulation before unfolding")
_DETECTOR = tuple(_FROM_0 if column.name == "iteration" else column for column in RESULT)
DETECTOR = Table(
    "detector.csv",
    "data and reweighted simulation at detector level, per bin",
    columns=(
        *_DETECTOR,
        *BIN,
        number("data", "data that pass at detector level, less backgrounds"),
        number("data_error", "their statistical error"),
        number(
            "simulation",
            "mean over passes of the simulation that passes, with weights s w ν of the iteration "
            "(fakes: ν = 1, or learned)",
        ),
        number("simulation_error", "its statistical error"),
        number("sigma_rel", "spread between passes, relative to the mean"),
        PASSES,
    ),
    key=(*RESULT_KEY, "bin"),
)
DETECTOR_SUMMARY = Table(
    "detector_summary.csv",
    "distances at detector level, per observable",
    columns=(
        *_DETECTOR,
        number("td", "triangular discriminator × 1000 of data and simulation"),
        number("td_floor", "its statistical floor"),
        PASSES,
    ),
    key=RESULT_KEY,
)
FLOWS = Table(
    "flows.csv",
    "what lies below the first bin and above the last, per observable",
    notes="Of results after the last iteration, in the headline combination, mean over passes.",
    columns=(
        OBSERVABLE,
        text("level", "`particle` or `detector`"),
        text("sample", "`data`, which are the truth at particle level, or `simulation`"),
        text(METHOD.name, "that the simulation is reweighted by; empty: before unfolding"),
        number("below", "sum of the weights of entries below the first edge"),
        number("inside", "that of entries within the bins"),
        number("above", "that of entries from the last edge on"),
        number("outside", "share of the two outer ones, each sum by its magnitude"),
    ),
    key=("observable", "level", "sample", "method"),
)
STUDY = File(
    "study.json",
    "configuration, versions, samples, methods, observables with their bin edges, notes, and "
    "warnings on weights",
    notes="""\
A record of everything that is not a number per bin. `observables` has for each `name`, `label`,
`latex`, `unit`, `kind`, `log_x`, `log_y`, `levels` at which it exists, `edges` (B + 1 numbers)
and `jets` (algorithm, radius, pt_min; null unless the kind is `jet`), in the order of the
report.""",
)
