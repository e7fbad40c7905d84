"""The public Python interface: unfold arrays, read finished studies, run plans.

What most programs need is in `omniflow` itself: `Events`, `unfold`, `read`.
"""

from omniflow.api.compare import compare
from omniflow.api.read import read
from omniflow.api.run import evaluate, run
from omniflow.api.size import Size, plan
from omniflow.api.study import Study
from omniflow.api.trained import TrainedNetwork
from omniflow.api.unfold import unfold

__all__ = [
    "Size",
    "Study",
    "TrainedNetwork",
    "compare",
    "evaluate",
    "plan",
    "read",
    "run",
    "unfold",
]
