"""What `parse` makes of a text: a tree of a few kinds of nodes, each with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """Base of the nodes.

    Attributes:
        start, stop: the node is characters start:stop of the text.
    """

    start: int
    stop: int


@dataclass(frozen=True)
class Constant(Node):
    """A number, or true or false."""

    value: bool | int | float


@dataclass(frozen=True)
class Column(Node):
    """The values of a column."""

    name: str


@dataclass(frozen=True)
class Call(Node):
    """A function (name in FUNCTIONS) or an operator (its symbol in OPERATORS) and its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Comparison(Node):
    """A chain such as 1 < x <= y: true where each neighbouring pair compares as its symbol says."""

    operands: tuple[Node, ...]
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Selection(Node):
    """Those particles of `values` for which `mask` is true."""

    values: Node
    mask: Node
