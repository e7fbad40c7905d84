"""Read the folder of a finished study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omniflow.api.study import Study
from omniflow.config import load
from omniflow.errors import InputError
from omniflow.sources.recorded import Recorded
from omniflow.unfolding import rounds
from omniflow.unfolding.paths import PATTERNS
from omniflow.unfolding.plan import Plan


def read(folder: str | Path, classifier: Callable[..., Any] | None = None) -> Study:
    """Open the folder of a finished study.

    Nothing that its configuration names is imported, neither sources nor observables; only
    `Study.networks` and `Study.reweight` build its classifier, which may be of a module of its own.

    Args:
        folder: of the study, such as results/demo; it may have been moved.
        classifier: the function that builds its networks, where that was a function of a program
            (`unfold(classifier=...)`) that no module file holds.

    Returns:
        The study; files are read when they are asked for.

    Raises:
        InputError: it is not the folder of a study, or no weights are there yet.
        ConfigError: its configuration is not of this version.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> import omniflow
        >>> x = np.random.default_rng(1).normal(size=(3, 500))
        >>> with tempfile.TemporaryDirectory() as results:
        ...     _ = omniflow.unfold(
        ...         omniflow.Events.from_arrays(x[0] + 0.1),
        ...         omniflow.Events.from_arrays(x[1], x[2]),
        ...         iterations=1,
        ...         passes=1,
        ...         training={"epochs": 1, "min_updates": 1},
        ...         diagnostics={"second_classifier": False},
        ...         output=f"{results}/mine",
        ...     )
        ...     study = omniflow.read(f"{results}/mine")
        ...     weights, metrics = study.weights, study.tables["metrics"]
        >>> weights.shape, "observable" in metrics
        ((500,), True)
        >>> omniflow.read("results/nowhere")
        Traceback (most recent call last):
        omniflow.errors.InputError: ...results/nowhere: has no config.yaml; give the folder ...
    """
    root = Path(folder).absolute()
    path = root / PATTERNS["config"]
    if not path.is_file():
        raise InputError(
            f"{root}: has no {path.name}; give the folder of a study that has been run, such as "
            "results/demo"
        )
    plan = rounds.decided(Plan(load(path, stand_in={"source": Recorded}), root))
    study = Study(plan, classifier=classifier)
    method, how = study.headline
    if not plan.unfolded(method, how, plan.passes[-1]).is_file():
        raise InputError(
            f"{root}: has no final weights of {method} ({how}) yet; run the study to its end"
        )
    return study
