"""An expression, and its evaluation on columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from omniflow.expressions.errors import (
    ExpressionError,
    listing,
    marked,
    nearest,
    written,
)
from omniflow.expressions.functions import FUNCTIONS
from omniflow.expressions.operators import OPERATORS
from omniflow.expressions.tree import Call, Column, Comparison, Constant, Node, Selection
from omniflow.expressions.values import Values, load, select


@dataclass(frozen=True)
class Expression:
    """A parsed text; expressions are equal, and hash alike, if their texts do.

    Attributes:
        text: what was parsed, on one line.
        names: columns that it needs, without the constants pi, nan and inf.
    """

    text: str
    names: frozenset[str] = field(compare=False, repr=False)
    tree: Node = field(compare=False, repr=False)

    def evaluate(self, columns: Mapping[str, Values], events: int) -> Values:
        """Return the expression's values for `events` events.

        Args:
            columns: at least those of `names`; per event (n,) or per particle (M,) with offsets
                (n + 1,). No other is looked up. They are not changed.
            events: number of events, n.

        Returns:
            (n,) numbers per event, or (M,) per particle with offsets. They are float64; bool where
            the expression is a condition; integers where it is a column of integers, a selection,
            order or `where` of such, a count, or made by & | ~. The array shares no memory with
            the columns.

        Raises:
            ExpressionError: a column is missing or does not fit `events`, numbers are of the wrong
                kind, or particles of different collections meet. The place is marked.

        Examples:
            >>> import numpy as np
            >>> from omniflow.expressions import Values, parse
            >>> pt = Values(np.array([40.0, 10.0, 25.0]), offsets=np.array([0, 2, 3]))
            >>> parse("sum(pt[pt > 20])").evaluate({"pt": pt}, events=2).array.tolist()
            [40.0, 25.0]
            >>> parse("count(pt) >= 2").evaluate({"pt": pt}, events=2).array.tolist()
            [True, False]
        """
        # What is not defined is NaN or infinite: the caller counts those.
        with np.errstate(all="ignore"):
            evaluation = _Evaluation(self.text, columns, events)
            result = evaluation.values(self.tree)
        array = result.array
        if array.ndim == 0:
            return Values(np.full(events, array))
        if any(np.may_share_memory(array, one.array) for one in evaluation.loaded.values()):
            array = array.copy()
        return replace(result, array=array)


class _Evaluation:
    """One walk through a tree: arguments first, errors marked where they arise."""

    def __init__(self, text: str, columns: Mapping[str, Values], events: int):
        self.text = text
        self.columns = columns
        self.events = events
        self.loaded: dict[str, Values] = {}

    def values(self, node: Node) -> Values:
        """Return the values of a node; those of constants have an array without dimension."""
        match node:
            case Constant(value=value):
                return Values(np.asarray(value))
            case Column():
                return self._marked(node, self._column, node)
            case Call(name=name, arguments=arguments):
                values = [self.values(argument) for argument in arguments]
                return self._marked(node, FUNCTIONS.get(name) or OPERATORS[name], *values)
            case Comparison():
                return self._comparison(node)
            case Selection(values=inner, mask=mask):
                return self._marked(node, select, self.values(inner), self.values(mask))
        raise TypeError(f"unknown node {node!r}")

    def _marked(self, node: Node, function: Callable[..., Values], *arguments: Any) -> Values:
        try:
            return function(*arguments)
        except ExpressionError as error:
            raise marked(str(error), self.text, node.start, node.stop) from None

    def _comparison(self, node: Comparison) -> Values:
        values = [self.values(operand) for operand in node.operands]
        pairs = zip(node.symbols, values[:-1], values[1:], strict=True)
        links = [self._marked(node, OPERATORS[symbol], a, b) for symbol, a, b in pairs]
        return links[0] if len(links) == 1 else self._marked(node, OPERATORS["and"], *links)

    def _column(self, node: Column) -> Values:
        name = node.name
        if name not in self.loaded:
            if name not in self.columns:
                raise ExpressionError(_unknown(name, self.columns))
            self.loaded[name] = load(name, self.columns[name], self.events)
        return self.loaded[name]


def _unknown(name: str, columns: Mapping[str, Values]) -> str:
    if not columns:
        return f"unknown column {name!r}: there are none"
    near = " or ".join(map(written, nearest(name, columns)))
    if name in FUNCTIONS:
        hint = f"the function is written {FUNCTIONS[name].signature}. "
    elif near:
        hint = f"did you mean {near}? "
    else:
        hint = ""
    return f"unknown column {name!r}: {hint}There are {listing(map(written, columns))}"
