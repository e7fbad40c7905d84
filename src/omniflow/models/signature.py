"""Signature: what a network reads and what its output means, kept in the file of its weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from omniflow import registry
from omniflow.config.training import Classifier
from omniflow.errors import InputError
from omniflow.features.feature_set import FeatureSet
from omniflow.features.scaling import Scaling
from omniflow.files import MISREAD, to_json
from omniflow.hdf5 import open_h5

ATTRIBUTE = "omniflow"
# Inputs that differ by more in mean or width, in standard deviations, are not what a network knows.
# Simulations of the same process that are worth a reweighting differ by a few hundredths.
TOLERANCE = 0.2

_SEEN = ("particles", "event")
# What does not act on a kind of classifier. A user's own may read anything.
_OF_PET = {"layer_scale", "heads", "class_blocks", "neighbours"}
_UNUSED = {"pet": {"layer_scale"}, "deepsets": _OF_PET, "mlp": _OF_PET}
_WIDTHS = {"width", "blocks", "layers"}


@dataclass(frozen=True)
class Signature:
    """What networks of one study have in common.

    Attributes:
        classifier: architecture.
        features: what they see.
        loss: as `training.loss`, which says how the output becomes a ratio.
        scaling: of the features.
        text: hash of the text of a classifier of the user's own; None for one that is built in.
    """

    classifier: Classifier
    features: FeatureSet
    loss: str
    scaling: Scaling
    text: str | None = None

    def write(self, path: Path) -> None:
        """Add the signature to a file of weights, as an attribute that Keras does not read."""
        text = {
            "classifier": self.classifier.model_dump(mode="json"),
            "features": dataclasses.asdict(self.features),
            "loss": self.loss,
            "scaling": json.loads(self.scaling.to_json()),
            "text": self.text,
        }
        with h5py.File(path, "r+", locking=False) as file:
            file.attrs[ATTRIBUTE] = to_json(text)

    @classmethod
    def read(cls, path: Path) -> Signature:
        """Return the signature of a file.

        Raises:
            InputError: missing or damaged, or not written by a study of this version.
        """
        with open_h5(path) as file:
            text = file.attrs.get(ATTRIBUTE)
        try:
            found = json.loads(text)
            scaling = Scaling.from_json(json.dumps(found["scaling"]))
            classifier = Classifier.model_validate(found["classifier"] | {"features": "auto"})
            features = FeatureSet(**found["features"])
            return cls(classifier, features, found["loss"], scaling, found.get("text"))
        except MISREAD as error:
            raise InputError(
                f"{path}: does not say for what inputs the network was trained, so that it cannot "
                "be checked. Give a file that a study of this version of omniflow has written "
                "(pretraining/model-<n>/network.weights.h5 in its folder)."
            ) from error

    def require(self, path: Path, head: bool) -> None:
        """Refuse a file whose network would not mean here what it meant where it was trained.

        Args:
            path: of the weights.
            head: whether the last layer is used as well.

        Raises:
            InputError: as `read`, or another classifier, loss or scaling; the message names all.
        """
        other = self.read(path)
        wrong = [*self._classifier(other), *self._features(other), *self._scales(other)]
        if head and other.loss != self.loss:
            wrong.append(
                f"training.loss is {other.loss} there and {self.loss} here (start: backbone would "
                "draw a new last layer)"
            )
        if wrong:
            raise InputError(
                f"{path}: this network does not fit the study: {'; '.join(wrong)}. Use the "
                "settings it was trained with, or pre-train a network here."
            )

    def _classifier(self, other: Signature) -> list[str]:
        ours, theirs = self.classifier, other.classifier
        unused = _UNUSED.get(ours.kind, set()) if ours.kind == theirs.kind else set()
        if (ours.layers or theirs.layers) and ours.widths == theirs.widths:
            unused = unused | _WIDTHS  # which say the same in two ways
        wrong = [
            f"classifier.{key} is {_said(theirs, key)} there and {_said(ours, key)} here"
            for key in type(ours).model_fields
            if key not in {*unused, "features"} and _said(theirs, key) != _said(ours, key)
        ]
        if self.text != other.text and _said(ours, "kind") == _said(theirs, "kind"):
            wrong.append(f"the module of {ours.kind} has another text here than there")
        return wrong

    def _features(self, other: Signature) -> list[str]:
        """Return what differs in what networks see, the first of each kind."""
        wrong = []
        for kind in ("define", *(("event",) if self.classifier.kind == "mlp" else _SEEN)):
            ours, theirs = (dict(getattr(each.features, kind)) for each in (self, other))
            if list(ours.items()) == list(theirs.items()):
                continue
            names = [name for name in (*theirs, *ours) if theirs.get(name) != ours.get(name)]
            name = names[0] if names else next(iter(ours))
            there, here = (found.get(name, "not there") for found in (theirs, ours))
            same = "" if names else ", in another order"
            wrong.append(f"{kind} feature {name!r} is {there!r} there and {here!r} here{same}")
        return wrong

    def _scales(self, other: Signature) -> list[str]:
        wrong = []
        for part in ("event",) if self.classifier.kind == "mlp" else ("particle", "event"):
            mean, std = (getattr(self.scaling, f"{part}_{what}") for what in ("mean", "std"))
            there, width = (getattr(other.scaling, f"{part}_{what}") for what in ("mean", "std"))
            if mean.shape != there.shape:
                wrong.append(f"{len(there)} {part} features there, {len(mean)} here")
                continue
            far = (np.abs(mean - there) > TOLERANCE * std) | (
                np.abs(np.log(width / std)) > np.log1p(TOLERANCE)
            )
            wrong += [
                f"{part} feature {self._name(part, i)} is {there[i]:.3g} with standard deviation "
                f"{width[i]:.3g} there, {mean[i]:.3g} with {std[i]:.3g} here"
                for i in np.flatnonzero(far)
            ]
        return wrong

    def _name(self, part: str, i: int) -> str:
        found = self.features.particles if part == "particle" else self.features.event
        return repr(list(found)[i])


def _said(classifier: Classifier, key: str) -> object:
    """Return what a classifier says; of one of the user's own its name, wherever it lies."""
    value = getattr(classifier, key)
    if key == "kind" and value not in registry.BUILT_IN["classifier"]:
        return value.rpartition(":")[2]
    return value
