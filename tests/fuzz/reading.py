"""Reading: a process that reads files to their end, within bounds; killed, it is started again.

It takes a line of JSON, what reads and the path of the file, and answers with one: `read`,
`refused` with the message of an OmniflowError, or `fault` with anything else that was raised.
"""

import contextlib
import json
import os
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from omniflow.errors import OmniflowError

MEMORY = 3 * 2**30  # bytes of addresses, most of them those of libraries


def ingested(kind, path, **settings):
    """A source's file, looked into and made an event store."""
    from omniflow import registry
    from omniflow.events import store
    from omniflow.events.ingest import ingest
    from omniflow.sources import inspect

    for look in (inspect.describe, _draft):
        with contextlib.suppress(OmniflowError):
            look(path)
    sample = registry.find("source", kind).model_validate(
        {"source": kind, "files": [path], **settings}
    )
    target = Path(path).with_suffix(".store")
    try:
        ingest(sample, target, seed=1)
        store.open_store(target)
    finally:
        target.unlink(missing_ok=True)


def _draft(path):
    from omniflow.drafts import init

    init.init([path])


def of_store(path):
    """All of an event store."""
    from omniflow.events import store

    events = store.open_store(path)
    for level in filter(None, (events.detector, events.particle)):
        level.take(np.arange(len(level)))
        level.event.sum(), level.particles.sum()
    events.weight.sum(), store.units(path), store.warnings(path), store.checksum(path)
    store.verify(path)


def of_study(what, folder):
    """A part of a finished study; all of it that reads the damaged file."""
    import omniflow

    study = omniflow.read(folder)
    _STUDY[what](study, study.plan)


def _weights(study, plan):
    study.ensemble, study.ratios_of()
    study.histogram("x", [-1, 0, 1])
    for level in ("particle", "detector"):
        list(_stage("evaluation").read_histograms(plan, plan.variants.results[0], level))


def _lanes(study, plan):
    study.lanes_of("parallel")
    _stage("tables")._steps(plan)
    study.reweight(study.simulation)


def _networks(study, plan):
    for network in study.networks(pass_=1):
        network.logits(study.simulation)


def _histories(study, plan):
    _stage("tables")._trainings(plan)
    [network.record for network in study.networks(pass_=1)]


def _tables(study, plan):
    from omniflow.report.content import ReportTables

    for name in study.tables:
        study.tables[name]
    ReportTables.read(plan.root)


def _caches(study, plan):
    from omniflow.events.features import open_features
    from omniflow.observables import cache

    binned = _stage("binned")
    binned.reference(binned.Simulation(plan))
    for role, level in plan.classifier_inputs:
        found = open_features(plan.features(role, level))
        found.particles.sum(), found.event.sum(), found.offsets.sum()
    cache.read(plan.observables("data") / "detector.h5", ["x", "pt"])
    _stage("evaluation").fill(plan, "data", "detector", study.data.weight)


def _scores(study, plan):
    from omniflow.stages.finished import Finished

    _stage("diagnostics.classifiers").tables(Finished(plan))


def _stage(name):
    import importlib

    return importlib.import_module(f"omniflow.stages.{name}")


_STUDY = {
    "weights": _weights,
    "lanes": _lanes,
    "networks": _networks,
    "histories": _histories,
    "tables": _tables,
    "caches": _caches,
    "scores": _scores,
}


def of_configuration(path):
    """A configuration, with everything that is made of it before a job starts."""
    from omniflow import config
    from omniflow.unfolding.plan import Plan

    plan = Plan(config.load(path))
    config.dump(plan.config)


READERS = {
    "source": ingested,
    "store": of_store,
    "study": of_study,
    "configuration": of_configuration,
}


def main():
    """Answer lines until there are none."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print
    sys.stdout = sys.stderr
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        name, arguments, settings = json.loads(line)
        start, answer = time.process_time(), {"end": "read", "text": ""}
        try:
            READERS[name](*arguments, **settings)
        except OmniflowError as error:
            answer = {"end": "refused", "text": str(error)}
        except BaseException:
            answer = {"end": "fault", "text": traceback.format_exc()}
        answer["seconds"] = time.process_time() - start
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
