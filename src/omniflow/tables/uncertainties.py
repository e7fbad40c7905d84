"""Tables of uncertainties: covariances in blocks, shifts, tests, pulls, coverage."""

from __future__ import annotations

from omniflow.tables.shared import COMBINE, METHOD, OBSERVABLE
from omniflow.tables.table import File, Table, When, number, text, whole

TITLE = "Uncertainties"
NOTES = """\
Only with `uncertainties`. All are of the last iteration and the first combination; contents are
as in `metrics.csv`. [Replicas, variations and covariance](method/uncertainties.md) and
[tests](method/tests.md) define them. With `uncertainties.predictions` alone `covariance.csv`
holds the training."""

_KEYS = (METHOD, COMBINE, OBSERVABLE)
_KEY = tuple(column.name for column in _KEYS)
_KIND = text(
    "kind",
    "`toy` (errors of `data` and `training`), `toy_samples` (also of `simulation`) or `pass_total` "
    "(of all blocks)",
)

COVARIANCE = Table(
    "covariance.csv",
    "covariance of the bins of an observable, by block",
    When.UNCERTAINTIES,
    notes="""\
All pairs of bins, also those that are absent in `metrics.csv`; with several
`uncertainties.passes` variances of a block can be below 0, those of `total` cannot.""",
    columns=(
        *_KEYS,
        text(
            "block",
            "`data`, `simulation`, `training` (of the mean over passes), each systematic, `total`",
        ),
        whole("bin_i", "number of a bin, from 0"),
        whole("bin_j", "number of a bin, from 0"),
        number("value", "covariance of both"),
    ),
    key=(*_KEY, "block", "bin_i", "bin_j"),
)
JOINT_COVARIANCE = File(
    "joint_covariance.h5",
    "covariance of the bins of all observables together, by block",
    When.UNCERTAINTIES,
    """\
| dataset | content |
|---|---|
| `observable`, `bin` | (T,) which bin a row or column is, of the T bins of all observables |
| `<method>/mean` | (T,) mean over passes |
| `<method>/covariance/<block>` | (T, T) blocks as in `covariance.csv` |

Replicas, passes and shifts are common to all observables. `total` is made positive semi-definite
as a whole, so it can differ slightly from that of one observable. A block from R replicas has a
rank below R. A fit of many bins at once takes more replicas than bins.""",
)
SHIFTS = Table(
    "shifts.csv",
    "shift of each variation, per bin",
    When.UNCERTAINTIES,
    columns=(
        *_KEYS,
        text("variation", "its name; each side of a pair by itself"),
        whole("bin", "number of the bin, from 0"),
        number("shift", "varied - nominal, mean over `uncertainties.passes`"),
        number("training_error", "error of `shift` by training; empty for one pass"),
        number(
            "statistical_error",
            "error of `shift` by the statistics of nominal and varied sample; empty without a "
            "sample or replicas",
        ),
    ),
    key=(*_KEY, "variation", "bin"),
)
CHI2 = Table(
    "chi2.csv",
    "tests of the result against predictions",
    When.UNCERTAINTIES,
    columns=(
        *_KEYS,
        text(
            "prediction",
            "`truth`, `simulation` (before unfolding), a variation's simulation, or a name of "
            "`uncertainties.predictions`",
        ),
        number("chi2", "χ²; empty where replicas are too few"),
        whole("bins", "its degrees of freedom"),
        number(
            "p_value",
            "probability of a larger difference, for a covariance from finitely many replicas and "
            "passes; empty where none would hold",
        ),
        text("no_p_value", "why there is no p-value, and the numbers that would do; else empty"),
        number("covariance_freedom", "effective degrees of freedom of the covariance"),
        text("blocks", "blocks in the covariance, before scatter of training is subtracted"),
        text("left_out", "blocks that contain the tested difference"),
        text("parallel", "blocks in the covariance with a shift nearly parallel to the difference"),
    ),
    key=(*_KEY, "prediction"),
)
PULLS = Table(
    "pulls.csv",
    "pulls of passes and toys, per bin; none for data without truth",
    When.UNCERTAINTIES,
    columns=(
        *_KEYS,
        _KIND,
        whole("number", "which pass or toy, from 1"),
        whole("bin", "number of the bin, from 0"),
        number("pull", "(unfolded - truth) / error"),
    ),
    key=(*_KEY, "kind", "number", "bin"),
)
COVERAGE = Table(
    "coverage.csv",
    "how often errors cover, over all bins; none for data without truth",
    When.UNCERTAINTIES,
    columns=(
        *_KEYS,
        _KIND,
        whole("entries", "number of passes or toys"),
        number("coverage", "fraction of pulls within ±1"),
        number(
            "coverage_error",
            "from the scatter between toys; empty for passes, which are not independent",
        ),
        number("pull_mean", "over entries and bins"),
        number("pull_width", "over entries and bins"),
    ),
    key=(*_KEY, "kind"),
)
