import pytest

from omniflow.errors import ConfigError
from omniflow.expressions.errors import ExpressionError, listing, marked, nearest


def test_it_is_an_error_of_the_configuration():
    assert issubclass(ExpressionError, ConfigError)


@pytest.mark.parametrize(
    ("text", "start", "stop", "shown", "marks"),
    [
        ("a + b", 4, 5, "a + b", "    ^"),
        ("a + b", 0, 5, "a + b", "^^^^^"),
        ("a +", 3, 3, "a +", "   ^"),
        ("a +", 99, 120, "a +", "   ^"),
        ("a", -1, 1, "a", "^"),
        ("x" * 200, 100, 102, "…" + "x" * 100 + "…", " " * 41 + "^^"),
        ("x" * 200, 0, 200, "x" * 60 + "…", "^" * 60),
        ("\x1b\ud800a", 2, 3, "��a", "  ^"),
    ],
)
def test_the_place_is_marked(text, start, stop, shown, marks):
    assert str(marked("wrong", text, start, stop)) == f"wrong\n    {shown}\n    {marks}"


def test_near_names():
    assert nearest("ptt", ["pt", "eta", "phi"]) == ["pt"]
    assert nearest("JET.pt", ["Jet.PT", "jet.pt", "Jet.Eta"], 2) == ["Jet.PT", "jet.pt"]
    assert nearest("zzz", ["pt"]) == []
    assert nearest("pt", []) == []


def test_lists_of_names_are_short():
    assert listing(["a", "b"]) == "a, b"
    names = [f"n{i}" for i in range(2_031)]
    assert listing(names[:30]) == ", ".join(names[:30])
    assert listing(names) == ", ".join(names[:30]) + " and 2,001 more"
