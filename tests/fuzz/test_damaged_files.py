"""Damaged files of every kind end in a clear error, soon, in little memory, and leave nothing.

Numbers that are damaged may be numbers still: then a file is read. A longer run, by hand:

    OMNIFLOW_FUZZ=2000 python -m pytest tests/fuzz -q

It meets a fault of HDF5 2.0, perhaps once in a thousand files with attributes of text: damage in
the heap of texts of varying length makes `H5Aread` search without end; nothing interrupts it.
"""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
import seeds
from damage import SEEDS, damaged, damaged_member
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("OMNIFLOW_FUZZ", "20"))
SECONDS = 5  # of the processor, for a file of a few thousand bytes

fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize="OMNIFLOW_FUZZ" not in os.environ,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Reading:
    """The process of `reading`, started again when it has died."""

    def __init__(self):
        self._process = None

    def __call__(self, reader, *arguments, **options):
        """Return how reading ended, as `reading` says it, or with which signal it died."""
        if self._process is None:
            script = Path(__file__).parent / "reading.py"
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                text=True,
            )
        self._process.stdin.write(json.dumps([reader, arguments, options]) + "\n")
        self._process.stdin.flush()
        ready, *_ = select.select([self._process.stdout], [], [], 90)
        answer = self._process.stdout.readline() if ready else ""
        if not answer:
            end = "died" if ready else "did not end"
            status = self.close()
            return {"end": end, "text": f"status {status}", "seconds": 0}
        return json.loads(answer)

    def close(self):
        if self._process is not None:
            self._process.kill() if self._process.poll() is None else None
            self._process.stdin.close()
            self._process.stdout.close()
            status, self._process = self._process.wait(), None
            return status
        return None


@pytest.fixture(scope="module")
def reading():
    process = Reading()
    yield process
    process.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "study"
    seeds.study(folder)
    return folder


def check(reading, path, folder, content, reader, *arguments, **options):
    """Damaged `content` of `path` is refused or read, and nothing else in `folder` changes."""
    before = _names(folder)
    path.write_bytes(content)
    found = reading(reader, *arguments, **options)
    if found["end"] not in ("read", "refused") or found["seconds"] > SECONDS:
        keep = Path(os.environ.get("OMNIFLOW_FUZZ_KEEP", folder.parent)) / f"fault-{path.name}"
        keep.write_bytes(content)
        raise AssertionError(f"{found['end']} after {found['seconds']:.1f} s: {found['text']}")
    if found["end"] == "refused":
        assert len(found["text"]) > 20
    assert _names(folder) == before


def _names(folder):
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", seeds.SOURCES)
def test_sources(kind, tmp_path_factory, reading):
    folder = tmp_path_factory.mktemp("sources")
    make, suffix = seeds.SOURCES[kind]
    path = folder / f"events{suffix}"
    options = make(path)
    kind, sound = options.pop("kind"), path.read_bytes()
    assert reading("source", kind, str(path), **options)["end"] == "read"

    # Checksums of zip files find nearly all damage.
    ways = [damaged, damaged_member] if suffix == ".npz" else [damaged]

    @fuzzed
    @given(st.sampled_from(ways), SEEDS)
    def test(way, seed):
        content = way(seed, sound)
        check(reading, path, folder, content, "source", kind, str(path), **options)

    test()


def test_event_stores(tmp_path_factory, reading):
    folder = tmp_path_factory.mktemp("stores")
    path = folder / "store.h5"
    seeds.event_store(path)
    sound = path.read_bytes()
    assert reading("store", str(path))["end"] == "read"

    @fuzzed
    @given(SEEDS)
    def test(seed):
        check(reading, path, folder, damaged(seed, sound), "store", str(path))

    test()


def test_configurations(tmp_path_factory, reading):
    folder = tmp_path_factory.mktemp("configurations")
    path = folder / "config.yaml"
    sound = seeds.CONFIGURATION.encode()
    path.write_bytes(sound)
    assert reading("configuration", str(path))["end"] == "read"

    @fuzzed
    @given(SEEDS)
    def test(seed):
        check(reading, path, folder, damaged(seed, sound), "configuration", str(path))

    test()


@pytest.mark.parametrize("kind", seeds.STUDY)
def test_files_of_a_study(kind, study, reading):
    pattern, part = seeds.STUDY[kind]
    path = min(study.glob(pattern))
    sound = path.read_bytes()
    assert reading("study", part, str(study))["end"] == "read"

    @fuzzed
    @given(SEEDS)
    def test(seed):
        check(reading, path, study, damaged(seed, sound), "study", part, str(study))

    try:
        test()
    finally:
        path.write_bytes(sound)
