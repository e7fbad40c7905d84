"""Paths: every file and folder of a study, from its coordinates."""

from __future__ import annotations

from pathlib import Path

from omniflow.unfolding.coordinates import STEP_NAMES, Block, Group, Network, prefixed

_STAGE = "training/{chain}/pass-{pass_}/{group}/iteration-{iteration}/step-{step}"

# Every file and folder of a study, relative to its root; Snakemake reads them as wildcards.
PATTERNS = {
    "config": "config.yaml",
    # No rule's output: notes of files that no rule makes.
    "checksums": "checksums",
    "store": "samples/{role}.h5",
    "scaling": "features/scaling.json",
    # Where its features are others than those of detector level.
    "particle_scaling": "features/scaling-particle.json",
    "features": "features/{role}-{level}.h5",
    "observables": "observables/{role}",
    "axes": "axes.json",
    "pretrained": "pretraining/model-{model}",
    "logits": _STAGE + "/block-{block}/logits.h5",
    "history": _STAGE + "/block-{block}/history.json",
    "networks": _STAGE + "/block-{block}/networks",
    "weights": _STAGE + "/weights.h5",
    # No rule's output: Snakemake must not remove what a killed job has trained.
    "checkpoint": "checkpoints/{chain}/pass-{pass_}/iteration-{iteration}-step-{step}"
    "-lane-{lane}-member-{member}{fold}-attempt-{attempt}.h5",
    "round": "lanes/{method}/round-{round}.json",
    "unfolded": "unfolded/{method}",
    "histograms": "histograms/{method}.h5",
    "second": "second_classifier/{subject}.json",
    "oracle": "oracle",
    "response": "response/{role}.json",
    "log": "logs/{job}.log",
    "benchmark": "benchmarks/{job}.tsv",
}


class Paths:
    """Where everything of a study lies."""

    def __init__(self, root: Path) -> None:
        """Take the study's folder; nothing is read or written."""
        self.root = root

    def pattern(self, kind: str) -> str:
        """Return the path of `kind` with its coordinates as wildcards."""
        return str(self.root / PATTERNS[kind])

    def path(self, kind: str, **coordinates: object) -> Path:
        """Return the path of `kind` at `coordinates`."""
        return self.root / PATTERNS[kind].format(**coordinates)

    def store(self, role: str) -> Path:
        """Event store of a sample."""
        return self.path("store", role=role)

    def features(self, role: str, level: str) -> Path:
        """Classifier inputs of a sample at `detector` or `particle` level."""
        return self.path("features", role=role, level=level)

    def observables(self, role: str) -> Path:
        """Folder of cached observables of a sample: detector.h5 and, with truth, particle.h5."""
        return self.path("observables", role=role)

    @property
    def axes(self) -> Path:
        """Observables as they are histogrammed: names, labels, bin edges."""
        return self.path("axes")

    def pretrained(self, model: int = 0) -> Path:
        """Folder of a pre-trained model."""
        return self.path("pretrained", model=model)

    def logits(self, block: Block) -> Path:
        """Logits of a block's networks, (network, event)."""
        return self._block_path("logits", block)

    def history(self, block: Block) -> Path:
        """Histories of a block's networks."""
        return self._block_path("history", block)

    def sibling_histories(self, block: Block) -> list[Path]:
        """Return the histories that exist of the same chain, pass, iteration and step."""
        stage = _stage(block.group, block.iteration, block.step)
        stage |= {"group": prefixed(block.group.variant, "lanes-*"), "block": "*"}
        return sorted(self.root.glob(PATTERNS["history"].format(**stage)))

    def networks_folder(self, block: Block) -> Path:
        """Folder of a block's trained networks."""
        return self._block_path("networks", block)

    def _block_path(self, kind: str, block: Block) -> Path:
        stage = _stage(block.group, block.iteration, block.step)
        return self.path(kind, **stage, block=block.index)

    @staticmethod
    def network_file(network: Network) -> str:
        """Return the file name of a trained network."""
        return f"lane-{network.lane}-member-{network.member}{_fold(network)}.weights.h5"

    def checkpoint(self, network: Network, attempt: int = 0) -> Path:
        """State of a training that has not yet become a job's output."""
        chain = prefixed(network.variant, network.chain)
        place = vars(network) | {"chain": chain, "step": STEP_NAMES[network.step]}
        place["fold"] = _fold(network)
        return self.path("checkpoint", **place, attempt=attempt)

    def weights(self, group: Group, iteration: int, step: int) -> Path:
        """Event weights of the lanes of a group after a step, (lane, event)."""
        return self.path("weights", **_stage(group, iteration, step))

    def round(self, method: str, number: int) -> Path:
        """What a round of a method that gets lanes until a target is met has found, from 1."""
        return self.path("round", method=method, round=number)

    def unfolded(self, method: str, combine: str, pass_: int) -> Path:
        """Final weights of one pass of a method, or of another result."""
        return self.path("unfolded", method=method) / combine / f"pass-{pass_}.h5"

    def histograms(self, method: str) -> Path:
        """Histograms of a method or result: all combinations, passes and iterations."""
        return self.path("histograms", method=method)

    def second(self, subject: str) -> Path:
        """History and verdict of the second classifiers of a subject."""
        return self.path("second", subject=subject)

    @property
    def oracle(self) -> Path:
        """Folder of the oracle: history, network and ratios."""
        return self.path("oracle")

    def response(self, role: str) -> Path:
        """Test whether a sample has the detector response of the simulation."""
        return self.path("response", role=role)

    def table(self, name: str) -> Path:
        """Table, or other result for the reader, in the study's folder."""
        return self.root / name


def _fold(network: Network) -> str:
    return f"-fold-{network.fold}" if network.fold else ""


def _stage(group: Group, iteration: int, step: int) -> dict[str, object]:
    return {
        "chain": group.chain,
        "pass_": group.pass_,
        "group": group.slug,
        "iteration": iteration,
        "step": STEP_NAMES[step],
    }
