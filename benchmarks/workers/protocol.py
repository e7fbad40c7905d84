"""Protocol: a contender prepares, says `ready`, and then works for as long as each line asks."""

import json
import os
import sys
import time


def serve(**tasks):
    """Answer lines `task seconds` with one line of JSON: events done and seconds taken.

    Each task does some work when called and returns the number of events; the first call of each,
    which compiles and fills caches, happens before `ready`. With that goes the time from the start
    of the process (STARTED, set by who starts it) to the end of the first task's first call.
    """
    first = None
    for task in tasks.values():
        task()
        first = first or time.time() - float(os.environ["STARTED"])
    print("ready", first, flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        begin, events = time.perf_counter(), 0
        while (taken := time.perf_counter() - begin) < float(seconds):
            events += tasks[name]()
        print(json.dumps({"events": events, "seconds": taken}), flush=True)
