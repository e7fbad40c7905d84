"""What a study leaves on the disk: files and bytes by kind, in the end and at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from omniflow.observables import find
from omniflow.unfolding.coordinates import LEVELS
from omniflow.unfolding.estimate import parameters
from omniflow.unfolding.jobs import Job
from omniflow.unfolding.plan import Plan

# Bytes of a file beside its arrays: HDF5's own, layer by layer in those of networks, and what an
# observable leaves empty of its last chunk.
HDF5, CHUNK = 4_000, 200_000
NETWORK = {"pet": 200_000, "deepsets": 15_000, "mlp": 10_000}
OWN = 15_000  # of a classifier of the user's own
# Bytes of a history and of each of its epochs, of a log with its benchmark, of tables and report
# per method and observable, of what Snakemake notes about an output, of a given file's checksum.
HISTORY, EPOCH, LOG, TABLE, NOTE, CHECKSUM = 1_000, 300, 2_000, 170_000, 4_000, 200
# Scores of a network: sums per bin of held-out and trained events.
SCORES = 18_000
# Endings of outputs that are files and not folders, whose names may have dots.
FILES = {".h5", ".json", ".csv", ".parquet", ".html"}
# What a checkpoint holds of every parameter: live, averaged and best value, two momenta.
STATE = 5


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        name: what they are.
        files, size: how many stay, and their bytes.
        temporary: whether they are gone in the end; `files` and `size` are then the most that
            there can be at a time.
    """

    name: str
    files: int
    size: float
    temporary: bool = False


def footprint(plan: Plan, jobs: Sequence[Job]) -> list[Kind]:
    """Return the files of a study with these jobs by kind, sizes estimated.

    All are below the study's folder, but for Snakemake's notes in `.snakemake/metadata`.

    Temporary files are at their most when every group of lanes is in the same step, and when the
    histograms of all results are filled at the same time.
    """
    events = {role: sample.records() or 0 for role, sample in plan.samples.items()}
    parts = (_inputs, _trainings, _outputs)
    logs = sum(job.rule != "all" for job in jobs)
    given = len(plan.inputs.given)
    outputs = [path for job in jobs for path in job.outputs]
    folders = sum(path.suffix not in FILES for path in outputs)
    return [
        *(kind for part in parts for kind in part(plan, events)),
        Kind("checksums of given files", 2 * given, 2 * given * CHECKSUM),
        Kind("logs and benchmarks", 2 * logs, logs * LOG),
        Kind("time stamps of folders", folders, 0.0),
        Kind("Snakemake's notes", len(outputs), len(outputs) * NOTE),
    ]


def _inputs(plan: Plan, events: dict[str, int]) -> Iterator[Kind]:
    # Particles per record, of those that fail none at detector level. Particle level is counted as
    # if it were always there.
    each = {role: plan.occupancy(role) for role in events}
    passing = {role: each[role].passing["detector"] for role in events}
    share = {role: {"detector": passing[role], "particle": 1.0} for role in events}
    held = {
        role: {level: each[role].particles[level] * share[role][level] for level in LEVELS}
        for role in events
    }
    particles = {role: sum(held[role].values()) for role in events}
    # Per level 4 columns of particles, 5 of the event, offsets.
    size = sum(events[role] * (16 * particles[role] + 74) for role in events)
    yield Kind("event stores", len(events), size)
    size = sum(
        events[role] * (held[role][level] * inputs + 4 * width + 8)
        for role, level in plan.classifier_inputs
        for inputs, width in [_inputs_of(plan, level)]
    )
    # One file per sample and level, and the scaling.
    yield Kind("classifier inputs", len(plan.classifier_inputs) + len(plan.scalings), size)
    names = plan.config.observables.names
    defined = find.definitions(plan.config.observables).values()
    shared = sum(definition.kind == "particle" for definition in defined)
    files = 2 * len(plan.evaluated)
    size = sum(
        events[role]
        * (
            4 * (shared * particles[role] + (len(names) - shared) * (1 + passing[role]))
            + 8 * len(names)
        )
        for role in plan.evaluated
    )
    size += files * len(names) * CHUNK
    yield Kind("observables", files, size)


