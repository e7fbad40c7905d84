"""The Python of the tutorial runs, and what it unfolds can be published as its page says."""

import re
from pathlib import Path

import h5py
import numpy as np

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tutorial_runs_and_its_weights_can_be_published(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for page, count in (("tutorial.md", 3), ("publish.md", 1)):
        blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
        assert len(blocks) == count
        for block in blocks:
            exec(compile(block, page, "exec"), names)
    assert (tmp_path / "report.html").is_file()

    # What the tutorial says of its result: closer to truth than before, within statistics.
    summary = names["result"].summary
    mass = summary[(summary["observable"] == "mass") & (summary["iteration"] == 2)].iloc[0]
    assert mass["td"] < 2 * mass["td_floor"] < mass["td_prior"]

    with h5py.File(tmp_path / "weights.h5") as file:
        column = list(file.attrs["columns"]).index("mass")
        values, weights = file["particle"][:, column], file["weight"][:]
        assert file["weight_passes"].shape == (2, 10000)
    content = np.histogram(values, names["edges"], weights=weights)[0]
    np.testing.assert_allclose(content, names["unfolded"].values())
