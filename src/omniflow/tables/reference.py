"""Tables of the binned reference, and of what the detector sees."""

from __future__ import annotations

from omniflow.tables.shared import BIN, BINS, ITERATION, OBSERVABLE
from omniflow.tables.table import Table, number, whole

TITLE = "Binned reference and acceptance"
NOTES = """\
Of observables that exist at both levels. The [binned reference](method/binned-reference.md)
exists for those of events and jets; contents and left-out bins are as in `metrics.csv`."""

BAYES = Table(
    "bayes.csv",
    "the binned reference, per bin",
    columns=(
        OBSERVABLE,
        ITERATION,
        *BIN,
        number("truth", "as in `metrics.csv`"),
        number("prior", "as in `metrics.csv`"),
        number("content", "unfolded content"),
        number("error", "its statistical error from data and simulation"),
        number("bias_rel", "(content - truth) / truth"),
    ),
    key=("observable", "iteration", "bin"),
)
BAYES_SUMMARY = Table(
    "bayes_summary.csv",
    "averages over bins and distances of the binned reference, per observable",
    columns=(
        OBSERVABLE,
        ITERATION,
        number("bias_rel", "magnitude of the relative bias, mean over bins"),
        number("bias_rel_weighted", "the same, weighted by truth"),
        number("td_prior", "as in `summary.csv`"),
        number("td", "as in `summary.csv`"),
        number("td_floor", "as in `summary.csv`, with the propagated covariance"),
        number("td_prior_floor", "as in `summary.csv`"),
        BINS,
    ),
    key=("observable", "iteration"),
)
ACCEPTANCE = Table(
    "acceptance.csv",
    "efficiency and fraction of fakes, per bin",
    notes="""\
Of the simulation before unfolding ([efficiency and
fakes](method/binned-reference.md#efficiency-and-fakes)). Bins that are empty at both levels have
no row.""",
    columns=(
        OBSERVABLE,
        *BIN,
        number(
            "efficiency",
            "share of the particle-level bin that the detector sees; empty where the bin is",
        ),
        number("efficiency_error", "its statistical error"),
        number(
            "fake_fraction",
            "share of the detector-level bin that is not unfolded; empty where the bin is",
        ),
        number("fake_fraction_error", "its statistical error"),
        whole(
            "outside",
            "1 where one of both is no probability: outside [0, 1] by negative weights, or (empty "
            "with an infinite error) relative to weights that add up to 0",
        ),
    ),
    key=("observable", "bin"),
)
