import numpy as np
import pytest

from omniflow.unfolding.makespan import Task, critical_path, run


def _wall(tasks, workers):
    return run(tasks, {"": workers}).wall


# Two chains 0-1 and 2-3 that meet in 4.
DIAMOND = [Task(3), Task(2, (0,)), Task(1), Task(5, (2,)), Task(4, (1, 3))]


def test_one_worker_needs_the_sum():
    assert _wall(DIAMOND, 1) == 15


def test_two_workers_run_both_chains():
    # 0 from 0 to 3, 2 from 0 to 1, 3 from 1 to 6, 1 from 3 to 5, 4 from 6 to 10.
    assert _wall(DIAMOND, 2) == 10 == critical_path(DIAMOND)


def test_tasks_that_wait_leave_workers_idle():
    assert _wall([Task(2), Task(1), Task(1), Task(3, (0,))], 2) == 5
    assert _wall([Task(2), Task(2), Task(2)], 2) == 4


def test_the_one_that_is_ready_first_goes_first():
    # At 1 task 3 waits since the start, task 2 only now.
    assert _wall([Task(1), Task(2), Task(4, (0,)), Task(1)], 2) == 6


def test_pools_do_not_take_each_others_workers():
    tasks = [Task(2, (), "a"), Task(2, (), "a"), Task(3, (), "b"), Task(1, (0, 2), "b")]
    found = run(tasks, {"a": 1, "b": 5})
    assert found.wall == 4
    assert found.busy == {"a": 4, "b": 4}


@pytest.mark.parametrize("seed", range(20))
def test_bounds_of_list_scheduling(seed):
    random = np.random.default_rng(seed)
    tasks = [
        Task(float(random.exponential()), tuple(np.flatnonzero(random.random(i) < 2 / (i + 1))))
        for i in range(60)
    ]
    work, longest = sum(task.seconds for task in tasks), critical_path(tasks)
    assert _wall(tasks, 1) == pytest.approx(work)
    assert _wall(tasks, len(tasks)) == pytest.approx(longest)
    for workers in (2, 3, 7, 20):
        wall = _wall(tasks, workers)
        assert wall >= max(longest, work / workers) - 1e-9
        # R. L. Graham, Bell Syst. Tech. J. 45 (1966) 1563.
        assert wall <= work / workers + longest * (1 - 1 / workers) + 1e-9


def test_nothing_takes_no_time():
    assert _wall([], 1) == critical_path([]) == 0


@pytest.mark.parametrize(("tasks", "workers"), [([Task(1, (0,))], 1), ([Task(1)], 0)])
def test_what_cannot_run_is_refused(tasks, workers):
    with pytest.raises(ValueError, match="task 0"):
        _wall(tasks, workers)
