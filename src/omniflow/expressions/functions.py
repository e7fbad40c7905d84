"""The functions of the language: one table of signature, meaning and implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from omniflow.expressions import particles
from omniflow.expressions.errors import ExpressionError
from omniflow.expressions.kinds import boolean, integers, real
from omniflow.expressions.values import Values, combine

EACH = "each number"
EVENT = "particles of an event"


@dataclass(frozen=True)
class Function:
    """One function.

    Attributes:
        signature: name and arguments as a user writes them; `by=key` is optional and named.
        summary: what it gives, one line.
        runs_over: EACH (number by number) or EVENT (its first argument is per particle).
        implementation: function of Values.
    """

    signature: str
    summary: str
    runs_over: str
    implementation: Callable[..., Values]

    @cached_property
    def name(self) -> str:
        """The word before the bracket."""
        return self.signature.partition("(")[0]

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments that must be given."""
        return tuple(one for one in self._parameters if "=" not in one)

    @cached_property
    def options(self) -> tuple[str, ...]:
        """Names of the arguments that may be given, by name."""
        return tuple(one.partition("=")[0] for one in self._parameters if "=" in one)

    @cached_property
    def _parameters(self) -> list[str]:
        return self.signature.partition("(")[2].rstrip(")").split(", ")

    def __call__(self, *values: Values) -> Values:
        """Return the function of `values`: all of `arguments`, then those of `options`.

        Raises:
            ExpressionError: the values are not of the kind that the function needs.
        """
        if self.runs_over == EVENT and values[0].offsets is None:
            raise ExpressionError(
                f"{self.name} runs over the particles of each event, but this is one number per "
                "event"
            )
        return self.implementation(*values)


def _floats(function: Callable[..., np.ndarray]) -> Callable[..., Values]:
    return lambda *values: combine(lambda *arrays: function(*map(real, arrays)), *values)


def _wrap(angle: np.ndarray) -> np.ndarray:
    return np.pi - np.mod(np.pi - angle, 2 * np.pi)


def _where(condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    boolean(condition, "where")
    one, other = integers(a, b) or (real(a), real(b))
    return np.where(condition, one, other)


_TABLE = (
    Function("abs(x)", "absolute value", EACH, _floats(np.abs)),
    Function("sign(x)", "-1, 0 or 1", EACH, _floats(np.sign)),
    Function("sqrt(x)", "square root", EACH, _floats(np.sqrt)),
    Function("exp(x)", "e to the power of x", EACH, _floats(np.exp)),
    Function("expm1(x)", "exp(x) - 1, exact for small x", EACH, _floats(np.expm1)),
    Function("log(x)", "natural logarithm", EACH, _floats(np.log)),
    Function("log10(x)", "logarithm to base 10", EACH, _floats(np.log10)),
    Function("log1p(x)", "log(1 + x), exact for small x", EACH, _floats(np.log1p)),
    Function("sin(x)", "sine of an angle in rad", EACH, _floats(np.sin)),
    Function("cos(x)", "cosine of an angle in rad", EACH, _floats(np.cos)),
    Function("tan(x)", "tangent of an angle in rad", EACH, _floats(np.tan)),
    Function("arcsin(x)", "angle in [-pi/2, pi/2]", EACH, _floats(np.arcsin)),
    Function("arccos(x)", "angle in [0, pi]", EACH, _floats(np.arccos)),
    Function("arctan(x)", "angle in (-pi/2, pi/2)", EACH, _floats(np.arctan)),
    Function("arctan2(y, x)", "angle of the point (x, y), [-pi, pi]", EACH, _floats(np.arctan2)),
    Function("sinh(x)", "hyperbolic sine", EACH, _floats(np.sinh)),
    Function("cosh(x)", "hyperbolic cosine", EACH, _floats(np.cosh)),
    Function("tanh(x)", "hyperbolic tangent", EACH, _floats(np.tanh)),
    Function("arcsinh(x)", "inverse of sinh", EACH, _floats(np.arcsinh)),
    Function("arccosh(x)", "inverse of cosh", EACH, _floats(np.arccosh)),
    Function("arctanh(x)", "inverse of tanh", EACH, _floats(np.arctanh)),
    Function("hypot(x, y)", "sqrt(x**2 + y**2)", EACH, _floats(np.hypot)),
    Function("wrap(angle)", "the same angle in (-pi, pi]", EACH, _floats(_wrap)),
    Function("minimum(x, y)", "the smaller of two numbers", EACH, _floats(np.minimum)),
    Function("maximum(x, y)", "the larger of two numbers", EACH, _floats(np.maximum)),
    Function("clip(x, low, high)", "x, but at least low and at most high", EACH, _floats(np.clip)),
    Function("floor(x)", "next integer below", EACH, _floats(np.floor)),
    Function("ceil(x)", "next integer above", EACH, _floats(np.ceil)),
    Function("round(x)", "nearest integer; halves to the even one", EACH, _floats(np.round)),
    Function("isfinite(x)", "true unless x is NaN or infinite", EACH, _floats(np.isfinite)),
    Function("isnan(x)", "true where x is NaN", EACH, _floats(np.isnan)),
    Function(
        "where(condition, x, y)",
        "x where the condition is true, else y",
        EACH,
        lambda *values: combine(_where, *values),
    ),
    Function("sum(x)", "sum; of a condition: how often it is true", EVENT, particles.total),
    Function("mean(x)", "mean; NaN without particles", EVENT, particles.mean),
    Function(
        "max(x)", "largest number; NaN without particles", EVENT, particles.extreme(np.maximum)
    ),
    Function(
        "min(x)", "smallest number; NaN without particles", EVENT, particles.extreme(np.minimum)
    ),
    Function("any(condition)", "true if it is true of any particle", EVENT, particles.anywhere),
    Function("all(condition)", "true if it is true of every particle", EVENT, particles.everywhere),
    Function("count(x)", "number of particles", EVENT, particles.count),
    Function("first(x)", "number of the first particle; NaN without", EVENT, particles.first),
    Function(
        "nth(x, k)",
        "nth(x, 1) is the second particle, nth(x, -1) the last; NaN where there are fewer",
        EVENT,
        particles.nth,
    ),
    Function(
        "sort(x, by=key)",
        "x of the particles by falling key (by x itself if no key is given), as many as before",
        EVENT,
        particles.sort,
    ),
)
FUNCTIONS: dict[str, Function] = {one.name: one for one in _TABLE}


def table() -> str:
    """Return the functions as the Markdown table of the documentation."""
    lines = ["| function | runs over | gives |", "|---|---|---|"]
    lines += [f"| `{one.signature}` | {one.runs_over} | {one.summary} |" for one in _TABLE]
    return "\n".join(lines)
