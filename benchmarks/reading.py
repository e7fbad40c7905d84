"""Time and memory of reading ROOT files, beside uproot alone.

    python benchmarks/reading.py [--events N] [--rounds N]

A TTree of N events with 20 particles (pt, eta, phi) and 5 columns of the event is written once to a
temporary folder. Each contender is a process of its own, started in turn, round after round:
`uproot` iterates over the same branches, `read` is our source up to its events, `ingest` up to the
event store. Times are from the first byte to the last and without imports; ratios are taken within
a round. Memory is the process's largest, and the largest that belongs to it alone: pages of
temporary files that are mapped count in the first only, and the system takes them back when it
needs room.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

PARTICLES = 20
BLOCK = 100_000
EVENT = ("x", "y", "z", "w", "number")
COLUMNS = ("pt", "eta", "phi")
CONTENDERS = ("uproot", "read", "ingest")


def main() -> None:
    """Print a table of contenders."""
    parser = argparse.ArgumentParser(description="Reading of ROOT files beside uproot alone.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.root"
        # In a process of its own, whose memory does not count.
        subprocess.run([sys.executable, __file__, "write", path, str(given.events)], check=True)
        size = path.stat().st_size / 1e6
        print(f"{given.events:,} events, {size:,.0f} MB", flush=True)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(given.rounds):
            for name, results in found.items():
                results.append(contend(name, path))
    print("| | seconds | ratio to uproot | largest memory, MB | of its own, MB |")
    print("|---|---|---|---|---|")
    for name, results in found.items():
        ratios = [
            one["seconds"] / other["seconds"]
            for one, other in zip(results, found["uproot"], strict=True)
        ]
        seconds = statistics.median(one["seconds"] for one in results)
        memory = (max(one[key] for one in results) for key in ("largest", "own"))
        print(
            f"| {name} | {seconds:.2f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
            f"{max(ratios):.2f}) | " + " | ".join(f"{each:,.0f}" for each in memory) + " |"
        )


def contend(name: str, path: Path) -> dict[str, float]:
    """Return what a contender says in a process of its own."""
    run = [sys.executable, __file__, name, path]
    return json.loads(subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout)


def write(path: Path, events: int) -> None:
    """Write the tree, in baskets of BLOCK events."""
    import awkward as ak
    import uproot

    rng = np.random.default_rng(1)
    with uproot.recreate(path) as file:
        lists = ak.Array([[np.float32(1)]]).type.content
        types = dict.fromkeys(EVENT[:-1], "f4") | {"number": "i8"}
        tree = file.mktree("Events", types | {f"Particle_{name}": lists for name in COLUMNS})
        for start in range(0, events, BLOCK):
            n = min(BLOCK, events - start)
            offsets = np.concatenate([[0], np.cumsum(rng.poisson(PARTICLES, n))])
            content = {name: rng.normal(size=n).astype("f4") for name in EVENT[:-1]}
            content["number"] = np.arange(start, start + n)
            for name in COLUMNS:
                values = ak.contents.NumpyArray(rng.exponential(1, offsets[-1]).astype("f4"))
                jagged = ak.contents.ListOffsetArray(ak.index.Index64(offsets), values)
                content[f"Particle_{name}"] = ak.Array(jagged)
            tree.extend(content)


def source(path: Path):
    """Return the source of the tree."""
    from omniflow.sources.root import Root

    particles = {name: f"Particle_{name}" for name in COLUMNS}
    level = {"event": list(EVENT[:3]), "particles": particles}
    return Root.model_validate(
        {"source": "root", "files": path, "detector": level, "weight": "exp(w)", "id": "number"}
    )


def work(name: str, path: Path) -> None:
    """Print seconds and memory of a contender."""
    with memory() as found:
        begin = {"uproot": by_uproot, "read": by_source, "ingest": to_store}[name](path)
        seconds = time.perf_counter() - begin
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"seconds": seconds, "largest": largest, "own": max(found)}))


def by_uproot(path: Path) -> float:
    """Read the branches and look at none; return when it began."""
    import awkward as ak
    import uproot

    names = [*EVENT, *(f"Particle_{name}" for name in COLUMNS)]
    begin = time.perf_counter()
    events = 0
    for part in uproot.iterate({path: "Events"}, names, library="ak", step_size="64 MB"):
        events += len(part)
    assert ak.__version__
    assert events
    return begin


def by_source(path: Path) -> float:
    """Read the events, part by part; return when it began."""
    import omniflow.sources.assembly
    import omniflow.sources.readers.root  # noqa: F401

    begin = time.perf_counter()
    assert sum(map(len, source(path).read()))
    return begin


def to_store(path: Path) -> float:
    """Write an event store; return when it began."""
    import omniflow.sources.assembly
    import omniflow.sources.readers.root  # noqa: F401
    from omniflow.events.ingest import ingest

    begin = time.perf_counter()
    ingest(source(path), path.parent / "store.h5", 1)
    return begin


@contextmanager
def memory() -> Iterator[list[float]]:
    """Yield a list of the anonymous memory of this process in MB, which grows meanwhile."""
    found, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            text = Path("/proc/self/status").read_text(encoding="ascii")
            found.extend(
                int(line.split()[1]) / 1e3
                for line in text.splitlines()
                if line.startswith("RssAnon:")
            )

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] and sys.argv[1] in CONTENDERS:
        work(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
