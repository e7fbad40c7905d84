"""List scheduling: how long tasks take that wait for each other, on so many workers."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """Something to be done.

    Attributes:
        seconds: how long it takes.
        after: positions of the tasks that it waits for, all before its own.
        pool: the workers that it needs one of.
    """

    seconds: float
    after: tuple[int, ...] = ()
    pool: str = ""


@dataclass(frozen=True)
class Run:
    """A simulated run.

    Attributes:
        wall: seconds from the start of the first task to the end of the last.
        busy: seconds of all tasks, by pool.
    """

    wall: float
    busy: dict[str, float]


def run(tasks: Sequence[Task], workers: Mapping[str, int]) -> Run:
    """Simulate tasks on so many workers of each pool.

    A worker that is free takes the task that has been ready for longest, and of those the first.

    Raises:
        ValueError: a pool without workers, or a task that waits for a later one.
    """
    waits = [len(task.after) for task in tasks]
    followers: list[list[int]] = [[] for _ in tasks]
    ready: dict[str, deque[int]] = {pool: deque() for pool in workers}
    for index, task in enumerate(tasks):
        if workers.get(task.pool, 0) < 1:
            raise ValueError(f"task {index}: no workers in pool {task.pool!r}")
        for before in task.after:
            if not 0 <= before < index:
                raise ValueError(f"task {index}: waits for task {before}, which is not before it")
            followers[before].append(index)
        if not task.after:
            ready[task.pool].append(index)
    free, now = dict(workers), 0.0
    running: list[tuple[float, int]] = []
    while True:
        for pool, queue in ready.items():
            while queue and free[pool]:
                index = queue.popleft()
                free[pool] -= 1
                heapq.heappush(running, (now + tasks[index].seconds, index))
        if not running:
            break
        now = running[0][0]
        while running and running[0][0] == now:
            _, index = heapq.heappop(running)
            free[tasks[index].pool] += 1
            for follower in followers[index]:
                waits[follower] -= 1
                if not waits[follower]:
                    ready[tasks[follower].pool].append(follower)
    busy: defaultdict[str, float] = defaultdict(float)
    for task in tasks:
        busy[task.pool] += task.seconds
    return Run(now, dict(busy))


def critical_path(tasks: Sequence[Task]) -> float:
    """Return the seconds of the longest chain of tasks, which no number of workers shortens.

    Args:
        tasks: in an order in which none stands before one that it waits for.

    Returns:
        Seconds; 0 without tasks.

    Examples:
        >>> reading, training = Task(5.0), Task(60.0, after=(0,))
        >>> critical_path([reading, training, training])
        65.0
    """
    ends: list[float] = []
    for task in tasks:
        ends.append(task.seconds + max((ends[before] for before in task.after), default=0.0))
    return max(ends, default=0.0)
