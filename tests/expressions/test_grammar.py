import ast
import string
import sys
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omniflow.expressions import ExpressionError, Values, parse
from omniflow.expressions.functions import FUNCTIONS
from omniflow.expressions.grammar import DEPTH, LENGTH, NODES


def message(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    return str(caught.value)


def number(text):
    return parse(text).evaluate({}, 1).array[0]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("pt", {"pt"}),
        ("Jet.PT + Jet.Eta * 2", {"Jet.PT", "Jet.Eta"}),
        ("pi + nan - inf", set()),
        ("Jet.pi", {"Jet.pi"}),
        ('column("pi")', {"pi"}),
        ('column("a b") + a', {"a b", "a"}),
        ("sum(sum)", {"sum"}),
        ("sort(pt[abs(eta) < 2.5], by=pt)", {"pt", "eta"}),
        ("η", {"η"}),
    ],
)
def test_names_are_the_columns_that_are_needed(text, names):
    assert parse(text).names == names


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("2 ** 3 ** 2", 512),
        ("(1 + 2) * 3", 9),
        ("7 // 2 + 7 % 4", 6),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("not 1 == 2 and True or False", True),
        ("True + True", 2),
        ("1 | 6 & 3", 3),
        ("~5", -6),
        ("1_000 + 0x10 + 1e3", 2016),
        ("  1 +\n\t2\r\n", 3),
        ("(1 +\n 2)", 3),
        ("9223372036854775807 == 9223372036854775806", False),
        ("-9223372036854775807 == -9223372036854775806", False),
        ("9" * 400 + ".0", np.inf),
        ("9 ** 9 ** 9 ** 9 ** 9", np.inf),
    ],
)
def test_operators_bind_as_in_python(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("1 + lambda: 2", "lambda", "lambda is not part of the language; see docs/expressions.md"),
        ("max(lambda x: x)", "lambda x: x", "lambda is not part of the language"),
        ("a if b else c", "a if b else c", "write where(condition, x, y)"),
        ("(a := 1)", "a := 1", "`:=` is not part"),
        ('f"{a}"', 'f"{a}"', "an f-string is not part"),
        ("[a for a in b]", "[a for a in b]", "a comprehension"),
        ("{a for a in b}", "{a for a in b}", "a comprehension"),
        ("{a: a for a in b}", "{a: a for a in b}", "a comprehension"),
        ("sum(a for a in b)", "(a for a in b)", "a comprehension"),
        ("[a]", "[a]", "a list"),
        ("{a}", "{a}", "a set"),
        ("{a: b}", "{a: b}", "a dictionary"),
        ("a, b", "a, b", "a list separated by commas"),
        ("()", "()", "a list separated by commas"),
        ("a[1:2]", "1:2", "a slice"),
        ("a[b, c]", "b, c", "a list separated by commas"),
        ("a[0]", "a[0]", "write nth(x, 0) for one particle"),
        ("a[-1]", "a[-1]", "write nth(x, 0) for one particle"),
        ("sum(*a)", "*a", "`*`, which unpacks, is not part"),
        ("sum(**a)", "a", "`**`, which unpacks, is no argument of sum"),
        ("a @ b", "a @ b", "`@` is not part"),
        ("a ^ 2", "a ^ 2", "powers are written x**2"),
        ("a << 2", "a << 2", "`<<`"),
        ("a >> 2", "a >> 2", "`>>`"),
        ("a is b", "a is b", "write =="),
        ("a is not b", "a is not b", "write !="),
        ("a in b", "a in b", "`in`"),
        ("a not in b", "a not in b", "`not in`"),
        ("None", "None", "None is not part"),
        ("...", "...", "... is not part"),
        ("2j", "2j", "2j is not part"),
        ("(yield)", "yield", "yield is not part"),
        ("await a", "await a", "await is not part"),
        ("import os", "import", "import is not part of the language"),
        ("del a", "del", "del is not part of the language"),
        ("a.in + 1", "in", 'A column of that name is written column("...")'),
        ("a = 1", "=", "compare with =="),
        ("a := 1", ":", "compare with =="),
        ("a # b", "# b", "a comment is not part"),
        ("(a) # )", "# )", "a comment is not part"),
        ("a + 'b'", "'b'", 'a text may only stand in column("...")'),
        ("b'b'", "b'b'", 'a text may only stand in column("...")'),
        ("sum('pt')", "'pt'", 'a text may only stand in column("...")'),
        ("column(a)", "column(a)", "column takes one name in quotes"),
        ("column()", "column()", "column takes one name in quotes"),
        ("column('a', 'b')", "column('a', 'b')", "column takes one name in quotes"),
        ("column(name='a')", "column(name='a')", "column takes one name in quotes"),
        ("column(b'a')", "column(b'a')", "column takes one name in quotes"),
        ("column(f'a')", "column(f'a')", "column takes one name in quotes"),
        ("__class__", "__class__", "names that begin with _"),
        ("1 + _x", "_x", "names that begin with _"),
        ("a.__b__", "a.__b__", "names that begin with _"),
        ("a._b.c", "a._b.c", "names that begin with _"),
        ("().__class__", "().__class__", "a dot may only stand inside the name of a column"),
        ("(1).real", "(1).real", "a dot may only stand"),
        ("max(a).b", "max(a).b", "a dot may only stand"),
        ("'{}'.format", "'{}'.format", "a dot may only stand"),
        ("np.sqrt(a)", "np.sqrt", "only functions can be called, by their name"),
        ("'{}'.format(a)", "'{}'.format", "only functions can be called"),
        ("a[b](c)", "a[b]", "only functions can be called"),
        ("sum(a)(b)", "sum(a)", "only functions can be called"),
        ("__import__('os')", "__import__", "unknown function '__import__'"),
        ("eval(a)", "eval", "unknown function 'eval'"),
        ("1 + summ(a)", "summ", "unknown function 'summ': did you mean sum?"),
        ("ATAN2(y, x)", "ATAN2", "did you mean arctan2?"),
        ("Column('a')", "Column", "did you mean column?"),
        ("len(a)", "len", "there are abs, "),
        ("sqrt()", "sqrt()", "sqrt takes 1 argument, sqrt(x), but 0 are given"),
        ("hypot(a)", "hypot(a)", "hypot takes 2 arguments, hypot(x, y), but 1 is given"),
        ("max(a, 1)", "max(a, 1)", "maximum(x, y) compares two numbers"),
        ("min(a, 1)", "min(a, 1)", "minimum(x, y) compares two numbers"),
        ("sort(a, b)", "sort(a, b)", "sort takes 1 argument, sort(x, by=key), but 2 are given"),
        ("sort(by=a)", "sort(by=a)", "but 0 are given"),
        ("sort(a, key=b)", "b", "key= is no argument of sort: sort(x, by=key)"),
        ("sort(a, by=b, by=c)", "sort(a, by=b, by=c)", "an argument of sort is given twice"),
        ("sum(x=a)", "a", "x= is no argument of sum"),
        ("nth(a, b)", "b", "the k of nth(x, k) is an integer"),
        ("nth(a, 1.0)", "1.0", "the k of nth(x, k) is an integer"),
        ("nth(a, True)", "True", "the k of nth(x, k) is an integer"),
        ("1 + 9223372036854775808", "9223372036854775808", "an integer of 2**63 or more"),
        ("a == -9223372036854775808", "9223372036854775808", "an integer of 2**63 or more"),
        ("0x" + "f" * 60, "0x" + "f" * 58, "an integer of 2**63 or more"),
        ("a b", "b", "not an expression: invalid syntax"),
        ("a & & b", "&", "not an expression: invalid syntax"),
        ("(a", "(", "'(' was never closed"),
        ("a)", ")", "unmatched ')'"),
        ("'a", "'", "unterminated string literal; see"),
        ("η $ b", "$", "not an expression: invalid syntax"),
        ("ηη + lambda: 2", "lambda", "lambda is not part"),
        ("ηη + (a ^ 2)", "a ^ 2", "powers are written"),
        ("a × b", "×", "invalid character '×' (U+00D7)"),
    ],
)
def test_what_is_not_of_the_language_is_marked(text, place, words):
    first, shown, marks = message(text).splitlines()
    assert words in first
    assert shown[marks.index("^") : len(marks)].rstrip("…") == place


