"""Tables of trainings: networks, epochs, and what methods cost."""

from __future__ import annotations

from omniflow.tables.shared import METHOD, NETWORK, NETWORK_KEY
from omniflow.tables.table import Table, number, text, whole

TITLE = "Trainings"
NOTES = ""

TIMING = Table(
    "timing.csv",
    "one row per network: how it was trained, and how long that took",
    columns=(
        *NETWORK,
        text("start", "where it started: `scratch`, `pretrained`, `backbone` or `warm`"),
        whole("events", "training and held-out events"),
        whole("epochs", "trained"),
        whole("best_epoch", "the one whose weights are used; 0: before training"),
        number(
            "shrink_factor",
            "on the logarithm of its ratio (`unfolding.restart.shrink`); 1 without",
        ),
        number(
            "seconds",
            "training with validation; networks trained together share the time of their updates",
            "s",
        ),
        number(
            "events_per_second",
            "of training alone, mean over epochs; with others, what all do together",
            "1/s",
        ),
        number("val_loss", "held-out loss of the network that is used"),
        whole("parameters", "of the network"),
        number("job_seconds", "of the job that trained it", "s"),
        text("device", "of that job: `CPU`, or the GPU's name"),
        whole("threads", "of a rank of that job", empty=True),
        text("engine", "what evaluated it: `native`, `native-baseline` or `tensorflow`"),
        whole("ranks", "processes that shared the work"),
        whole(
            "restarts",
            "how often it was trained anew after divergence; its `history.json` says why",
        ),
        whole("resumed", "how often its training went on from a checkpoint"),
    ),
    key=NETWORK_KEY,
)
HISTORIES = Table(
    "histories.csv",
    "one row per network and epoch: losses, rates, gradients, times",
    columns=(
        *NETWORK,
        whole("epoch", "0 is the network before training and has only `val_loss`"),
        number("val_loss", "held-out loss of the averaged weights"),
        number("seconds", "of the epoch", "s"),
        number("loss", "training loss of the live weights"),
        number("learning_rate", "of the last update"),
        number("grad_norm", "mean of the global norm of the gradient before clipping"),
        number("grad_norm_max", "largest of them"),
        number("events_per_second", "of the epoch's training", "1/s"),
        number("waiting", "fraction of the training time spent waiting for batches"),
        number(
            "backbone_rate",
            "the backbone's rate, where `methods.<name>.transfer` gives it one; 0: frozen",
        ),
    ),
    key=(*NETWORK_KEY, "epoch"),
)
COST = Table(
    "cost.csv",
    "networks and time of training of each method",
    notes="Methods that share networks each count them.",
    columns=(
        METHOD,
        whole("networks_per_pass", "trainings in one pass"),
        number("seconds_per_pass", "training time of one pass, mean over passes", "s"),
        number("seconds_per_pass_error", "its error", "s"),
        whole("passes", "number of passes"),
        number(
            "pretraining_seconds",
            "training of the pre-trained models that the method uses, once",
            "s",
        ),
    ),
    key=("method",),
)
