import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_expressions import columns, conditions, per_event, per_particle, samples

from omniflow.expressions import Expression, ExpressionError, Values, parse

OFFSETS = np.array([0, 2, 2, 5])
COLUMNS = {
    "pt": Values(np.array([3, 5, 1, 1, 2], np.float32), OFFSETS),
    "eta": Values(np.array([0.5, -3, 2, -0.5, 0]), OFFSETS.copy()),
    "Jet.PT": Values(np.array([4.0, 2]), np.array([0, 1, 2, 2])),
    "met": Values(np.array([1.0, 2, 4])),
    "id": Values(np.array([2**53, 2**53 + 1, 7])),
    "jet pt": Values(np.array([7.0, 8, 9])),
}


def evaluate(text):
    return parse(text).evaluate(COLUMNS, 3)


def message(text, table=COLUMNS, events=3):
    with pytest.raises(ExpressionError) as caught:
        parse(text).evaluate(table, events)
    return str(caught.value)


@settings(max_examples=400, deadline=None)
@given(events=samples(), expression=per_event(3))
def test_numbers_per_event_equal_a_loop_over_events(events, expression):
    text, slow = expression
    result = parse(text).evaluate(columns(events), len(events))
    assert result.offsets is None
    np.testing.assert_array_equal(result.array, [slow(event) for event in events])


@settings(max_examples=300, deadline=None)
@given(
    events=samples(),
    expression=st.one_of(per_particle(3), conditions(3)),
    mask=st.one_of(st.none(), conditions(2)),
)
def test_numbers_per_particle_equal_a_loop_over_events(events, expression, mask):
    text, slow = expression
    expected = [slow(event) for event in events]
    if mask is not None:
        text = f"({text})[{mask[0]}]"
        expected = [
            [value for value, kept in zip(values, mask[1](event), strict=True) if kept]
            for values, event in zip(expected, events, strict=True)
        ]
    result = parse(text).evaluate(columns(events), len(events))
    np.testing.assert_array_equal(result.array, [one for values in expected for one in values])
    np.testing.assert_array_equal(np.diff(result.offsets), [len(values) for values in expected])
    assert result.offsets.dtype == np.int64


@settings(max_examples=50, deadline=None)
@given(events=samples(), expression=per_event(3))
def test_evaluation_repeats_itself_and_changes_nothing(events, expression):
    table = columns(events)
    for values in table.values():
        values.array.flags.writeable = False
        if values.offsets is not None:
            values.offsets.flags.writeable = False
    parsed = parse(expression[0])
    first, second = (parsed.evaluate(table, len(events)).array for _ in range(2))
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    "text", ["eta", "met", "id", "eta[True]", "+met", "jet", "where(True, met, 0)"]
)
def test_results_share_no_memory_with_columns(text):
    table = COLUMNS | {"jet": COLUMNS["Jet.PT"]}
    before = {name: values.array.copy() for name, values in table.items()}
    parse(text).evaluate(table, 3).array[:] = 0
    for name, values in table.items():
        np.testing.assert_array_equal(values.array, before[name])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1 + 2", 3.0), ("pi", np.pi), ("nan", np.nan), ("-inf", -np.inf), ("1 < 2", True), ("7", 7)],
)
def test_constants_are_given_for_each_event(text, expected):
    result = evaluate(text)
    assert result.offsets is None
    np.testing.assert_array_equal(result.array, [expected] * 3)
    assert parse(text).evaluate({}, 0).array.shape == (0,)


def test_numbers_of_events_are_repeated_for_their_particles():
    result = evaluate("pt * met")
    np.testing.assert_array_equal(result.array, [3, 5, 4, 4, 8])
    assert result.offsets is COLUMNS["pt"].offsets


def test_single_precision_becomes_double_before_arithmetic():
    x = np.array([0.1, 0.7], np.float32)
    result = parse("x * x < 0.01").evaluate({"x": Values(x)}, 2)
    np.testing.assert_array_equal(result.array, x.astype(float) ** 2 < 0.01)
    assert parse("x").evaluate({"x": Values(x)}, 2).array.dtype == np.float64


def test_large_integers_are_not_rounded_where_they_are_compared():
    np.testing.assert_array_equal(evaluate("id == 9007199254740993").array, [False, True, False])
    np.testing.assert_array_equal(evaluate("id > 9007199254740992").array, [False, True, False])
    assert evaluate("id").array.dtype == np.int64


def test_masks_make_collections_that_combine_with_their_like():
    result = evaluate("pt[abs(eta) < 1] * eta[abs(eta) < 1]")
    np.testing.assert_array_equal(result.array, [1.5, -0.5, 0])
    np.testing.assert_array_equal(result.offsets, [0, 1, 1, 3])
    np.testing.assert_array_equal(evaluate("pt[pt > 1][met > 1]").array, [2])
    np.testing.assert_array_equal(evaluate("count(pt[met > 2])").array, [0, 0, 3])
    np.testing.assert_array_equal(evaluate("count(pt[False])").array, [0, 0, 0])


