"""A small language over columns: parsed, checked and evaluated on arrays, never run as Python."""

from omniflow.expressions.errors import ExpressionError
from omniflow.expressions.evaluate import Expression
from omniflow.expressions.grammar import parse
from omniflow.expressions.values import Values

__all__ = ["Expression", "ExpressionError", "Values", "parse"]
