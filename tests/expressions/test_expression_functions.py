import math
from pathlib import Path

import numpy as np
import pytest

from omniflow.expressions import ExpressionError, Values, parse
from omniflow.expressions.functions import EACH, EVENT, FUNCTIONS, table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/expressions.md").read_text()
X = np.array([-np.inf, -2.5, -1, -0.5, 0, 0.25, 1, 1.5, 2.5, 710, np.inf, np.nan])
SAME_AS_NUMPY = [
    name
    for name, function in FUNCTIONS.items()
    if function.runs_over == EACH and function.arguments == ("x",)
]


def evaluate(text, **arrays):
    columns = {name: Values(np.asarray(array)) for name, array in arrays.items()}
    return parse(text).evaluate(columns, len(next(iter(columns.values())).array)).array


@pytest.mark.parametrize("name", SAME_AS_NUMPY)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, bool])
def test_functions_of_one_number_are_those_of_numpy_in_double_precision(name, dtype):
    x = X if dtype in (np.float64, np.float32) else np.array([0, 1, 1])
    x = x.astype(dtype)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x.astype(np.float64))
    result = evaluate(f"{name}(x)", x=x)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == (bool if name.startswith("is") else np.float64)


@pytest.mark.parametrize("name", ["arctan2", "hypot", "minimum", "maximum"])
def test_functions_of_two_numbers_are_those_of_numpy(name):
    a, b = (grid.ravel() for grid in np.meshgrid(X, X))
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(a, b)
    np.testing.assert_array_equal(evaluate(f"{name}(a, b)", a=a, b=b), expected)


def test_clip():
    np.testing.assert_array_equal(evaluate("clip(x, -1, 2)", x=X), np.clip(X, -1, 2))


def test_wrap_gives_the_bits_of_its_formula():
    angle = np.random.default_rng(1).uniform(-20, 20, 10_000)
    angle = np.concatenate([angle, np.pi * np.arange(-5, 6), [0.0, -0.0, np.inf, np.nan]])
    with np.errstate(invalid="ignore"):
        expected = np.pi - np.mod(np.pi - angle, 2 * np.pi)
    result = evaluate("wrap(x)", x=angle)
    assert result.tobytes() == expected.tobytes()
    finite = result[np.isfinite(result)]
    assert finite.min() > -np.pi
    assert finite.max() == np.pi


def test_where_takes_the_side_that_the_condition_says():
    x = np.array([-1.0, 4.0, np.nan])
    np.testing.assert_array_equal(evaluate("where(x > 0, sqrt(x), -1)", x=x), [-1, 2, -1])


def test_where_keeps_integers_and_conditions():
    ids = np.array([2**53 + 1, 2**62 + 1])
    result = evaluate("where(x > 9007199254740993, x, -1)", x=ids)
    np.testing.assert_array_equal(result, [-1, 2**62 + 1])
    assert result.dtype == np.int64
    assert evaluate("where(x > 1, x > 2, False)", x=ids).dtype == bool
    assert evaluate("where(x > 1, x, 0.5)", x=ids).dtype == np.float64


def test_the_registry_says_how_each_function_is_called():
    sort, clip = FUNCTIONS["sort"], FUNCTIONS["clip"]
    assert (sort.arguments, sort.options) == (("x",), ("by",))
    assert (clip.arguments, clip.options) == (("x", "low", "high"), ())
    for name, function in FUNCTIONS.items():
        assert name.isidentifier()
        assert function.signature.startswith(name + "(")
        assert function.runs_over in (EACH, EVENT)
        assert "\n" not in function.summary


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_every_function_works_on_an_event_without_particles_and_on_no_event(function):
    count = len(function.arguments)
    arguments = ["x > 1" if name == "condition" else "x" for name in function.arguments]
    if function.name == "nth":
        arguments[1] = "0"
    assert len(arguments) == count
    expression = parse(f"{function.name}({', '.join(arguments)})")
    for offsets in ([0], [0, 0], [0, 1, 1]):
        columns = {"x": Values(np.ones(offsets[-1]), np.array(offsets))}
        result = expression.evaluate(columns, len(offsets) - 1)
        events = result.offsets is None
        assert events == (function.runs_over == EVENT and function.name != "sort")
        assert len(result.array) == (len(offsets) - 1 if events else offsets[-1])


def test_the_page_lists_the_functions_of_the_registry():
    assert f"\n\n{table()}\n\n" in PAGE


def _examples():
    return [block.split("\n```")[0] for block in PAGE.split("```\n")[1::2]][:5]


def _example_columns():
    jets, muons = np.array([0, 3, 3, 5]), np.array([0, 2, 3, 3])
    table = {
        "Jet_pt": ([50, 90, 40, 35, 20], jets),
        "Jet_eta": ([1.0, 3.0, -2.0, 0.0, 1.0], jets),
        "Jet_phi": ([0.1, -3.0, 0.2, 1.0, 2.0], jets),
        "Jet_btag": ([0.9, 0.9, 0.1, 0.8, 0.9], jets),
        "Jet_id": ([2, 6, 6, 0, 0], jets),
        "Muon_pt": ([30, 45, 20], muons),
        "Muon_eta": ([0.5, -1.0, 0.0], muons),
        "Muon_phi": ([0.0, 2.5, 1.0], muons),
        "MET_phi": ([3.0, 1.0, -1.0], None),
    }
    return {name: Values(np.array(array), offsets) for name, (array, offsets) in table.items()}


def test_the_examples_of_the_page_give_what_it_says():
    columns = _example_columns()
    ht, leading, tagged, mass, angle = (
        parse(text).evaluate(columns, 3).array for text in _examples()
    )
    np.testing.assert_array_equal(ht, [90, 0, 55])
    np.testing.assert_array_equal(leading, [50, np.nan, np.nan])
    np.testing.assert_array_equal(tagged, [2, 0, 1])
    np.testing.assert_allclose(angle, [2 * np.pi - 6, np.nan, 2.0])
    momenta = [
        np.array([pt * math.cosh(eta), pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta)])
        for pt, eta, phi in ((30, 0.5, 0.0), (45, -1.0, 2.5))
    ]
    energy, *momentum = sum(momenta)
    np.testing.assert_allclose(mass[0], math.sqrt(energy**2 - sum(p**2 for p in momentum)))
    assert np.isnan(mass[1:]).all()


def test_the_message_on_the_page_is_the_one_that_is_given():
    columns = {name: Values(np.zeros(0), np.array([0])) for name in ("pt", "eta", "phi")}
    with pytest.raises(ExpressionError) as caught:
        parse("sum(ptt)").evaluate(columns, 0)
    assert "\n".join("    " + line for line in str(caught.value).splitlines()) in PAGE


def test_the_python_of_the_page_runs():
    code = PAGE.split("```python\n")[1].split("```")[0]
    names = {}
    exec(code, names)
    result = names["parse"]("sum(pt)").evaluate(names["columns"], 3).array
    np.testing.assert_array_equal(result, [50, 0, 50])
