"""The size of a study from Python is what `omniflow plan` prints."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import omniflow
from omniflow.cli import main
from omniflow.errors import ConfigError

DEMO = Path(__file__).parents[2] / "config" / "demo.yaml"


def test_numbers_are_those_of_the_command():
    size = omniflow.plan(DEMO)
    printed = " ".join(CliRunner().invoke(main, ["plan", str(DEMO)]).output.split())
    networks, jobs = re.search(r"([\d,]+) networks in ([\d,]+) jobs", printed).groups()
    assert size.networks == int(networks.replace(",", ""))
    trained = sum(size.jobs.get(r, 0) for r in ("train", "pretrain", "second_classifier", "oracle"))
    assert trained == int(jobs.replace(",", ""))
    assert f"{size.core_hours:,.1f} core hours" in printed
    assert f"{size.files:,} files with" in printed
    assert f"{sum(size.jobs.values()) + 1:,} jobs of" in printed


def test_a_file_on_top_and_more_workers():
    small = omniflow.plan(DEMO, rate=1e9)
    assert small.core_hours < omniflow.plan(DEMO, rate=1e3).core_hours
    assert small.wall_hours(64) <= small.wall_hours(1)
    assert "Study demo: " in repr(small)
    with pytest.raises(ConfigError, match="needs 1 workers"):
        small.wall_hours(0)


def test_what_is_no_configuration():
    with pytest.raises(ConfigError, match="study: is required"):
        omniflow.plan({"methods": {"none": {}}})
