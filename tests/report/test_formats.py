import math

import numpy as np
import pandas as pd
import pytest

from omniflow.report import formats


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.4567, 0.0123, "0.457 ± 0.012"),
        (0.4567, 0.062, "0.46 ± 0.06"),
        (12.34, 1.2, "12.3 ± 1.2"),
        (-0.5, 0.1, "−0.50 ± 0.10"),
        (0.5, math.nan, "0.500"),
        (math.nan, 1.0, "–"),
    ],
)
def test_pair(value, error, text):
    assert formats.pair(value, error).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.012345, "0.0123"), (1234.5, "1 230"), (1.5e-8, "1.50×10⁻⁸"), (math.inf, "–")],
)
def test_number(value, text):
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.21, "3.2 s"), (59.4, "59 s"), (59.97, "1 min 0 s"), (3599.7, "1 h 0 min"),
     (41832, "11 h 37 min")],
)  # fmt: skip
def test_duration(seconds, text):
    assert formats.duration(seconds) == text


def test_tint_is_white_at_equality_and_symmetric():
    assert formats.tint(0.0) == "#ffffff"
    assert formats.tint(-2) == formats.tint(-5) == "#66aad1"  # 60% of #0072b2 on white
    assert formats.tint(2) == "#e69e66"  # 60% of #d55e00 on white


def test_ten_methods_look_different():
    looks = formats.looks([f"m{i}" for i in range(10)])
    assert len(set(looks.values())) == 10
    assert formats.looks(["a", "b"])["a"] == looks["m0"]


def test_listing():
    assert formats.listing(["a"]) == "a"
    assert formats.listing(["a", "b", "c"]) == "a, b and c"


def test_a_table_as_it_is():
    frame = pd.DataFrame({"method": ["none", ""], "events": [12345, 1], "auc": [0.51234, np.nan]})
    frame["stop"] = pd.array([3, None], dtype="Int64")
    header, rows = formats.cells(frame)
    assert header == ["method", "events", "auc", "stop"]
    assert rows == [["none", "12\u202f345", "0.512", "3"], ["–", "1", "–", "–"]]
