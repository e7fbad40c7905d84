"""docs/study: its tables are those of the kept numbers, and how ratios are worded."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

STUDY = Path(__file__).parents[2] / "benchmarks" / "study"


def _script(name):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages():
    return _script("pages")


def test_tables_of_the_page_are_those_of_the_kept_numbers(pages):
    text = pages.PAGE.read_text("utf-8")
    assert pages.MARK.search(text)
    assert text.count("<!-- table ") == len(pages.MARK.findall(text))
    assert pages.filled(text) == text


def test_the_answer_is_the_weighted_mean_of_all_pairs_of_samples(pages):
    """Step over parallel at equal epochs, as README, advice and page quote it."""
    found = []
    for events in pages.EVENTS:
        tables = pages.Tables(f"{events}-strategies")
        row = tables.ratio("step", "parallel", "sigma_rel").loc[""]
        epochs = [tables.cost(each)["epochs_per_pass"] for each in ("step", "parallel")]
        ratio = row["ratio"] * np.sqrt(epochs[0] / epochs[1])
        found.append((ratio, ratio * row["log_error"]))
    ratios, errors = np.array(found).T
    weights = errors**-2
    mean, error = np.average(ratios, weights=weights), weights.sum() ** -0.5
    quoted = f"{mean:.2f} ± {error:.2f}"
    for place in ("README.md", "docs/strategies.md", "docs/study/README.md"):
        assert quoted in (STUDY.parents[1] / place).read_text("utf-8"), (place, quoted)
    assert np.sum(weights * (ratios - mean) ** 2) < 3 * len(found)  # they agree


def test_a_number_that_was_changed_by_hand_is_seen(pages):
    text = pages.PAGE.read_text("utf-8")
    first = pages.MARK.search(text)
    changed = text.replace(first[0], first[0].replace("±", "+-", 1), 1)
    assert changed != text
    assert pages.filled(changed) == text


def test_ratios_can_be_read_either_way(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "STUDY", tmp_path)
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "x-ratios.csv").write_text(
        "iteration,method,against,metric,observable,ratio,log_error,p_value,passes\n"
        "2,b,a,sigma_rel,,0.5,0.1,0.01,8\n2,b,a,sigma_rel,m,0.4,0.2,0.5,8\n"
    )
    tables = pages.Tables("x")
    assert pages.cell(tables.ratio("b", "a", "sigma_rel")) == "0.50 ± 0.05 *"
    assert pages.cell(tables.ratio("a", "b", "sigma_rel")) == "2.00 ± 0.20 *"
    assert tables.ratio("b", "a", "sigma_rel").loc["m", "ratio"] == 0.4
    assert tables.names == ["a", "b"]
    with pytest.raises(ValueError, match="x has no ratio of c to a"):
        tables.ratio("c", "a", "sigma_rel")


def test_pairs_of_methods_have_known_ratios():
    collect = _script("collect")
    rng = np.random.default_rng(1)
    observable = np.repeat([0, 1], 30)
    one = rng.normal(0, 0.01, (19, 60))
    both = {"names": ["", "u", "v"], "sigma_rel": (one, observable), "rel_mse": (one, observable)}
    half = both | {"sigma_rel": (one / 2, observable), "rel_mse": (one / 2, observable)}
    rows = {(row["metric"], row["observable"]): row for row in collect.pair(half, both)}
    assert rows["sigma_rel", ""]["ratio"] == pytest.approx(0.5)
    assert rows["rel_mse", "u"]["ratio"] == pytest.approx(0.25)
    assert rows["sigma_rel", ""]["passes"] == 20
    assert rows["rel_mse", ""]["passes"] == 19


def test_methods_of_several_studies_are_called_by_what_tells_these_apart():
    collect = _script("collect")
    one = Path("results/study-optimizers")
    others = [Path("results/study-optimizers-lion"), Path("results/long/study-optimizers")]
    found = [collect.label(path, [one, *others]) for path in (one, *others)]
    assert found == ["", "lion/", "long/"]