def _inputs_of(plan: Plan, level: str) -> tuple[int, int]:
    """Return bytes of the inputs of a particle of a level, and numbers per event."""
    seen, neighbours = plan.features_seen[level], plan.config.classifier.neighbours
    return 4 * len(seen.particles) + 2 * neighbours, len(seen.event)


def _trainings(plan: Plan, events: dict[str, int]) -> Iterator[Kind]:
    classifier = plan.config.classifier
    overhead = NETWORK.get(classifier.kind, OWN)
    weights = sum(sum(parameters(plan, level)) for level in LEVELS) / len(LEVELS)
    stages = list(plan.stages())
    blocks = [len(plan.blocks(*stage)) for stage in stages]
    each = len(plan.folds)
    sizes = [each * len(group.lanes) * plan.chains[group.chain].networks for group, _, _ in stages]
    pretrained = len(plan.pretraining_networks)
    networks = sum(sizes) + pretrained
    yield Kind("networks", networks, networks * (4 * weights + overhead))
    size = networks * (HISTORY + EPOCH * plan.config.training.epochs)
    yield Kind("histories", sum(blocks) + pretrained, size)
    scored = [i for i, (group, _, step) in enumerate(stages) if plan.scored(group, step)]
    files = sum(blocks[i] for i in scored)
    yield Kind("scores", files, SCORES * sum(sizes[i] for i in scored) + HDF5 * files)
    lanes = sum(len(group.lanes) for group, _, _ in stages)
    kept = sum(
        len(stage[0].lanes) * plan.chains[stage[0].chain].members
        for stage in stages
        if plan.keeps_members(*stage)
    )
    size = 4 * (lanes + kept) * events["simulation"] + len(stages) * HDF5
    yield Kind("weights of steps", len(stages), size)
    # Every group is in one step at a time.
    rounds = 2 * len(plan.iterations)
    together = sum(sizes) // rounds
    logits = 4 * together * events["simulation"]
    yield Kind("logits", sum(blocks) // rounds, logits, temporary=True)
    yield Kind("checkpoints", together, together * 4 * STATE * weights, temporary=True)


def _outputs(plan: Plan, events: dict[str, int]) -> Iterator[Kind]:
    methods = plan.config.methods
    found = plan.variants.results
    results = sum(len(plan.passes_of(r)) * len(plan.combinations(r)) for r in found)
    per_event = 16 + 4 * len(plan.iterations)
    yield Kind("final weights", results, results * (events["simulation"] * per_event + HDF5))
    # Those of all results in the order of the event store, while their histograms are filled.
    size = results * 4 * len(plan.iterations) * events["simulation"]
    yield Kind("weights for histograms", 0, size, temporary=True)
    # Contents, variances and covariances of about 20 bins, per observable and level.
    names = plan.config.observables.names
    size = results * len(plan.iterations) * len(names) * 2 * 3 * 20 * 8
    smaller = sum(len(plan.subsets(m)) + len(plan.member_subsets(m)) for m in methods)
    size += 8 * 20 * len(names) * len(plan.passes) * smaller
    yield Kind("histograms", len(found), size + len(found) * len(names) * 6 * HDF5)
    second = len(plan.second_subjects)
    size = 2 * second * (HISTORY + EPOCH * plan.config.training.epochs)
    yield Kind("second classifiers", second, size)
    if plan.has_oracle:
        weights = sum(parameters(plan, "particle"))
        yield Kind("oracle", 3, 4 * (events["simulation"] + weights) + HISTORY + 2 * HDF5)
    responses = len(plan.response_roles)
    yield Kind("tests of the response", responses, responses * HISTORY)
    # Tables, report, axes and configuration.
    files = len(plan.tables) + len(plan.uncertainty_tables) + 3
    yield Kind("tables and report", files, len(methods) * len(names) * TABLE)