@pytest.mark.parametrize("text", ["a +", "a **", "not", "a <", "a.", "(a) and"])
def test_the_end_of_a_text_that_breaks_off_is_marked(text):
    first, shown, marks = message(text).splitlines()
    assert first == "not an expression: it ends too early; see docs/expressions.md"
    assert len(marks) == len(shown) + 1


def test_the_place_is_shown_in_long_texts():
    first, shown, marks = message(" + ".join(["abc"] * 40 + ["(a ^ b)"] + ["abc"] * 5)).splitlines()
    assert "`^`" in first
    assert shown.startswith("    …")
    assert len(shown) < 110
    text = "abc + " * 20 + "(a ^ b)" + " + abc" * 20
    _, shown, marks = message(text).splitlines()
    assert shown.startswith("    …")
    assert shown.endswith("…")
    assert marks.endswith("^")


@pytest.mark.parametrize("text", ["", "  ", "\n", "\t\r\n"])
def test_an_empty_text_is_refused(text):
    assert message(text) == "the expression is empty"


@pytest.mark.parametrize("text", [None, 3, 2.5, True, ["a"], b"a"])
def test_what_is_no_text_is_refused(text):
    assert "an expression is a text, not " + type(text).__name__ == message(text)


def test_the_number_of_characters_is_limited():
    assert parse("a" * LENGTH).names == {"a" * LENGTH}
    assert "has 2,001 characters, but at most 2,000" in message("a" * (LENGTH + 1))
    assert "has 1,000,000 characters" in message("(" * 10**6)


