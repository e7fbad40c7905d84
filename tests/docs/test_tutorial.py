"""The Python of the tutorial runs, and what it unfolds can be published as its page says."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from omniflow.export.bundle import write

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tutorial_runs_and_its_weights_can_be_published(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    blocks = re.findall(
        r"```python\n(.*?)```", (DOCS / "tutorial.md").read_text("utf-8"), re.DOTALL
    )
    assert len(blocks) == 3
    # Half the events, and a third of the training.
    for many, few in (("jets(5000", "jets(2500"), ("jets(10000", "jets(5000")):
        assert many in blocks[0]
        blocks[0] = blocks[0].replace(many, few)
    assert '"epochs": 8' in blocks[1]
    blocks[1] = blocks[1].replace('"epochs": 8', '"epochs": 3')
    for block in blocks:
        exec(compile(block, "tutorial.md", "exec"), names)
    assert (tmp_path / "report.html").is_file()

    # What the tutorial says of its result: closer to truth than before, within statistics.
    summary = names["result"].summary
    mass = summary[(summary["observable"] == "mass") & (summary["iteration"] == 2)].iloc[0]
    assert mass["td"] < 2 * mass["td_floor"] < mass["td_prior"]

    # Any tool that reads Parquet and YAML.
    folder = write(names["result"], output=tmp_path / "bundle").folder
    events = pd.read_parquet(folder / "events.parquet")
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text("utf-8"))
    weights = events[metadata["weights"]["nominal"]]
    content = np.histogram(events["mass"], names["edges"], weights=weights)[0]
    np.testing.assert_allclose(content, names["unfolded"].values(), rtol=1e-6)
    assert len(metadata["weights"]["families"]["passes"]["columns"]) == 2
