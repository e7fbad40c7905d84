"""From text to tree: Python's own parser, and a list of what is allowed of what it finds."""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from collections.abc import Callable
from typing import Any, TypeGuard

from omniflow.expressions.errors import CONSTANTS, PAGE, ExpressionError, marked, nearest
from omniflow.expressions.evaluate import Expression
from omniflow.expressions.functions import FUNCTIONS, Function
from omniflow.expressions.tree import Call, Column, Comparison, Constant, Node, Selection

LENGTH = 2_000
DEPTH = 50
NODES = 1_000

_BINARY = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}
_UNARY = {ast.UAdd: "u+", ast.USub: "u-", ast.Not: "not", ast.Invert: "~"}
_COMPARED = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
# What Python has and the language has not, in words, with what to write instead.
_FOREIGN = {
    ast.Lambda: "lambda",
    ast.IfExp: "`x if condition else y` (write where(condition, x, y))",
    ast.NamedExpr: "`:=`",
    ast.JoinedStr: "an f-string",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.List: "a list",
    ast.Set: "a set",
    ast.Dict: "a dictionary",
    ast.Tuple: "a list separated by commas",
    ast.Slice: "a slice (write nth(x, k) for one particle, x[condition] for several)",
    ast.Starred: "`*`, which unpacks,",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.MatMult: "`@`",
    ast.BitXor: "`^` (powers are written x**2)",
    ast.LShift: "`<<`",
    ast.RShift: "`>>`",
    ast.Is: "`is` (write ==)",
    ast.IsNot: "`is not` (write !=)",
    ast.In: "`in` (write x == 1 or x == 2)",
    ast.NotIn: "`not in` (write x != 1 and x != 2)",
}
_NO_COLUMN_NAMES = {"True", "False", "and", "or", "not"}


def parse(text: str, *, indices: bool = False) -> Expression:
    """Return the expression that `text` says.

    Line breaks count as blanks, and blanks at the ends are left out.

    Args:
        text: the formula.
        indices: whether names may have indices, `Tau[0]`, which then are part of the names: columns
            of files may hold arrays, those of samples do not.

    Returns:
        The expression, which is evaluated on columns.

    Raises:
        ExpressionError: it is no expression of the language, or longer than LENGTH characters,
            deeper than DEPTH or of more than NODES parts. The place is marked.

    Examples:
        >>> sorted(parse("sum(Jet.pt * cosh(Jet.eta)) / 2").names)
        ['Jet.eta', 'Jet.pt']
        >>> parse("__import__('os')")
        Traceback (most recent call last):
        omniflow.expressions.errors.ExpressionError: unknown function '__import__': ...
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is a text, not {type(text).__name__}")
    text = re.sub(r"[\t\n\v\f\r]", " ", text).strip(" ")
    if not text:
        raise ExpressionError("the expression is empty")
    if len(text) > LENGTH:
        raise ExpressionError(
            f"the expression has {len(text):,} characters, but at most {LENGTH:,} are allowed: "
            f"{text[:40]!r}..."
        )
    python = _python(text)
    reader = _Reader(text, indices)
    tree = reader.node(python, 1)
    return Expression(text, frozenset(reader.names), tree)


def _python(text: str) -> ast.expr:
    """Return what Python's parser makes of the text; nothing of it is run."""
    try:
        with warnings.catch_warnings():
            # Of a number that touches a word, or a backslash in a name.
            warnings.simplefilter("ignore")
            body = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise _syntax(text, error) from None
    except ValueError as error:
        # Characters that are none: of half a pair, or zero.
        raise ExpressionError(f"not an expression: {error}: {text!r}") from None
    except (RecursionError, MemoryError):
        raise ExpressionError(f"the expression is nested too deeply: {text[:40]!r}...") from None
    # On one line a comment can only follow the end.
    tail = text.encode()[body.end_col_offset :].decode()
    if "#" in tail:
        place = len(text) - len(tail) + tail.index("#")
        raise marked("a comment is not part of the language", text, place, len(text))
    return body


def _syntax(text: str, error: SyntaxError) -> ExpressionError:
    """Return what Python says about the syntax, in terms of the language."""
    if error.offset is None:
        return ExpressionError(f"not an expression: {error.msg}: {text!r}")
    # Python gives 0 for what is missing at the end.
    start = error.offset - 1 if error.offset and error.lineno == 1 else len(text)
    found = re.match(r"\w*", text[start:])
    word = found.group() if found else ""
    if keyword.iskeyword(word) and word not in _NO_COLUMN_NAMES:
        message = (
            f"{word} is not part of the language; see {PAGE}. A column of that name is written "
            f'column("...")'
        )
        return marked(message, text, start, start + len(word))
    if re.match(r":?=(?!=)", text[start:]):
        return marked("not an expression: compare with ==", text, start, start + 1)
    said = (
        "it ends too early"
        if start >= len(text)
        else re.sub(r"[.] .*| [(]detected at line.*", "", error.msg)
    )
    stop = error.end_offset - 1 if error.end_offset and error.end_lineno == 1 else start + 1
    return marked(f"not an expression: {said}; see {PAGE}", text, start, stop)


