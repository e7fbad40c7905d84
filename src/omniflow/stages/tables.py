"""Stage 5: the tables of a study, which the report and other tools read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from omniflow.evaluation import flows
from omniflow.evaluation.comparison import comparison_table
from omniflow.evaluation.ensembles import networks_table
from omniflow.evaluation.event_weights import weights_table
from omniflow.evaluation.spectra import bayes_tables
from omniflow.evaluation.stacks import RECORDED, stacking_table
from omniflow.evaluation.trainings import (
    Priced,
    TrainingRows,
    cost_table,
    training_rows,
    trainings_tables,
)
from omniflow.files import atomic_path, read_json, understood, write_json
from omniflow.hdf5 import open_h5, read_records
from omniflow.stages import (
    binned,
    diagnostics,
    ensembles,
    evaluation,
    lanes,
    oracle,
    response,
    second,
    study_record,
)
from omniflow.stages.finished import Finished, Histograms
from omniflow.tables import comparisons, event_weights, reference, results, trainings
from omniflow.tables.catalogue import TABLES
from omniflow.tables.table import Table
from omniflow.training import checkpoint
from omniflow.unfolding.coordinates import STEP_NAMES
from omniflow.unfolding.plan import Plan


def make_tables(plan: Plan) -> None:
    """Write every table of the plan into the study's folder, and its record."""
    study = Finished(plan)
    frames = {
        **_results(study),
        **_reference(study),
        **_trainings(plan),
        event_weights.WEIGHTS: weights_table(study.weights(plan.combinations)),
        event_weights.STEPS: _steps(plan),
        event_weights.STACKING: stacking_table(_stacks(plan)),
        **diagnostics.tables(study),
    }
    for path in plan.tables:
        if table := TABLES.get(path.stem) if path.suffix == ".csv" else None:
            table.write(frames[table], path)
    with atomic_path(plan.table(results.METRICS_PARQUET.name)) as temporary:
        frames[results.METRICS].to_parquet(temporary, index=False)
    write_json(study_record.make(study, frames), plan.table(results.STUDY.name))
    remove_checkpoints(plan)
    # Snakemake keeps them while rounds may bring more jobs, and forgets them when it is killed.
    for method in plan.config.methods if plan.adaptive else ():
        lanes.remove_logits(plan, method)


def remove_checkpoints(plan: Plan) -> None:
    """Remove those of pre-training and of networks that judge, whose jobs Snakemake has seen end.

    See `weights.aggregate`.
    """
    judges = [network for subject in plan.second_subjects for network in second.networks(subject)]
    judges += [oracle.network()] if plan.has_oracle else []
    judges += [network for role in plan.response_roles for network in response.networks(role)]
    checkpoint.remove(plan.checkpoints([*plan.pretraining_networks, *judges]))


def _results(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return the tables of distributions at both levels, and those that compare methods."""
    normalization = study.plan.config.unfolding.normalization
    metrics, summary = study.particle_level
    detector, detector_summary = study.detector_level
    smaller = ensembles.read_ensembles(study.plan, list(study.edges("particle")))
    return {
        results.METRICS: metrics,
        results.SUMMARY: summary,
        results.DETECTOR: detector,
        results.DETECTOR_SUMMARY: detector_summary,
        results.FLOWS: flows.flows_table(_samples(study)),
        comparisons.COMPARISONS: comparison_table(study.spectra(), study.truth, normalization),
        comparisons.NETWORKS: networks_table(smaller, study.truth, normalization),
    }


def _samples(study: Finished) -> dict[flows.Key, Histograms]:
    """Return the histograms of samples and results at both levels."""
    found: dict[flows.Key, Histograms] = {
        ("detector", "data", ""): study.measured,
        ("detector", "simulation", ""): study.folded,
        ("particle", "data", ""): study.truth or {},
        ("particle", "simulation", ""): study.prior,
    }
    for level in evaluation.LEVELS:
        for method, histograms in study.spectra(level).items():
            found[level, "simulation", method] = histograms
    return found


def _reference(study: Finished) -> dict[Table, pd.DataFrame]:
    """Return the tables of the binned reference and of the acceptance."""
    simulation = binned.Simulation(study.plan)
    bayes, summary = bayes_tables(
        binned.reference(simulation),
        study.edges("particle"),
        study.prior,
        study.truth,
        study.plan.config.unfolding.normalization,
    )
    acceptance = binned.acceptance_table(simulation)
    return {
        reference.BAYES: bayes,
        reference.BAYES_SUMMARY: summary,
        reference.ACCEPTANCE: acceptance,
    }


def _trainings(plan: Plan) -> dict[Table, pd.DataFrame]:
    """Return the tables of networks, epochs, and costs of methods."""
    files = [plan.pretrained(n.lane) / "history.json" for n in plan.pretraining_networks]
    files += [plan.history(block) for block in plan.all_blocks()]
    with understood(plan.root, "histories of networks"):
        timing, epochs = trainings_tables(_networks(path) for path in files)
    cost = cost_table(_priced(plan), timing)
    return {trainings.TIMING: timing, trainings.HISTORIES: epochs, trainings.COST: cost}


def _networks(path: Path) -> TrainingRows:
    """Return what a file of histories tells."""
    content = read_json(path)
    with understood(path):
        return training_rows(content)


def _priced(plan: Plan) -> dict[str, Priced]:
    """Return what tells the cost of each method."""
    return {
        name: Priced(
            plan.chain_slug(method),
            method.lanes,
            tuple(plan.pretrained_models(name)),
            plan.networks_per_pass(name),
        )
        for name, method in plan.config.methods.items()
    }


def _steps(plan: Plan) -> pd.DataFrame:
    """Return what the weights of every lane were after each step."""
    return event_weights.STEPS.build(
        keys | check for keys, records in _stages(plan, plan.chains, "checks") for check in records
    )


def _stacks(plan: Plan) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Yield what is known of the stacked members of each lane, iteration and step."""
    stacked = [slug for slug, chain in plan.chains.items() if chain.aggregate == "stacking"]
    for keys, records in _stages(plan, stacked, "stacking", *RECORDED):
        for record in records:
            yield keys | {"lane": record["lane"]}, record


def _stages(
    plan: Plan, chains: Iterable[str], attribute: str, *names: str
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield coordinates as columns, and a record per lane, of the nominal weights of each step."""
    for chain in chains:
        for pass_ in plan.passes:
            for group in plan.groups(chain, pass_):
                for iteration in plan.iterations:
                    for step in plan.steps:
                        with open_h5(plan.weights(group, iteration, step)) as file:
                            records = read_records(file, attribute, "lane", *names)
                        keys = {"chain": chain, "pass": pass_, "iteration": iteration}
                        yield keys | {"step": STEP_NAMES[step]}, records
