from pathlib import Path
from typing import ClassVar, Literal

import awkward as ak
import numpy as np
import pytest
import uproot

from omniflow.config import validate
from omniflow.forecast import forecast
from omniflow.physics.dis.h1 import H1
from omniflow.unfolding import occupancy
from omniflow.unfolding.estimate import trained_events
from omniflow.unfolding.plan import Plan

DATA = Path(__file__).parents[1] / "data"
LEVEL = {"event": ["met"], "particles": {"pt": "jet"}}


def _sample(folder, name="simulation", counts=(3, 0, 1, 2), met=(5, 15, 25, 35), **more):
    """A sample of records with so many jets each; those with met below 10 fail."""
    with uproot.recreate(folder / f"{name}.root") as file:
        jets = ak.unflatten(np.ones(sum(counts), np.float32), counts)
        file["t"] = {"met": np.array(met, float), "jet": jets, "number": np.arange(len(counts))}
    detector = LEVEL | {"selection": "met > 10"}
    particle = LEVEL | {"selection": "met > 20"}
    found = {"source": "root", "files": [str(folder / f"{name}.root")], "detector": detector}
    return found | {"particle": particle} | more


def _plan(data, simulation, **more):
    return Plan(
        validate(
            {
                "study": {"name": "s"},
                "samples": {"data": data, "simulation": simulation},
                "methods": {"none": {}},
                **more,
            }
        )
    )


def _absent(sample):
    """The sample where its files are not there."""
    return sample | {"files": ["absent.root"], "events": 9}


def _of(folder, **more):
    sample = _sample(folder, **more)
    return occupancy.of(_plan(_absent(_sample(folder)), sample).samples["simulation"])


def test_records_of_files_are_counted(tmp_path):
    found = _of(tmp_path)
    # Of four records three pass with 0 + 1 + 2 jets; all of them have 6 at particle level.
    assert found.particles == {"detector": 1.0, "particle": 1.5}
    assert found.passing == {"detector": 0.75, "particle": 0.5}
    assert found.records == 4


def test_records_that_a_preselection_leaves_out_fail(tmp_path):
    found = _of(tmp_path, preselection="met < 30")
    assert found.passing == {"detector": 0.5, "particle": 0.25}
    assert found.particles["particle"] == pytest.approx(4 / 3)


def test_real_data_have_no_particle_level(tmp_path):
    simulation, data = _absent(_sample(tmp_path)), _sample(tmp_path)
    del data["particle"]
    found = occupancy.of(_plan(data, simulation).samples["data"])
    assert (found.particles["particle"], found.passing["particle"]) == (0, 0)


def test_tables_that_are_joined_are_read_where_they_are_small(tmp_path, monkeypatch):
    _sample(tmp_path, "truth", counts=(1, 1, 1, 1, 1), met=(30, 30, 30, 30, 0))
    particle = LEVEL | {"files": [str(tmp_path / "truth.root")], "selection": "met > 20"}
    sample = {"particle": particle, "id": ["number"]}
    assert _of(tmp_path, **sample).passing == {"detector": 0.6, "particle": 0.8}
    monkeypatch.setattr(occupancy, "BYTES", 10)
    assert _of(tmp_path, **sample).records == 0


def test_without_files_it_is_what_the_source_takes_for_usual(tmp_path):
    plan = _plan(_absent(_sample(tmp_path)), _absent(_sample(tmp_path)) | {"skip": 9})
    assert plan.occupancy("simulation").passing == {"detector": 1.0, "particle": 1.0}
    assert plan.occupancy("simulation").particles == {"detector": 20.0, "particle": 20.0}
    assert "Taken for granted: 20 particles per event, 100% of" in _printed(plan)


def test_damaged_files_are_no_error_here(tmp_path):
    sample = _sample(tmp_path)
    Path(sample["files"][0]).write_bytes(b"root and nothing else")
    plan = _plan(_absent(_sample(tmp_path, "data")), sample | {"events": 9})
    assert plan.occupancy("simulation").records == 0


class Long(H1):
    """Events that would take for ever to read, whatever number is asked for."""

    source: Literal["long"]
    read_parts: ClassVar[int] = 0

    def read(self):
        """Yield the same records again and again."""
        (part,) = H1.model_construct(source="h1", files=self.files, skip=0, events=None).read()
        while True:
            type(self).read_parts += 1
            yield part


def test_reading_ends_after_some_records():
    sample = Long(source="long", files=[str(DATA / "h1_simulation.h5")])
    assert occupancy.of(sample).records == occupancy.RECORDS
    assert Long.read_parts == 2  # of 1,000 records


def test_estimates_and_what_is_printed_follow_the_files(tmp_path):
    data = _sample(tmp_path, "data", met=(20, 20, 20, 0))
    plan = _plan(data, _sample(tmp_path), unfolding={"particle_level": "pass_gen"})
    events = {"data": 100, "simulation": 1000}
    found = trained_events(plan, events)
    assert found[1] == pytest.approx(75 + 750)
    assert found[2] == pytest.approx(500)
    all_of_them = _plan(data, _sample(tmp_path), unfolding={"particle_level": "all"})
    assert trained_events(all_of_them, events)[2] == 1000
    text = _printed(plan)
    assert f"Measured in the first 4 records of the simulation ({tmp_path}/simulation.root)" in text
    assert "1 particles per event at detector level and 1.5 at particle level" in text
    assert "75% of the records pass at detector level and 50% at particle level" in text
    assert "Measured too, detector level: data 75%." in text


def _printed(plan):
    return " ".join(part for part in forecast(plan, 2, None) if isinstance(part, str))