class _Reader:
    """One walk through Python's tree: what is allowed becomes a node, all else an error."""

    def __init__(self, text: str, indices: bool):
        self.text = text
        self.indices = indices
        self.names: set[str] = set()
        self._bytes = text.encode()
        self._nodes = 0
        self._readers: dict[type, Callable[[Any, int], Node]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.Attribute: self._name,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._binary,
            ast.BoolOp: self._logic,
            ast.Compare: self._comparison,
            ast.Call: self._call,
            ast.Subscript: self._selection,
        }

    def node(self, part: ast.expr, depth: int) -> Node:
        """Return the node of a part of Python's tree, `depth` levels below the top."""
        self._nodes += 1
        if self._nodes > NODES:
            raise ExpressionError(f"the expression has more than {NODES:,} parts")
        if depth > DEPTH:
            raise self._error(part, f"the expression is nested more than {DEPTH} deep")
        reader = self._readers.get(type(part))
        if reader is None:
            raise self._foreign(part)
        return reader(part, depth + 1)

    def _place(self, part: ast.expr) -> tuple[int, int]:
        """Return the characters start, stop of a part; Python counts bytes."""
        ends = (part.col_offset, part.end_col_offset)
        start, stop = (len(self._bytes[:end].decode(errors="ignore")) for end in ends)
        return start, stop

    def _error(self, part: ast.expr, message: str) -> ExpressionError:
        return marked(message, self.text, *self._place(part))

    def _foreign(self, part: ast.expr, kind: type | None = None) -> ExpressionError:
        what = _FOREIGN.get(kind or type(part), f"`{(kind or type(part)).__name__}`")
        return self._error(part, f"{what} is not part of the language; see {PAGE}")

    def _constant(self, part: ast.Constant, depth: int) -> Node:
        value = part.value
        if isinstance(value, str | bytes):
            raise self._error(part, f'a text may only stand in column("..."); see {PAGE}')
        if not isinstance(value, bool | int | float):
            what = "..." if value is ... else repr(value)
            raise self._error(part, f"{what} is not part of the language; see {PAGE}")
        return self._number(part, value)

    def _number(self, part: ast.expr, value: bool | int | float) -> Constant:
        if isinstance(value, int) and not -(2**63) < value < 2**63:
            raise self._error(
                part, "an integer of 2**63 or more is too large; write it with a decimal point"
            )
        return Constant(*self._place(part), value)

    def _name(self, part: ast.Name | ast.Attribute, depth: int) -> Node:
        name = self._words(part)
        if name in CONSTANTS:
            return Constant(*self._place(part), CONSTANTS[name])
        return self._column(part, name)

    def _words(self, part: ast.Name | ast.Attribute) -> str:
        """Return a name, dots included."""
        words: list[str] = []
        rest: ast.expr = part
        while isinstance(rest, ast.Attribute):
            words.append(rest.attr)
            rest = rest.value
        if not isinstance(rest, ast.Name):
            raise self._error(
                part,
                f"a dot may only stand inside the name of a column, such as Jet.PT; see {PAGE}",
            )
        words.append(rest.id)
        name = ".".join(reversed(words))
        if any(word.startswith("_") for word in words):
            raise self._error(
                part,
                f"{name}: names that begin with _ are not part of the language; a column of that "
                f'name is written column("...")',
            )
        return name

    def _column(self, part: ast.expr, name: str) -> Node:
        self.names.add(name)
        return Column(*self._place(part), name)

    def _unary(self, part: ast.UnaryOp, depth: int) -> Node:
        inner = self.node(part.operand, depth)
        # A negative integer stays one.
        if isinstance(part.op, ast.USub) and isinstance(inner, Constant) and _whole(inner.value):
            return self._number(part, -inner.value)
        return Call(*self._place(part), _UNARY[type(part.op)], (inner,))

    def _binary(self, part: ast.BinOp, depth: int) -> Node:
        symbol = _BINARY.get(type(part.op))
        if symbol is None:
            raise self._foreign(part, type(part.op))
        return Call(*self._place(part), symbol, self._all([part.left, part.right], depth))

    def _logic(self, part: ast.BoolOp, depth: int) -> Node:
        symbol = "and" if isinstance(part.op, ast.And) else "or"
        return Call(*self._place(part), symbol, self._all(part.values, depth))

    def _comparison(self, part: ast.Compare, depth: int) -> Node:
        for operator in part.ops:
            if type(operator) not in _COMPARED:
                raise self._foreign(part, type(operator))
        operands = self._all([part.left, *part.comparators], depth)
        symbols = tuple(_COMPARED[type(operator)] for operator in part.ops)
        return Comparison(*self._place(part), operands, symbols)

    def _selection(self, part: ast.Subscript, depth: int) -> Node:
        if self.indices and (name := self._indexed(part)):
            return self._column(part, name)
        values, mask = self._all([part.value, part.slice], depth)
        if isinstance(mask, Constant) and not isinstance(mask.value, bool):
            behind = " (an index stands right behind a name)" if self.indices else ""
            raise self._error(
                part,
                "[ ] takes a condition, such as pt[pt > 20]; write nth(x, 0) for one "
                f"particle{behind}",
            )
        return Selection(*self._place(part), values, mask)

    def _indexed(self, part: ast.Subscript) -> str:
        """Return a name with its indices, or nothing where they are none of a name."""
        rest: ast.expr = part
        indices = ""
        while isinstance(rest, ast.Subscript):
            number, sign = rest.slice, ""
            if isinstance(number, ast.UnaryOp) and isinstance(number.op, ast.USub):
                number, sign = number.operand, "-"
            if not (isinstance(number, ast.Constant) and _whole(number.value)):
                return ""
            rest, indices = rest.value, f"[{sign}{number.value!r}]{indices}"
        if isinstance(rest, ast.Call) and isinstance(rest.func, ast.Name):
            return self._quotation(rest) + indices if rest.func.id == "column" else ""
        if not isinstance(rest, ast.Name | ast.Attribute):
            return ""
        name = self._words(rest)
        return "" if name in CONSTANTS else name + indices

    def _call(self, part: ast.Call, depth: int) -> Node:
        if not isinstance(part.func, ast.Name):
            raise self._error(part.func, f"only functions can be called, by their name; see {PAGE}")
        name = part.func.id
        if name == "column":
            return self._quoted(part)
        if name not in FUNCTIONS:
            near = nearest(name, [*FUNCTIONS, "column"], 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FUNCTIONS)}"
            raise self._error(part.func, f"unknown function {name!r}: {hint}")
        function = FUNCTIONS[name]
        self._check_arguments(part, function)
        arguments = self._all([*part.args, *(one.value for one in part.keywords)], depth)
        if name == "nth" and not (
            isinstance(arguments[1], Constant) and _whole(arguments[1].value)
        ):
            raise self._error(part.args[1], "the k of nth(x, k) is an integer, such as 1 or -1")
        return Call(*self._place(part), name, arguments)

    def _quoted(self, part: ast.Call) -> Node:
        return self._column(part, self._quotation(part))

    def _quotation(self, part: ast.Call) -> str:
        """Return the name that `column` takes."""
        names = [one.value for one in part.args if isinstance(one, ast.Constant)]
        if len(part.args) != 1 or part.keywords or not names or not isinstance(names[0], str):
            raise self._error(part, 'column takes one name in quotes: column("a name")')
        return names[0]

    def _check_arguments(self, part: ast.Call, function: Function) -> None:
        given, wanted = len(part.args), len(function.arguments)
        for one in part.args:
            if isinstance(one, ast.Starred):
                raise self._foreign(one)
        for option in part.keywords:
            if option.arg not in function.options:
                what = f"{option.arg}=" if option.arg else "`**`, which unpacks,"
                raise self._error(
                    option.value, f"{what} is no argument of {function.name}: {function.signature}"
                )
        # Python itself sees this only when it compiles.
        if len({one.arg for one in part.keywords}) < len(part.keywords):
            raise self._error(part, f"an argument of {function.name} is given twice")
        if given != wanted:
            larger = {"max": "maximum", "min": "minimum"}.get(function.name)
            hint = f"; {larger}(x, y) compares two numbers" if larger and given > 1 else ""
            raise self._error(
                part,
                f"{function.name} takes {wanted} argument{'s' * (wanted != 1)}, "
                f"{function.signature}, but {given} {'is' if given == 1 else 'are'} given{hint}",
            )

    def _all(self, parts: list[ast.expr], depth: int) -> tuple[Node, ...]:
        return tuple(self.node(one, depth) for one in parts)


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
