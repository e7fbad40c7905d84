"""Random expressions, each with a slow Python function of one event that says what it means."""

import math
import operator

import numpy as np
from hypothesis import strategies as st

from omniflow.expressions import Values

# Few different numbers, so that equal keys and empty masks are frequent.
NUMBERS = st.sampled_from([-3.0, -1.5, -0.5, 0.0, 0.5, 1.0, 2.5, 4.0, 1e300, math.nan, math.inf])
PARTICLES = {"x": NUMBERS, "Jet.y": NUMBERS, "k": st.integers(-3, 3), "flag": st.booleans()}
EVENTS = {"a": NUMBERS, "n": st.integers(-2, 4), "good": st.booleans()}


@st.composite
def samples(draw):
    """Return a list of events: a dict of numbers, and of lists of equal length, each."""
    events = []
    for count in draw(st.lists(st.integers(0, 5), max_size=6)):
        event = {name: draw(values) for name, values in EVENTS.items()}
        for name, values in PARTICLES.items():
            event[name] = draw(st.lists(values, min_size=count, max_size=count))
        events.append(event)
    return events


def columns(events):
    """Return the events as columns."""
    types = {"k": np.int64, "n": np.int32, "flag": bool, "good": bool}
    counts = [len(event["x"]) for event in events]
    result = {}
    for name in EVENTS:
        result[name] = Values(np.array([event[name] for event in events], types.get(name, float)))
    for name in PARTICLES:
        flat = [value for event in events for value in event[name]]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        result[name] = Values(np.array(flat, types.get(name, float)), offsets)
    return result


def _either(function):
    return lambda a, b: math.nan if math.isnan(a) or math.isnan(b) else function(a, b)


ARITHMETIC = {
    "({} + {})": operator.add,
    "({} - {})": operator.sub,
    "({} * {})": operator.mul,
    # Never by zero, whose sign is not defined where it is the smaller of -0 and 0.
    "({} / (abs({}) + 0.5))": lambda a, b: a / (abs(b) + 0.5),
    "minimum({}, {})": _either(min),
    "maximum({}, {})": _either(max),
}
COMPARISONS = {
    "{} < {}": operator.lt,
    "{} <= {}": operator.le,
    "{} > {}": operator.gt,
    "{} >= {}": operator.ge,
    "{} == {}": operator.eq,
    "{} != {}": operator.ne,
}


def mean(values):
    return total(values) / len(values) if values else math.nan


def total(values):
    result = 0.0
    for value in values:
        result += value
    return result


def extreme(function):
    def one(values):
        if not values or any(math.isnan(value) for value in values):
            return math.nan
        return float(function(values))

    return one


def nth(values, k):
    return float(values[k]) if -len(values) <= k < len(values) else math.nan


def by_falling(values, keys):
    """Return `values` by falling keys; a stable sort, NaN last."""
    order = sorted(range(len(keys)), key=lambda i: (math.isnan(keys[i]), -keys[i]))
    return [values[i] for i in order]


REDUCTIONS = {"sum": total, "mean": mean, "max": extreme(max), "min": extreme(min), "count": len}


def _each(function, *parts):
    """Return the function of one event that maps `function` over particles."""

    def slow(event):
        values = [part(event) for part in parts]
        count = next(len(value) for value in values if isinstance(value, list))
        rows = [value if isinstance(value, list) else [value] * count for value in values]
        return [function(*row) for row in zip(*rows, strict=True)]

    return slow


def _once(function, *parts):
    return lambda event: function(*(part(event) for part in parts))


def _float(name):
    def slow(event):
        value = event[name]
        return [float(one) for one in value] if isinstance(value, list) else float(value)

    return slow


