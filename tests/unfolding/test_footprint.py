import pytest
from plans import make_plan

from omniflow.unfolding.estimate import rates
from omniflow.unfolding.footprint import footprint
from omniflow.unfolding.jobs import jobs


def _kinds(**options):
    plan = make_plan({"parallel": {"lanes": 4}, "step": {"members": 5}}, **options)
    return {kind.name: kind for kind in footprint(plan, jobs(plan, rates(plan)))}


def test_files_counted_by_hand():
    # Two passes of three iterations: four lanes in two jobs, one lane of five networks in three.
    kinds = _kinds(per_job=2)
    assert kinds["networks"].files == 2 * 3 * 2 * (4 + 5)
    assert kinds["histories"].files == 2 * 3 * 2 * (2 + 3)
    assert kinds["weights of steps"].files == 2 * 3 * 2 * (2 + 1)
    # Four combinations of lanes, and none.
    assert kinds["final weights"].files == 2 * (4 + 1)
    # Folders: networks of every job, observables of two samples, final weights of two methods, and
    # the oracle.
    assert kinds["time stamps of folders"].files == 2 * 3 * 2 * (2 + 3) + 2 + 2 + 1


def test_temporary_files_are_those_of_one_step_of_every_group():
    kinds = _kinds(per_job=2)
    assert kinds["logits"].files == 2 * (2 + 3)
    assert kinds["logits"].size == 2 * (4 + 5) * 1000 * 4
    assert kinds["checkpoints"].files == 2 * (4 + 5)
    # Three iterations of two passes, four combinations and none.
    spool = kinds["weights for histograms"]
    assert (spool.files, spool.size) == (0, 4 * 1000 * 3 * 2 * (4 + 1))
    temporary = {kind.name for kind in kinds.values() if kind.temporary}
    assert temporary == {"logits", "checkpoints", "weights for histograms"}


def test_larger_jobs_have_fewer_files_of_the_same_networks():
    small, large = _kinds(per_job=1), _kinds(per_job=5)
    assert large["networks"] == small["networks"]
    assert large["histories"].files < small["histories"].files
    assert large["weights of steps"].size == pytest.approx(small["weights of steps"].size, rel=0.5)


def test_members_of_the_last_step_are_kept():
    """Five members in each of two passes, 4 bytes for each of 1000 events; once, not per step."""
    one, two = _kinds(iterations=1), _kinds(iterations=2)
    lanes = 2 * (4 + 1) * 2  # passes, lanes of both chains, steps
    size = 4 * 1000 * lanes + 4_000 * one["weights of steps"].files
    assert one["weights of steps"].size == size + 4 * 1000 * 2 * 5
    assert two["weights of steps"].size == 2 * size + 4 * 1000 * 2 * 5
