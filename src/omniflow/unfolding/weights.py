"""Event weights: from logits to likelihood ratios, and the checks of every step."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from omniflow.errors import WeightError
from omniflow.events.quality import Quality, measure


def ratio(
    logits: np.ndarray, clip: float, yields: float = 1.0, first: int = 0
) -> tuple[np.ndarray, int]:
    """Return the likelihood ratios `yields * exp(logit)` and how many logits were clipped.

    The exponential of the logit is f / (1 - f) without the saturation of a float32 sigmoid
    (arXiv:2503.20753, section 2).

    Args:
        logits: (n,) logits of a classifier trained on balanced classes.
        clip: largest magnitude of a logit.
        yields: ratio W_A / W_B of the sums of weights in `absolute` mode, 1 in `shape` mode.
        first: position of the first of them, for messages.

    Returns:
        Ratios (n,) float64, and how many logits were clipped.

    Raises:
        WeightError: a logit is NaN; the message gives its position.

    Examples:
        >>> import numpy as np
        >>> ratios, clipped = ratio(np.array([0.0, np.log(3), 50.0]), clip=10)
        >>> ratios.round(1).tolist(), clipped
        ([1.0, 3.0, 22026.5], 1)
    """
    bad = np.flatnonzero(np.isnan(logits))
    if len(bad):
        raise WeightError(
            f"{len(bad)} of {len(logits)} logits are NaN, the first at {first + bad[0]}"
        )
    clipped = np.clip(logits.astype(np.float64), -clip, clip)
    return yields * np.exp(clipped), int(np.count_nonzero(np.abs(logits) > clip))


@dataclass(frozen=True)
class Check:
    """What a step did to the weights of the events it applies to.

    Attributes:
        sum_before, sum_after: sums of weights.
        minimum, maximum: smallest and largest ratio per event.
        ess: effective sample size (sum w)^2 / sum w^2 after the step.
        clipped: logits that were clipped, over all members.
        events: number of events.
        largest: share of the largest weight in the sum of magnitudes after the step.
        negative: share of events with a negative weight.
        yields: factor W_A / W_B on the ratio of each member.
        factor: what restored the yield when the members were combined.
    """

    sum_before: float
    sum_after: float
    minimum: float
    maximum: float
    ess: float
    clipped: int
    events: int
    largest: float
    negative: float
    yields: float = 1.0
    factor: float = 1.0

    @property
    def quality(self) -> Quality:
        """Quality of the weights after the step."""
        return Quality(self.events, self.sum_after, self.ess, self.largest, self.negative)

    def as_dict(self) -> dict[str, float]:
        """Return the fields as a dict."""
        return asdict(self)


def check(
    before: np.ndarray, after: np.ndarray, ratios: np.ndarray, clipped: int, where: str
) -> Check:
    """Return the summary of a step, or refuse its weights.

    Args:
        before: (n,) event weights before and after the step.
        after: (n,) event weights before and after the step.
        ratios: (n,) what one was multiplied with.
        clipped: number of clipped logits.
        where: names the step in messages.

    Returns:
        What goes into logs, reports and the attributes of files of weights.

    Raises:
        WeightError: weights that are not finite, or whose sum is not positive.
    """
    if not np.all(np.isfinite(after)):
        bad = np.flatnonzero(~np.isfinite(after))
        raise WeightError(
            f"{where}: {len(bad)} of {len(after)} weights are not finite, the first at event "
            f"{bad[0]}. Lower training.learning_rate or training.logit_clip."
        )
    found = measure(after)
    if not found.total > 0:
        raise WeightError(f"{where}: the sum of weights is {found.total}; it must be positive.")
    return Check(
        sum_before=float(before.sum()),
        sum_after=found.total,
        minimum=float(ratios.min()),
        maximum=float(ratios.max()),
        ess=found.effective,
        clipped=clipped,
        events=found.events,
        largest=found.largest,
        negative=found.negative,
    )
