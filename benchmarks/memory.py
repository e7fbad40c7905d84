"""Anonymous memory of a training job against the number of events.

    python benchmarks/memory.py [100000 10000000]

Each size is a real job of step 1 (`omniflow.stages.training.train_block`) in a process of its own,
from its start to its written logits: one epoch over all events, with a network so small that 10
million events take minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import scaling
import studies

PARTICLES = 4
TINY = {"width": 8, "heads": 1, "blocks": 1, "class_blocks": 1}


def main(sizes: list[int]) -> None:
    """Print a table of sizes."""
    print("| events | on disk, MB | largest anonymous memory, MB | per event, µs |")
    print("|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            # In a process of its own, whose memory is gone when training starts.
            subprocess.run([sys.executable, __file__, "--write", folder, str(size)], check=True)
            plan = studies.load(Path(folder))
            disk = sum(path.stat().st_size for path in Path(folder).rglob("*.h5")) / 1e6
            begin, peak = time.perf_counter(), 0.0
            process = studies.start(plan)
            while process.poll() is None:
                peak = max(peak, anonymous(process.pid))
                time.sleep(0.01)
            job = studies.finished(plan, process, begin)
            spent = 1e6 * job.per_event
            print(f"| {size:,} | {disk:,.0f} | {peak:,.0f} | {spent:.1f} |", flush=True)


def anonymous(pid: int) -> float:
    """Return the anonymous resident memory of a process in MB; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("RssAnon:")]
    return int(found[0]) / 1e3 if found else 0.0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        scaling.synthetic(Path(sys.argv[2]), int(sys.argv[3]), PARTICLES, 1, 1, **TINY)
    else:
        main([int(size) for size in sys.argv[1:]] or [100_000, 10_000_000])
