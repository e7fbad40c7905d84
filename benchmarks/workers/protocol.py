"""Protocol: a contender prepares, says `ready`, and then works for as long as each line asks."""

import json
import os
import sys
import time


def serve(epoch, **tasks):
    """Answer lines `task number` with one line of JSON: events done and seconds taken.

    `epoch` is called once, with the number, a fraction of the events, and returns what it took.
    Each other task does some work when called and returns the number of events; it is called for
    so many seconds. The first call of each, which compiles and fills caches, happens before
    `ready`. With that goes the time from the start of the process (STARTED, set by who starts it)
    to the end of the first task's first call, or to here where there is none.
    """
    first = None
    for task in tasks.values():
        task()
        first = first or time.time() - float(os.environ["STARTED"])
    print("ready", first or time.time() - float(os.environ["STARTED"]), flush=True)
    for line in sys.stdin:
        name, number = line.split()
        begin, events = time.perf_counter(), 0
        if name == "epoch":
            events, taken = epoch(float(number))
        else:
            while (taken := time.perf_counter() - begin) < float(number):
                events += tasks[name]()
        print(json.dumps({"events": events, "seconds": taken}), flush=True)
