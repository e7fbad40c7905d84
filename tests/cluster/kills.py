"""Kill trainings, Snakemake and whole nodes at random moments: a table of what was repeated.

    python tests/cluster/kills.py [--trainings 10] [--snakemakes 10] [--nodes 5] [--seed 1]

As root, on a cluster of three nodes that it starts (`nodes.py`). Studies run until all kills are
done and the last one has finished; every one is compared, byte by byte, with one that ran on this
machine without Slurm. It ends with an error where a byte differs.
"""

import argparse
import hashlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import clusters
from conftest import give_engine
from nodes import Cluster
from users import User

# Everything that the study is for: weights of all steps, networks, final weights, tables.
FINAL = ("training/**/*.h5", "unfolded/**/*.h5", "histograms/**/*.h5", "*.csv")
TIMES = {"cost.csv", "histories.csv", "timing.csv"}  # tables that say how long something took
PATIENCE = 600  # seconds
NONE = "no job"  # that ran


def content():
    """A study whose trainings take some seconds and are saved several times a second."""
    found = clusters.config()
    found["training"] |= {"epochs": 1500, "patience": 1500}
    found["execution"]["mem_mb"] = 700  # of which 30 attempts ask for 30 times as much
    found["diagnostics"]["second_classifier"] = True
    return found


class Campaign:
    """Studies of a user that are disturbed: what was hit, and what it cost."""

    def __init__(self, user, reference, name, moments):
        """Nothing has been killed yet."""
        self.user, self.reference, self.name, self.moments = user, reference, name, moments
        self.met, self.repeated, self.studies = Counter(), Counter(), 0
        self.resumed = self.again = self.files = 0

    def run(self, kills, kill):
        """Run studies until so many times something was killed; compare all of them."""
        while kills > 0:
            self.studies += 1
            study = self.user.study(f"{self.name}-{self.studies}", content(), self.reference)
            before, finished = len(self.user.accounted("Comment")), {}
            for _ in range(kills + 3):  # Snakemake is started again, as a user would
                with self.user.started(study, self.user.profile(), "--retries", "30") as process:
                    while kills > 0 and process.poll() is None:
                        if hit := kill(self.user, study, process, self.moments):
                            kills -= 1
                            self.met[hit] += 1
                            print(f"{self.name}: {hit}, {kills} left", flush=True)
                        finished |= _finished(study)
                if process.returncode == 0:
                    break
            assert process.returncode == 0, self.user.said(study)[-6000:]
            self._compare(study, before, finished)

    def _compare(self, study, before, finished):
        jobs = Counter(_rule(comment) for (comment,) in self.user.accounted("Comment")[before:])
        self.repeated += Counter({job: count - 1 for job, count in jobs.items() if count > 1})
        self.resumed += sum(one["resumed"] for one in clusters.summaries(study).values())
        kept = clusters.seconds(study)
        self.again += sum(kept[key] != seconds for key, seconds in finished.items())
        ours, theirs = _bytes(study), _bytes(self.reference)
        assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
        wrong = [name for name in ours if ours[name] != theirs[name]]
        assert not wrong, f"{study}: {wrong}"
        assert not clusters.left_over(study)
        self.files += len(ours)

    def row(self):
        """Return the line of the table."""
        cells = [self.name, str(sum(self.met.values())), _counted(self.met), str(self.studies)]
        cells += [_counted(self.repeated), str(self.resumed), str(self.again)]
        return f"| {' | '.join([*cells, f'{self.files}, all equal'])} |"


def kill_training(user, study, process, moments):
    """Kill a training after a random part of its processor time; return what it was."""
    found = clusters.wait_for(lambda: clusters.trainings(study), process, PATIENCE)
    if not found:
        return None
    when = moments.uniform(0, 4)
    clusters.wait_for(lambda: clusters.processor_seconds(found[0]) > when, process, PATIENCE)
    hit = clusters.kill(found[0])
    clusters.wait_for(lambda: found[0] not in clusters.trainings(study), seconds=PATIENCE)
    return "training" if hit else None


def kill_snakemake(user, study, process, moments):
    """Kill Snakemake at a random moment, every other time while a job runs; return what ran."""
    if moments.random() < 0.5:
        clusters.wait_for(lambda: _running(user), process, PATIENCE)
    deadline = time.monotonic() + moments.uniform(0, 25)
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    running = _running(user)
    if process.poll() is not None:
        return None
    process.kill()
    process.wait()
    return running or NONE


def kill_node(user, study, process, moments):
    """Switch off a node on which a job runs, and on again; return what ran."""
    nodes = clusters.wait_for(lambda: _nodes(user), process, PATIENCE)
    time.sleep(moments.uniform(0, 8))
    nodes, running = _nodes(user), _running(user)
    if not nodes:
        return None
    user.cluster.power_off(nodes[0])
    user.cluster.boot(nodes[0])
    clusters.wait_for(lambda: nodes[0] not in _nodes(user) or process.poll() is not None)
    time.sleep(5)
    # Slurm holds what it has requeued five times, for ever, and Snakemake waits: it is ended.
    said = user.ask("squeue", "--me", "--noheader", "--states=all", "--format=%T").split()
    if "REQUEUE_HOLD" in said:
        process.kill()
    return running


def _nodes(user):
    return user.ask("squeue", "--me", "--noheader", "--states=running", "--format=%N").split()


def _running(user):
    said = user.ask("squeue", "--me", "--noheader", "--states=running", "--format=%k").split()
    return " and ".join(sorted({_rule(comment).split()[0] for comment in said}))


def _rule(comment):
    """Return rule and wildcards of a job."""
    name, _, wildcards = comment.removeprefix("rule_").partition("_wildcards_")
    return f"{name} {wildcards}".strip()


def _finished(study):
    states = clusters.checkpoints(study).items()
    return {key: state["total_seconds"] for key, state in states if state["finished"]}


def _bytes(study):
    root = study / "results" / "small"
    paths = sorted({path for pattern in FINAL for path in root.glob(pattern)})
    paths = [path for path in paths if path.name not in TIMES]
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


def _counted(counter):
    found = Counter()
    for what, count in counter.items():
        found[what if " and " in what or what == NONE else what.split()[0]] += count
    return ", ".join(f"{count} {what}" for what, count in sorted(found.items())) or "none"


HEAD = """\
| killed | times | what ran then | studies | jobs that ran again | trainings that went on from a \
checkpoint | finished networks trained again | final files |
|---|---|---|---|---|---|---|---|"""


def main():
    """Run all campaigns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--snakemakes", type=int, default=10)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="omniflow-kills-"))
    folder.chmod(0o755)
    reference = clusters.write_config(folder / "reference", content())
    cluster = Cluster(folder / "cluster")
    try:
        give_engine(cluster)
        clusters.finish(reference, "local")
        user, moments = User(cluster), random.Random(given.seed)
        rows = []
        for name, kills, kill in (
            ("training", given.trainings, kill_training),
            ("Snakemake", given.snakemakes, kill_snakemake),
            ("node", given.nodes, kill_node),
        ):
            if not kills:
                continue
            campaign = Campaign(user, reference, name, moments)
            campaign.run(kills, kill)
            rows.append(campaign.row())
            print("\n".join([HEAD, *rows]), flush=True)
    finally:
        cluster.stop()
    shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
