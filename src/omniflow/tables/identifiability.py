"""Tables of distances without bins, and of what truth tells beyond them."""

from __future__ import annotations

from omniflow.tables.table import Table, number, text, whole

TITLE = "Distances without bins, identifiability"
NOTES = """\
Definitions are in [metrics](method/metrics.md#wasserstein-distance) and
[identifiability](method/identifiability.md)."""

DISTANCES = Table(
    "distances.csv",
    "distances to truth and data after the last iteration, with and without bins",
    notes="Of each method's first combination, mean over passes. At particle level with truth.",
    columns=(
        text("level", "`particle`: to truth; `detector`: to data"),
        text("subject", "a method; `_prior`: before unfolding; `_oracle`: step 2 trained on truth"),
        text("observable", "its name, or `_sliced`: all observables of events together"),
        number("td", "triangular discriminator, TD × 1000; empty for `_sliced`"),
        number("td_floor", "its statistical floor"),
        number("wasserstein", "Wasserstein distance", "standard deviations of truth or data"),
        number(
            "wasserstein_floor",
            "its statistical floor: what independent samples of one parent give on average",
            "standard deviations of truth or data",
        ),
    ),
    key=("level", "subject", "observable"),
)
RESPONSE = Table(
    "response.csv",
    "tests whether samples have the detector response of the simulation",
    notes="Without rows where they are switched off or a sample has no truth.",
    columns=(
        text("role", "sample that is compared with the simulation"),
        text("test", "`sample`, or `control`: halves of the simulation, with the same response"),
        whole("events", "judged, of which no network was trained", empty=True),
        number("auc_alone", "area under the ROC curve of particle level: how spectra differ"),
        number("auc_alone_error", "its statistical error"),
        number("auc", "of what detector level adds, at equal particle level; ½: nothing"),
        number("auc_error", "its statistical error"),
        number("z", "normal with width 1 for the same response; large ones speak against it"),
        number("p_value", "probability of a larger z"),
        text("failure", "why a network could not be trained; else empty"),
    ),
    key=("role", "test"),
)
