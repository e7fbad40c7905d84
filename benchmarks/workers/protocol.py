"""Protocol: a contender prepares, says `ready`, and then works for as long as each line asks."""

import json
import sys
import time


def serve(**tasks):
    """Answer lines `task seconds` with one line of JSON: events done and seconds taken.

    Each task does some work when called and returns the number of events; the first call of each,
    which compiles and fills caches, happens before `ready`.
    """
    for task in tasks.values():
        task()
    print("ready", flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        begin, events = time.perf_counter(), 0
        while (taken := time.perf_counter() - begin) < float(seconds):
            events += tasks[name]()
        print(json.dumps({"events": events, "seconds": taken}), flush=True)
