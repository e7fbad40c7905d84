"""Tables of classifiers: networks judged on held-out and trained events, and new ones."""

from __future__ import annotations

from omniflow.tables.shared import CHAIN, FOLD, ITERATION, LANE, MEMBER, OBSERVABLE, PASS
from omniflow.tables.table import Table, number, text, whole

TITLE = "Diagnostics"
NOTES = """\
Definitions are in [trust in the classifiers](method/classifiers.md) and [where to
stop](method/faults.md#where-to-stop). `part` is `held-out` or `trained`: [which
events](method/classifiers.md#what-held-out-events-are)."""

_STEP = text("step", "`1` or `2`")
_PART = text("part", "events that are judged: `held-out` or `trained`")
_CURVE = (CHAIN, ITERATION, _STEP, _PART)

CLASSIFIERS = Table(
    "classifiers.csv",
    "networks of steps 1 and 2, judged on held-out and trained events",
    columns=(
        CHAIN,
        PASS,
        LANE,
        MEMBER,
        FOLD,
        ITERATION,
        _STEP,
        _PART,
        whole("events", "events of the part"),
        number(
            "auc",
            "weighted area under the ROC curve; empty where the weights of a class do not add up "
            "to more than 0: curves leave such networks out",
        ),
        number("auc_error", "its statistical error"),
        number(
            "chi2",
            "of predicted against observed fractions, in groups of about equal weight",
        ),
        whole("bins", "number of these groups"),
    ),
    key=("chain", "pass", "lane", "member", "fold", "iteration", "step", "part"),
)
RELIABILITY = Table(
    "reliability.csv",
    "predicted and observed fractions of classes, per group of events",
    notes="Averaged over networks.",
    columns=(
        *_CURVE,
        number("predicted", "mean predicted probability of class A, classes balanced"),
        number("observed", "weighted fraction of class A"),
        number("observed_error", "the statistical error of one network"),
    ),
)
ROC = Table(
    "roc.csv",
    "ROC curves, one row per cut",
    notes="Averaged over networks.",
    columns=(
        *_CURVE,
        number("class_b", "weighted fraction of class B above the cut"),
        number("class_a", "weighted fraction of class A above the cut"),
    ),
)
SECOND_CLASSIFIER = Table(
    "second_classifier.csv",
    "classifiers trained to tell the result from its target",
    notes="Without rows where they are switched off.",
    columns=(
        text("subject", "a method, or `_prior`: before unfolding"),
        text(
            "level",
            "`detector`: data against simulation; `particle`: truth against simulation",
        ),
        whole("events", "judged, which took no part in the training", empty=True),
        number("auc", "area under the ROC curve"),
        number("auc_error", "its statistical error"),
        whole("best_epoch", "the epoch used", empty=True),
        text("failure", "why it could not be trained; else empty"),
    ),
    key=("subject", "level"),
)
OVERTRAINING = Table(
    "overtraining.csv",
    "weights of events that trained against those of held-out ones",
    notes="Networks of step 2 of pass 1, first and last iteration; without rows with folds.",
    columns=(
        CHAIN,
        LANE,
        MEMBER,
        ITERATION,
        OBSERVABLE,
        number("chi2", "of the mean ν per bin of events that trained against held-out ones"),
        whole("bins", "number of these bins"),
        number("p_value", "probability of a larger χ²"),
        number("difference", "mean ν of the entries that trained over that of the others, less 1"),
    ),
    key=("chain", "lane", "member", "iteration", "observable"),
)
