"""Configuration of jobs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from omniflow.config.section import Positive, Section


class Execution(Section):
    """Where and how jobs run; never changes a number beyond rounding."""

    networks_per_job: Positive = Field(
        5, description="Networks trained one after the other in one job."
    )
    threads: Positive = Field(1, description="Threads of one rank of a training job.")
    engine: Literal["auto", "tensorflow", "native"] = Field(
        "auto",
        description="What evaluates networks. `native`: C++, for built-in classifiers on a CPU; "
        "compiled at its first use. `auto`: that where it can be used, TensorFlow elsewhere.",
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