def test_the_depth_is_limited():
    assert parse(" + ".join("a" * DEPTH)).names == {"a"}
    assert "nested more than 50 deep" in message(" + ".join("a" * (DEPTH + 1)))
    assert parse(" and ".join("a" * 300)).names == {"a"}
    assert parse("abs(" * 49 + "a" + ")" * 49)
    assert "nested more than 50 deep" in message("abs(" * 50 + "a" + ")" * 50)


def test_the_number_of_parts_is_limited():
    # 5 parts each: <, +, a, b, c; one more for all of them.
    term = "a+b<c"
    count = (NODES - 1) // 5
    assert parse(" or ".join([term] * count)).names == {"a", "b", "c"}
    assert "more than 1,000 parts" in message(" or ".join([term] * (count + 1)))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1999,
        "[" * 1999,
        "-" * 1999 + "1",
        "~" * 1999 + "1",
        "not " * 499 + "1",
        "1" + "**1" * 660,
        "1" + "+1" * 990,
        "a[" * 990,
        "a" + "[b]" * 600,
        "a" + "." + "b." * 950 + "c()",
        "lambda:" * 280 + "1",
        "1if 1else " * 190 + "1",
        "a<(" * 600,
        "f'{" * 600,
        "f'{f\"{1}\"}'" * 100,
        "sum(" * 499,
        "{" * 1999,
        "x:=" * 600 + "1",
        "await " * 300 + "a",
        "'" * 1999,
        "\\" * 1999,
        "\0",
        "a\0b",
        "\ud800",
        "column('\ud800')",
        "\ufeff1",
        "a\u2028b",
        "a\u00a0+ b",
        "\x1b[31m",
        "1" * 1999,
        "0o8",
        "1__0",
        "1e",
        "0777",
        "'\\x'",
        "'\\N{x}'",
    ],
)
def test_nothing_crashes_the_parser(text):
    str(message(text)).encode()


def test_a_deep_stack_of_the_caller_is_an_error_like_any_other():
    def down(levels):
        return down(levels - 1) if levels else message("-" * 1999 + "1")

    assert down(sys.getrecursionlimit() // 2)


def test_nothing_is_printed_or_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse("column('\\d')").names == {"\\d"}
        assert "where(condition, x, y)" in message("1if 1else 2")


def test_messages_can_be_printed_whatever_is_in_the_text():
    expression = parse(r"column('\ud800\x1b[31m') + 1")
    with pytest.raises(ExpressionError) as caught:
        expression.evaluate({"a": Values(np.zeros(1))}, 1)
    assert str(caught.value).encode()
    assert "\x1b" not in str(caught.value)
    assert "\x1b" not in message("a + \x1b[31m")


WORDS = [*FUNCTIONS, "column", "pt", "Jet.PT", "pi", "nan", "True", "None", "lambda", "if", "else"]
WORDS += [
    "for",
    "in",
    "is",
    "not",
    "and",
    "or",
    "import",
    "await",
    "yield",
    "__class__",
    "x",
    "by=",
]
SIGNS = [*"+-*/%()[]{}<>=!&|^~.,:;@#'\"\\ \n", "**", "//", "==", ":=", "->", "...", "f'", "b'"]
TEXTS = st.one_of(
    st.text(max_size=80),
    st.text(string.printable, max_size=80),
    st.lists(
        st.one_of(st.sampled_from(WORDS + SIGNS), st.integers().map(str), st.floats().map(str)),
        max_size=40,
    ).map(lambda parts: " ".join(parts)),
    st.lists(st.sampled_from(WORDS + SIGNS), max_size=60).map("".join),
    st.tuples(st.sampled_from(SIGNS + WORDS), st.integers(1, 2_100)).map(lambda x: x[0] * x[1]),
)


@settings(max_examples=1_500, deadline=None)
@given(text=TEXTS)
@example("\ud800")
@example("1if_")
@example("sort(pt, by=1and x)")
def test_no_text_raises_anything_but_an_expression_error(text):
    try:
        expression = parse(text)
    except ExpressionError:
        return
    # What passes is a Python expression without anything that acts.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.walk(ast.parse(expression.text, mode="eval"))
    assert not any(isinstance(node, ast.Lambda | ast.NamedExpr | ast.Await) for node in tree)
    columns = {name: Values(np.array([1.0, 2]), np.array([0, 2])) for name in expression.names}
    try:
        result = expression.evaluate(columns, 1)
    except ExpressionError:
        return
    assert isinstance(result.array, np.ndarray)