def test_columns_of_any_name():
    np.testing.assert_array_equal(evaluate('column("jet pt") + 1').array, [8, 9, 10])
    np.testing.assert_array_equal(evaluate("sum(Jet.PT)").array, [4, 2, 0])


def test_only_the_columns_that_are_needed_are_looked_up():
    class Lazy(dict):
        def __getitem__(self, name):
            asked.append(name)
            return super().__getitem__(name)

    asked = []
    parse("met * met + column('jet pt')").evaluate(Lazy(COLUMNS), 3)
    assert sorted(asked) == ["jet pt", "met"]


def test_expressions_are_equal_if_their_texts_are():
    assert parse(" a +\n1") == parse("a + 1") != parse("a+1")
    assert len({parse("a"), parse("a"), parse("b")}) == 2
    assert parse("a").text == "a"
    assert repr(parse("a")) == "Expression(text='a')"
    assert isinstance(parse("a"), Expression)


def test_an_expression_survives_the_way_to_another_process():
    copy = pickle.loads(pickle.dumps(parse("sum(pt[pt > 1])")))
    assert copy == parse("sum(pt[pt > 1])")
    np.testing.assert_array_equal(copy.evaluate(COLUMNS, 3).array, [8, 0, 2])


def test_an_unknown_column_gets_the_nearest_name_and_what_there_is():
    assert message("sum(ptt) + 1") == (
        "unknown column 'ptt': did you mean pt? "
        "There are pt, eta, Jet.PT, met, id, column('jet pt')\n"
        "    sum(ptt) + 1\n"
        "        ^^^"
    )
    assert "did you mean Jet.PT?" in message("jet.pt")
    assert "did you mean Jet.PT or column('jet pt')?" in message("jet_pt")
    assert "unknown column 'zzz': There are" in message("zzz")
    assert "unknown column 'zzz': there are none" in message("zzz", {})
    assert "the function is written sum(x)" in message("sum + 1")


def test_a_long_list_of_columns_ends_with_a_number():
    table = {f"column_{i}": Values(np.zeros(3)) for i in range(1_300)}
    text = message("zzz", table)
    assert text.splitlines()[0].endswith("column_28, column_29 and 1,270 more")
    assert len(text) < 600


@pytest.mark.parametrize("name", ["pi", "in", "_x", "a.in", "µ", "3d", "a-b", ""])
def test_names_that_are_no_identifiers_are_suggested_in_quotes(name):
    table = {name: Values(np.zeros(3))}
    assert f"column({name!r})" in message("zzz", table)
    assert parse(f"column({name!r})").evaluate(table, 3).array.shape == (3,)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("1 + pt * Jet.PT", "pt * Jet.PT", "pt and Jet.PT are particles of different collections"),
        ("pt < Jet.PT < 3", "pt < Jet.PT < 3", "pt and Jet.PT are particles of different"),
        ("pt[Jet.PT > 3]", "pt[Jet.PT > 3]", "pt and Jet.PT are particles of different"),
        ("pt[pt > 1] * eta", "pt[pt > 1] * eta", "pt[...] and eta are particles of different"),
        ("sort(pt, by=Jet.PT)", "sort(pt, by=Jet.PT)", "pt and Jet.PT are particles of different"),
        ("where(pt > 1, met, Jet.PT)", "where(pt > 1, met, Jet.PT)", "(5 and 2 in 3 events)"),
        ("2 * sum(met)", "sum(met)", "sum runs over the particles of each event"),
        ("count(1)", "count(1)", "count runs over the particles of each event"),
        ("sum(max(pt))", "sum(max(pt))", "one number per event"),
        ("sort(met)", "sort(met)", "sort runs over the particles"),
        ("sort(pt, by=met)", "sort(pt, by=met)", "the key is one number per event"),
        ("pt[pt]", "pt[pt]", "a mask is true or false"),
        ("pt[id & 1]", "pt[id & 1]", "a mask is true or false"),
        ("met[met > 1]", "met[met > 1]", "where(mask, x, nan) blanks"),
        ("any(pt)", "any(pt)", "any needs true or false, but got numbers (float64)"),
        ("all(pt)", "all(pt)", "all needs true or false"),
        ("not met", "not met", "`not` needs true or false"),
        ("met and True", "met and True", "`and` needs true or false"),
        ("where(met, 1, 2)", "where(met, 1, 2)", "where needs true or false"),
        ("pt > 2 & eta < 1", "2 & eta", "binds closer than a comparison"),
        ("~met", "~met", "`~` needs true or false, or integers"),
    ],
)
def test_what_does_not_fit_is_marked(text, place, words):
    first, shown, marks = message(text).splitlines()
    assert words in first
    assert shown[4:] == text
    assert shown[marks.index("^") : len(marks)] == place


def test_columns_that_do_not_fit_the_events_are_named():
    assert "column 'met' has 3 numbers for 4 events" in message("met + 1", COLUMNS, 4)


def test_importing_loads_no_reader_of_files():
    code = "import sys, omniflow.expressions; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(loaded.stdout.split())
    assert "omniflow.expressions.grammar" in modules
    assert not modules & {"pandas", "h5py", "awkward", "scipy", "pydantic", "omniflow.config"}
