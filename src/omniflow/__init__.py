"""Unbinned unfolding with ensembles of classifiers: OmniFold, from Python or by Snakemake.

    result = omniflow.unfold(data, simulation, methods={"parallel": {"lanes": 5}}, iterations=4)

`import omniflow` loads nothing; the names below are loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omniflow.api.compare import compare
    from omniflow.api.read import read
    from omniflow.api.size import plan
    from omniflow.api.study import Study
    from omniflow.api.unfold import unfold
    from omniflow.errors import (
        ConfigError,
        CovarianceWarning,
        InputError,
        LockError,
        OmniflowError,
        OutputError,
        TrainingError,
        WeightError,
    )
    from omniflow.events.sample import Events, Level
    from omniflow.export.bundle import Bundle, read_bundle
    from omniflow.observables import Observable
    from omniflow.sources.source import Source

__version__ = "0.1.0"

# Modules of the public names.
_HOMES = {
    "Bundle": "omniflow.export.bundle",
    "Events": "omniflow.events.sample",
    "Level": "omniflow.events.sample",
    "Observable": "omniflow.observables",
    "Source": "omniflow.sources.source",
    "Study": "omniflow.api",
    "compare": "omniflow.api",
    "plan": "omniflow.api",
    "read": "omniflow.api",
    "read_bundle": "omniflow.export.bundle",
    "unfold": "omniflow.api",
    "ConfigError": "omniflow.errors",
    "CovarianceWarning": "omniflow.errors",
    "InputError": "omniflow.errors",
    "LockError": "omniflow.errors",
    "OmniflowError": "omniflow.errors",
    "OutputError": "omniflow.errors",
    "TrainingError": "omniflow.errors",
    "WeightError": "omniflow.errors",
}

__all__ = [
    "Bundle",
    "ConfigError",
    "CovarianceWarning",
    "Events",
    "InputError",
    "Level",
    "LockError",
    "Observable",
    "OmniflowError",
    "OutputError",
    "Source",
    "Study",
    "TrainingError",
    "WeightError",
    "__version__",
    "compare",
    "plan",
    "read",
    "read_bundle",
    "unfold",
]


def __getattr__(name: str) -> Any:
    """Return a public name, loaded now."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
