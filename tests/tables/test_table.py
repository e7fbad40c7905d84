import numpy as np
import pandas as pd
import pytest

from omniflow.errors import InputError
from omniflow.tables.table import Table, number, text, whole

TABLE = Table(
    "lanes.csv",
    "lanes of methods",
    columns=(
        text("method", "its name"),
        whole("lane", "its number"),
        whole("stop", "where it stopped", empty=True),
        number("loss", "its loss"),
    ),
    key=("method", "lane"),
)
ROWS = [
    {"method": "none", "lane": 0, "stop": 3, "loss": 0.1},
    {"method": "more", "lane": 1, "stop": None, "loss": np.nan},
]
CSV = "method,lane,stop,loss\nnone,0,3,0.1\nmore,1,,\n"


def test_columns_have_the_declared_order_and_types():
    shuffled = [{name: row[name] for name in reversed(row)} for row in ROWS]
    frame = TABLE.build(shuffled)
    assert frame.to_csv(index=False) == CSV
    assert [str(dtype) for dtype in frame.dtypes] == ["object", "int64", "Int64", "float64"]
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    for rows in (columns, pd.DataFrame(ROWS, index=[7, 7])):
        pd.testing.assert_frame_equal(TABLE.build(rows), frame)


@pytest.mark.parametrize("rows", [[], pd.DataFrame(), pd.DataFrame({"lane": []})])
def test_without_rows_there_are_columns_and_types(rows):
    frame = TABLE.build(rows)
    assert list(frame) == TABLE.names
    assert frame["loss"].dtype == float
    assert frame.empty


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lane": 0.5}, r"lanes\.csv: column lane, row 1: 0\.5, not a whole number$"),
        ({"lane": None}, "column lane, row 1: nan, not a whole number"),
        ({"stop": 1.5}, "column stop, row 1: 1.5, not a whole number or empty"),
        ({"loss": "low"}, "column loss, row 1: 'low', not a number"),
        ({"method": None}, "column method, row 1: None, not text"),
        ({"method": 3}, "column method, row 1: 3, not text"),
        ({"method": "none", "lane": 0}, "more than one row for method none, lane 0"),
        ({"more": 1, "most": 2}, "columns more, most are unknown"),
    ],
)
def test_rows_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TABLE.build([ROWS[0], ROWS[1] | changes])


def test_missing_columns_are_refused():
    with pytest.raises(ValueError, match=r"lanes\.csv: column loss is missing"):
        TABLE.build(pd.DataFrame(ROWS).drop(columns="loss"))


def test_what_is_written_is_read_back_to_the_bit(tmp_path):
    rng, path = np.random.default_rng(1), tmp_path / "lanes.csv"
    loss = rng.normal(size=400) * 10.0 ** rng.integers(-300, 300, 400)
    rows = {"method": 'a,"b"\né', "lane": np.arange(400), "stop": None, "loss": loss}
    frame = TABLE.build(pd.DataFrame(rows).assign(loss=[np.inf, *loss[1:-1], np.nan]))
    TABLE.write(frame, path)
    pd.testing.assert_frame_equal(TABLE.read(path), frame)


def test_the_order_of_columns_in_a_file_is_free(tmp_path):
    path = tmp_path / "lanes.csv"
    TABLE.build(ROWS)[["loss", "stop", "lane", "method"]].to_csv(path, index=False)
    pd.testing.assert_frame_equal(TABLE.read(path), TABLE.build(ROWS))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"lanes\.csv: not a CSV table"),
        (b"\xff\xfe\x00", "not a CSV table"),
        ("method,lane,stop\nnone,0,3\n", "column loss is missing"),
        (CSV.replace("\n", ",1\n").replace("loss,1", "loss,gain"), "column gain is unknown"),
        (CSV.replace("stop", "lane"), "columns stop are missing|column stop is missing"),
        (CSV.replace("\n", ",1\n").replace("loss,1", "loss,lane"), "column lane is given twice"),
        (CSV + "more,2\n", "line 4 has 2 cells, and there are 4 columns"),
        (CSV + "more,2,,1,1\n", "line 4 has 5 cells"),
        (CSV.replace("0.1", "0.1,5"), "line 2 has 5 cells"),
        (CSV + "\n", "line 4 has 0 cells"),
        (CSV + '"more,2,,1\n', "not a CSV table"),
        (CSV + "more,\0,,1\n", "not a CSV table|column lane, line 4"),
        (CSV + "more,1.5,,1\n", r"lanes\.csv: column lane, line 4: '1\.5', not a whole number"),
        (CSV + "more,1e300,,1\n", "column lane, line 4: '1e300', not a whole number"),
        (CSV + "more,,,1\n", "column lane, line 4: '', not a whole number"),
        (CSV + "more,2,x,1\n", "column stop, line 4: 'x', not a whole number or empty"),
        (CSV + "more,2,,1_0\n", "column loss, line 4: '1_0', not a number"),
        (CSV + "none,0,,1\n", "more than one row for method none, lane 0"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, content, message):
    path = tmp_path / "lanes.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        TABLE.read(path)


def test_numbers_of_hundreds_of_digits_in_the_exponent_are_read(tmp_path):
    """pandas' own conversion ends the process."""
    path = tmp_path / "lanes.csv"
    path.write_text(CSV + "more,2,,-0.15909090909090911e-9990253099173553719\n")
    assert TABLE.read(path)["loss"].iloc[-1] == 0


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"lanes\.csv: cannot be read .*run the evaluation"):
        TABLE.read(tmp_path / "lanes.csv")
