"""Pydantic models of the configuration; they also generate its JSON schema and its docs page."""

from __future__ import annotations

import math
import re
from itertools import combinations, pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Combination = Literal["mean", "median", "truncated_mean", "log_mean"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Study(Section):
    """What is run: name, seed, repetitions and where results go."""

    name: Name = Field(description="Name of the study; results go to <output>/<name>/.")
    seed: int = Field(
        1, ge=0, description="Seed from which every random number of training derives."
    )
    passes: Positive = Field(
        3, description="Independent repetitions of each method; their scatter is sigma_rel."
    )
    output: str = Field("results", min_length=1, description="Folder of all results.")


class PythiaSample(Section):
    """High-Q2 DIS events generated with Pythia 8 and a parametrised detector."""

    source: Literal["pythia"]
    events: Positive = Field(description="Generated records (about half pass the detector cuts).")
    seed: int = Field(ge=1, le=900_000_000, description="Seed of the generator and the detector.")
    shower: Literal["simple", "vincia"] = Field("simple", description="Parton shower model.")
    pdf: int = Field(13, ge=1, le=22, description="Pythia's PDF:pSet of the proton.")
    factorisation_scale: float = Field(
        1.0, gt=0, description="Pythia's SigmaProcess:factorMultFac, factor on the squared scale."
    )
    lepton: Literal["positron", "electron"] = Field("positron", description="Beam lepton.")
    settings: tuple[str, ...] = Field(
        (), description="Further Pythia settings, one `Key:name = value` each, applied last."
    )

    @field_validator("settings")
    @classmethod
    def _settings_are_assignments(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for line in value:
            if not re.fullmatch(r"[A-Za-z0-9:()]+ *= *\S.*", line):
                raise ValueError(f"{line!r} is not of the form 'Key:name = value'")
        return value


class H1Sample(Section):
    """Events in the padded HDF5 layout of the public H1 code (docs/formats.md)."""

    source: Literal["h1"]
    files: tuple[str, ...] = Field(
        min_length=1, description="HDF5 files, read in this order as one sample."
    )
    events: Positive | None = Field(None, description="Use only the first so many records.")
    skip: int = Field(0, ge=0, description="Leave out the first so many records.")


Sample = Annotated[PythiaSample | H1Sample, Field(discriminator="source")]


class Pretraining(Section):
    """The two samples that a pre-trained classifier learns to separate at detector level."""

    numerator: Sample = Field(description="Class A (label 1).")
    denominator: Sample = Field(description="Class B (label 0).")
    allow_overlap: bool = Field(
        False,
        description="Permit events that also stand in data or simulation, as in the paper; "
        "pre-trained networks have then seen what they are trained on later.",
    )


class Samples(Section):
    """Input events: data (or pseudo-data), simulation, and a pair for pre-training."""

    data: Sample = Field(description="Data to unfold; pseudo-data keep their truth for the report.")
    simulation: Sample = Field(description="Simulated events with both levels.")
    pretraining: Pretraining | None = Field(
        None, description="Needed by methods that start from a pre-trained network."
    )


class Classifier(Section):
    """Architecture of every network of the study."""

    kind: Literal["pet", "deepsets", "mlp"] = Field(
        "pet", description="Point-edge transformer, deep sets, or MLP on event features alone."
    )
    width: int = Field(64, ge=4, description="Width D of particle features and hidden layers.")
    heads: Positive = Field(4, description="Attention heads (pet); must divide the width.")
    blocks: Positive = Field(4, description="Transformer blocks (pet) or hidden layers.")
    class_blocks: Positive = Field(2, description="Class-attention blocks (pet).")
    neighbours: Positive = Field(5, description="Neighbours K of the local embedding (pet).")
    layer_scale: float = Field(1e-3, gt=0, description="Initial LayerScale (pet).")
    features: Literal["dis", "dis_sums", "plain"] = Field(
        "dis",
        description="`dis`: the 7 particle and 5 event features of DIS events; "
        "`dis_sums`: also multiplicity and summed momentum of all particles; "
        "`plain`: the columns of the event store as they are, standardised.",
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Classifier:
        if self.kind == "pet" and self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


class ECD(Section):
    """The energy-conserving optimiser (arXiv:2501.18419)."""

    dt_hat: float = Field(
        0.1, gt=0, description="Step in units of the typical distance from the minimum; 0.1 to 1."
    )
    eta: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        "auto",
        description="Concentration near the minimum. `auto`: (updates x dt_hat)^2 over the summed "
        "variance of newly drawn weights, with the updates of `epochs` epochs.",
    )
    f0: Literal["auto"] | float = Field(
        "auto",
        description="Offset of the loss, which no batch may reach. `auto`: one below the loss of "
        "an uninformed network (ln 2 - 1 for `bce`, -1 for `mlc`).",
    )
    nu_hat: float = Field(
        0.0, ge=0, description="Size of the random bounces of the direction; 0 to 1e-6."
    )


class Training(Section):
    """Training of every network."""

    loss: Literal[
        "bce_logistic", "bce_normal", "bce_arctan", "mlc_relu", "mlc_square", "mlc_exp"
    ] = Field(
        "bce_logistic",
        description="Loss and output function (arXiv:2501.18419, table II): binary cross-entropy "
        "or maximum-likelihood classifier, and how the network's output becomes f.",
    )
    optimizer: Literal["lion", "adamw", "adam", "sgd", "ecd"] = Field(
        "lion",
        description="Optimiser. `ecd` has its own section, and none of learning rate, momenta, "
        "schedule, warm-up, weight decay and clipping acts on it.",
    )
    ecd: ECD = Field(ECD(), description="Settings of the optimiser `ecd`.")
    learning_rate: Rate = Field(2e-5, description="Peak learning rate.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay (lion, adamw).")
    beta_1: float = Field(0.95, ge=0, lt=1, description="First momentum of the optimiser.")
    beta_2: float = Field(0.99, ge=0, lt=1, description="Second momentum of the optimiser.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="Learning rate after the warm-up; cosine falls to 1% of the peak."
    )
    warmup_epochs: float = Field(
        3.0, ge=0, description="Linear warm-up from 0 to the peak learning rate."
    )
    batch_size: Positive = Field(256, description="Events per update.")
    scale_with_ranks: Literal["none", "sqrt", "linear"] = Field(
        "none",
        description="`none`: batches and learning rate are what they are, and the result does not "
        "depend on `execution.ranks`. Otherwise `batch_size` is per rank, and the learning rate "
        "grows with the square root of the number of ranks, or linearly.",
    )
    micro_batches: Positive = Field(
        4,
        description="Each batch is sorted by multiplicity, cut into so many parts padded to their "
        "own maximum, and their gradients are summed; 1 pads the whole batch alike.",
    )
    epochs: Positive = Field(100, description="Maximum number of epochs.")
    patience: Positive = Field(
        10, description="Stop after so many epochs without a lower validation loss."
    )
    validation: float = Field(0.2, gt=0, lt=1, description="Fraction of events held out.")
    clip_norm: float | None = Field(1.0, gt=0, description="Bound of the gradient's global norm.")
    ema: float = Field(
        0.999, ge=0, lt=1, description="Momentum of the averaged weights that are used; 0: none."
    )
    divergence: float = Field(
        3.0,
        gt=1,
        description="A held-out loss above this factor times ln 2, or times the loss before "
        "training where that is larger, is divergence. (For `mlc` losses, whose uninformed value "
        "is 0 and not ln 2, the first bound is lower by ln 2.)",
    )
    restarts: int = Field(
        1,
        ge=0,
        description="A network that diverges, or whose loss is not finite, is trained anew with "
        "other random numbers, at most so often; the report tells.",
    )
    logit_clip: float = Field(
        15.0, gt=0, description="Logits are clipped at this magnitude before exp (counted)."
    )


class Restart(Section):
    """How iteration n + 1 starts from iteration n."""

    network: Literal["warm", "cold"] = Field(
        "warm",
        description="`warm`: from the same network of the previous iteration; "
        "`cold`: from the start policy again.",
    )
    rate_factor: Rate = Field(
        1.0, description="Learning rate from the second iteration on, relative to the first."
    )
    split: Literal["fixed", "fresh"] = Field(
        "fresh",
        description="Training and validation events from iteration to iteration. With `fixed` the "
        "same held-out events stop every iteration and pull the result to their own fluctuations.",
    )


class Unfolding(Section):
    """OmniFold's iterations and its treatment of acceptance and normalisation."""

    iterations: Positive = Field(5, description="OmniFold iterations.")
    particle_level: Literal["all", "pass_gen"] = Field(
        "all",
        description="Unfold all generated records, or only those in the fiducial region "
        "(the others are fakes where they pass at detector level).",
    )
    normalization: Literal["absolute", "shape"] = Field(
        "absolute", description="Whether the result carries a yield or only a shape."
    )
    scale: Literal["detector"] | Annotated[float, Field(gt=0)] = Field(
        "detector",
        description="Factor s on the simulation: `detector` makes both detector-level sums "
        "agree; a number is used as it is (the luminosity ratio).",
    )
    misses: Literal["unity", "conditional_mean"] = Field(
        "unity",
        description="Step-1 ratio of misses: 1, or the mean ratio of matched events with the same "
        "particle level, learned by one more training per network and iteration.",
    )
    fakes: Literal["unity", "conditional_mean"] = Field(
        "unity",
        description="Push weight of fakes: 1, or the mean weight of matched events with the same "
        "detector level, learned by one more training per network and iteration.",
    )
    restart: Restart = Field(Restart(), description="From iteration to iteration.")


class Method(Section):
    """An unfolding strategy: lanes x members and a start policy."""

    lanes: Positive = Field(1, description="Complete OmniFold runs, combined at the end.")
    members: Positive = Field(1, description="Networks per step, aggregated before the next step.")
    aggregate: Combination = Field("mean", description="Aggregation of the members of a step.")
    start: Literal["scratch", "pretrained", "backbone"] = Field(
        "scratch",
        description="`pretrained` loads backbone and head, `backbone` draws a new head.",
    )

    @model_validator(mode="after")
    def _truncation_needs_members(self) -> Method:
        if self.aggregate == "truncated_mean" and self.members < 3:
            raise ValueError("aggregate: truncated_mean needs at least 3 members")
        return self


ObservableName = Literal[
    "eta_p_minus_eta_e",
    "log10_pt",
    "log10_pt_over_q",
    "jet_pt",
    "jet_eta",
    "jet_tau21",
    "q2",
    "eta_e",
    "dphi_jet_e",
    "y",
    "multiplicity",
]
DEFAULT_OBSERVABLES: tuple[ObservableName, ...] = (
    "eta_p_minus_eta_e",
    "log10_pt",
    "log10_pt_over_q",
    "jet_pt",
    "jet_eta",
    "jet_tau21",
    "q2",
    "eta_e",
    "dphi_jet_e",
)


class Observables(Section):
    """What is histogrammed and compared."""

    names: tuple[ObservableName, ...] = Field(
        DEFAULT_OBSERVABLES, description="Observables, in the order of the report."
    )
    binning: dict[ObservableName, tuple[float, ...]] = Field(
        {}, description="Bin edges that replace the defaults, per observable."
    )
    region: Literal["fiducial", "all"] = Field(
        "fiducial", description="Events at particle level that metrics are evaluated on."
    )

    @field_validator("names")
    @classmethod
    def _names_are_unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("observables must be named once each, and at least one")
        return value

    @field_validator("binning")
    @classmethod
    def _edges_increase(cls, value: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for name, edges in value.items():
            if len(edges) < 2 or any(b <= a for a, b in pairwise(edges)):
                raise ValueError(f"{name}: at least two bin edges, strictly increasing")
        return value


class Execution(Section):
    """Where and how jobs run; never changes a number beyond rounding."""

    networks_per_job: Positive = Field(
        5, description="Networks trained one after the other in one job."
    )
    threads: Positive = Field(1, description="Threads of one rank of a training job.")
    engine: Literal["auto", "tensorflow", "native"] = Field(
        "auto",
        description="What evaluates networks. `native`: C++, for the PET on a CPU; compiled at its "
        "first use. `auto`: that where it can be used, TensorFlow elsewhere.",
    )
    precision: Literal["float32", "mixed_bfloat16"] = Field(
        "float32",
        description="Of the networks' arithmetic in TensorFlow; parameters, norms, softmax and "
        "logits stay in float32. `mixed_bfloat16` is for GPUs and changes results slightly.",
    )
    stack: Literal["auto"] | Positive = Field(
        "auto",
        description="Networks of a job that TensorFlow trains together, as a leading axis of the "
        "tensors. `auto`: all of a job on a GPU, one at a time on a CPU.",
    )
    ranks: Positive = Field(
        1,
        description="Processes of one training job; several share every batch, with Horovod.",
    )
    checkpoint: float = Field(
        10.0, gt=0, description="Minutes between checkpoints, from which a killed job goes on."
    )
    mem_mb: Positive = Field(
        3000, description="Memory of one rank of a training job, in MB; retries ask for more."
    )
    runtime: Positive | None = Field(
        None,
        description="Time limit of one training job, in minutes. Without it the limit is "
        "estimated, and retries get more.",
    )
    gpus: int = Field(
        0, ge=0, description="GPUs of one training job: none, or one for each of several ranks."
    )

    @model_validator(mode="after")
    def _precision_of_the_engine(self) -> Execution:
        if self.engine == "native" and self.precision != "float32":
            raise ValueError("engine: native computes in float32 only; leave precision out")
        return self

    @model_validator(mode="after")
    def _a_gpu_for_every_rank(self) -> Execution:
        if self.ranks > 1 and self.gpus not in (0, self.ranks):
            raise ValueError(f"gpus ({self.gpus}) must be 0 or as many as ranks ({self.ranks})")
        return self


class Config(Section):
    """A study: everything that a user can set."""

    study: Study = Field(description="Name, seed and repetitions.")
    samples: Samples = Field(description="Input events.")
    classifier: Classifier = Field(Classifier(), description="The networks.")
    training: Training = Field(Training(), description="Their training.")
    unfolding: Unfolding = Field(Unfolding(), description="OmniFold.")
    methods: dict[Name, Method] = Field(min_length=1, description="Strategies to compare.")
    combine: tuple[Combination, ...] = Field(
        ("mean", "median", "truncated_mean", "log_mean"),
        min_length=1,
        description="Combinations of lanes; the first is the headline. Changing it trains nothing.",
    )
    observables: Observables = Field(Observables(), description="What is compared.")
    execution: Execution = Field(Execution(), description="Jobs.")

    @model_validator(mode="after")
    def _pretraining_is_there(self) -> Config:
        for name, method in self.methods.items():
            if method.start != "scratch" and self.samples.pretraining is None:
                raise ValueError(
                    f"methods.{name}.start is {method.start!r} but samples.pretraining is missing"
                )
        return self

    @model_validator(mode="after")
    def _rate_factor_of_the_optimizer(self) -> Config:
        if self.training.optimizer == "ecd" and self.unfolding.restart.rate_factor != 1:
            raise ValueError(
                "unfolding.restart.rate_factor does not act on training.optimizer: ecd; leave it "
                "out"
            )
        return self

    @model_validator(mode="after")
    def _samples_are_disjoint(self) -> Config:
        samples = {"data": self.samples.data, "simulation": self.samples.simulation}
        pair = self.samples.pretraining
        if pair is not None and not pair.allow_overlap:
            samples["pretraining.numerator"] = pair.numerator
            samples["pretraining.denominator"] = pair.denominator
        for (one, a), (two, b) in combinations(samples.items(), 2):
            if _overlap(a, b):
                raise ValueError(
                    f"samples.{one} and samples.{two} hold the same events; give another seed, "
                    "other files, or other records (skip, events)"
                )
        return self

    @field_validator("combine")
    @classmethod
    def _combinations_are_unique(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each combination may be named once")
        return value


def _overlap(a: PythiaSample | H1Sample, b: PythiaSample | H1Sample) -> bool:
    """Return whether two samples share events as far as their configuration tells."""
    if isinstance(a, PythiaSample) and isinstance(b, PythiaSample):
        return a.model_dump(exclude={"events"}) == b.model_dump(exclude={"events"})
    if isinstance(a, H1Sample) and isinstance(b, H1Sample):
        if a.files == b.files:  # records are counted over the files in order
            ends = [s.skip + s.events if s.events else math.inf for s in (a, b)]
            return a.skip < ends[1] and b.skip < ends[0]
        return bool(set(a.files) & set(b.files))
    return False
