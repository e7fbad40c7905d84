import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser
from toy_level import LEVEL

from omniflow.errors import ConfigError
from omniflow.expressions import ExpressionError
from omniflow.observables import (
    JetDefinition,
    Observable,
    Quantiles,
    from_expression,
    from_function,
)
from omniflow.observables.compute import compute
from omniflow.observables.jets import GROOMED, PROPERTIES, SoftDrop
from omniflow.observables.observable import from_jets, in_latex

ANTIKT = JetDefinition("antikt", 0.4, 5.0)


def values(observable):
    found = compute(LEVEL, [observable])[observable.name]
    return found.event_index.tolist(), found.value.tolist()


def test_labels_default_to_the_name():
    found = from_expression("H_T", "sum(pt)", edges=(0, 1, 2.5))
    assert (found.label, found.latex, found.unit) == ("H_T", r"$\text{H\_T}$", "")
    assert found.edges == (0.0, 1.0, 2.5)
    assert from_expression("ht", "sum(pt)").edges == Quantiles(20)
    labelled = from_expression("ht", "sum(pt)", label="H_T", latex="$H_T$")
    assert (labelled.label, labelled.latex) == ("H_T", "$H_T$")


@pytest.mark.parametrize("text", ["a_b", "50% of {x}", "#1 & $2", "Ω → η", r"a\b^c~d", "p_T"])
def test_plain_text_is_understood_by_matplotlib(text):
    glyphs = MathTextParser("path").parse(in_latex(text))[3]
    shown = "".join(chr(glyph[2]) for glyph in glyphs).replace(" ", "")
    assert shown == "".join(c for c in text if c not in r" \^~")


def test_expressions():
    assert values(from_expression("met", "met")) == ([0, 1, 2], [10, 20, 30])
    # an event without particles has no first one
    assert values(from_expression("lead", "first(sort(pt))")) == ([0, 2], [30, 50])
    assert values(from_expression("pt", "pt[pt > 10]")) == ([0, 0, 2], [30, 20, 50])
    assert values(from_expression("n", "count(pt)")) == ([0, 1, 2], [3, 0, 1])
    assert values(from_expression("any", "any(pt > 40)")) == ([0, 1, 2], [0, 0, 1])
    with pytest.raises(ExpressionError, match="sum"):
        from_expression("ht", "sum(")


def test_expressions_of_jets():
    assert values(from_expression("ht", "sum(jets.pt)", jets=ANTIKT)) == ([0, 1, 2], [58, 0, 50])
    found = values(from_expression("central", "jets.pt[abs(jets.eta) < 1.5]", jets=ANTIKT))
    assert found == ([0, 2], [50, 50])
    soft = from_expression("zg", "jets.zg", jets=ANTIKT)
    assert values(soft)[1] == pytest.approx([0.4])
    hard = from_expression("zg", "jets.zg", jets=ANTIKT, soft_drop=SoftDrop(0.45))
    assert values(hard) == ([], [])
    # columns of the sample are there, too
    ratio = from_expression("r", "jets.pt / met", jets=ANTIKT)
    assert values(ratio)[1] == pytest.approx([5, 0.8, 50 / 30])


@pytest.mark.parametrize("name", PROPERTIES)
def test_jets_have_every_property(name):
    index, value = values(from_jets("x", name, ANTIKT))
    whole, found = values(from_expression("x", f"jets.{name}", jets=ANTIKT))
    assert (index, value) == (whole, found)
    leading = values(from_jets("x", name, ANTIKT, leading=True))
    first = values(from_expression("x", f"first(jets.{name})", jets=ANTIKT))
    assert leading == first
    assert set(GROOMED) <= set(PROPERTIES)


def test_jets_by_hand():
    assert values(from_jets("pt", "pt", ANTIKT)) == ([0, 0, 2], [50, 8, 50])
    assert values(from_jets("n", "multiplicity", ANTIKT)) == ([0, 0, 2], [2, 1, 1])
    assert values(from_jets("n", "multiplicity", ANTIKT, leading=True)) == ([0, 2], [2, 1])
    with pytest.raises(ConfigError, match="jets have no 'tau12': did you mean 'tau"):
        from_jets("x", "tau12", ANTIKT)


def test_functions_of_a_level():
    assert values(from_function("n", lambda level: level.counts)) == ([0, 1, 2], [3, 0, 1])
    found = from_function("pt", lambda level: ([0, 2, 2], [1.5, np.nan, 4.0]))
    assert values(found) == ([0, 2], [1.5, 4.0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "names are letters"),
        ({"name": ""}, "names are letters"),
        ({"kind": "jet"}, "kind `jet` needs `jets`"),
        ({"edges": (1.0,)}, "at least two bin edges are needed, not 1"),
        ({"edges": (1.0, 2.0, 2.0)}, "must increase strictly, but 2 follows 2"),
        ({"edges": (0.0, np.inf)}, "must be finite"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Observable(**({"name": "x", "compute": lambda chunk: None} | changes))


def test_no_quantiles_are_refused():
    with pytest.raises(ConfigError, match="at least one bin, not 0"):
        Quantiles(0)