@st.composite
def per_particle(draw, depth):
    """Return text and slow function of a number per particle."""
    kind = draw(st.sampled_from(["column", "pair", "abs", "where", "sort", "by"]))
    if depth == 0 or kind == "column":
        name = draw(st.sampled_from(["x", "Jet.y", "k"]))
        return name, _float(name)
    text, slow = draw(per_particle(depth - 1))
    if kind == "abs":
        return f"abs({text})", _each(abs, slow)
    if kind == "sort":
        return f"sort({text})", _once(by_falling, slow, slow)
    other_text, other = draw(per_particle(depth - 1))
    if kind == "by":
        return f"sort({text}, by={other_text})", _once(by_falling, slow, other)
    if kind == "where":
        condition, truth = draw(conditions(depth - 1))
        choose = _each(lambda c, a, b: a if c else b, truth, slow, other)
        return f"where({condition}, {text}, {other_text})", choose
    if draw(st.booleans()):
        other_text, other = draw(per_event(depth - 1))
    form = draw(st.sampled_from(list(ARITHMETIC)))
    if draw(st.booleans()):
        return form.format(text, other_text), _each(ARITHMETIC[form], slow, other)
    return form.format(other_text, text), _each(ARITHMETIC[form], other, slow)


@st.composite
def conditions(draw, depth):
    """Return text and slow function of true or false per particle."""
    kind = draw(st.sampled_from(["flag", "compare", "chain", "not", "and", "|", "isnan"]))
    if depth == 0 or kind == "flag":
        return "flag", lambda event: event["flag"]
    if kind == "not":
        text, slow = draw(conditions(depth - 1))
        return f"(not {text})", _each(operator.not_, slow)
    if kind in ("and", "|"):
        (a, first), (b, second) = draw(conditions(depth - 1)), draw(conditions(depth - 1))
        function = operator.and_ if kind == "and" else operator.or_
        return f"(({a}) {kind} ({b}))", _each(function, first, second)
    text, slow = draw(per_particle(depth - 1))
    if kind == "isnan":
        return f"isnan({text})", _each(math.isnan, slow)
    other_text, other = draw(per_event(depth - 1))
    if kind == "chain":
        chain = _each(lambda a, b: -1 <= a < b, slow, other)
        return f"(-1 <= {text} < {other_text})", chain
    form = draw(st.sampled_from(list(COMPARISONS)))
    return f"({form.format(text, other_text)})", _each(COMPARISONS[form], slow, other)


@st.composite
def per_event(draw, depth):
    """Return text and slow function of a number per event."""
    kind = draw(st.sampled_from(["column", "number", "pair", "reduce", "nth", "any", "true"]))
    if depth == 0 or kind == "column":
        name = draw(st.sampled_from(["a", "n"]))
        return name, _float(name)
    if kind == "number":
        return "2.5", lambda event: 2.5
    if kind == "pair":
        form = draw(st.sampled_from(list(ARITHMETIC)))
        (a, first), (b, second) = draw(per_event(depth - 1)), draw(per_event(depth - 1))
        return form.format(a, b), _once(ARITHMETIC[form], first, second)
    condition, truth = draw(conditions(depth - 1))
    if kind == "true":
        return f"sum({condition})", _once(total, truth)
    if kind == "any":
        word = draw(st.sampled_from(["any", "all"]))
        function = any if word == "any" else all
        return (
            f"where({word}({condition}), a, -1)",
            lambda event: float(event["a"]) if function(truth(event)) else -1.0,
        )
    text, slow = draw(per_particle(depth - 1))
    if draw(st.booleans()):
        text, slow = f"({text})[{condition}]", _masked(slow, truth)
    if kind == "nth":
        k = draw(st.integers(-3, 3))
        return f"nth({text}, {k})", _once(lambda values: nth(values, k), slow)
    name = draw(st.sampled_from(list(REDUCTIONS)))
    return f"{name}({text})", _once(lambda values: float(REDUCTIONS[name](values)), slow)


def _masked(slow, truth):
    return lambda event: [
        value for value, kept in zip(slow(event), truth(event), strict=True) if kept
    ]
