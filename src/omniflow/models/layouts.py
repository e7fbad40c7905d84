"""Layouts of the built-in classifiers: the parameters of `pet.PET`, `sets.DeepSets`, `sets.MLP`.

They say what Keras' models are made of, so that a network can be drawn, trained by the native
engine and kept in a file without Keras. Tests compare both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from omniflow.config.training import Classifier
from omniflow.models.layout import Layout, Parameter, inside


def layout(
    settings: Classifier, particle_features: int, event_features: int, output: float = 0.0
) -> Layout:
    """Return the layout of a built-in classifier.

    Args:
        settings: kind and sizes.
        particle_features: F.
        event_features: E.
        output: what networks start around, the head's bias.
    """
    found = _KINDS[settings.kind](settings, particle_features, event_features)
    *others, bias = found.parameters
    return replace(found, parameters=(*others, replace(bias, constant=output)))


def _dense(inputs: int, outputs: int, bias: bool = True) -> list[Parameter]:
    kernel = Parameter("kernel", (inputs, outputs), place="vars/0")
    return [kernel, Parameter("bias", (outputs,), place="vars/1")] if bias else [kernel]


def _hidden(inputs: int, hidden: int, outputs: int) -> list[Parameter]:
    return [
        *inside("first", _dense(inputs, hidden)),
        *inside("second", _dense(hidden, outputs)),
    ]


def _norm(width: int) -> list[Parameter]:
    return [
        Parameter("gamma", (width,), 1.0, "vars/0"),
        Parameter("beta", (width,), 0.0, "vars/1"),
    ]


def _scale(width: int, initial: float) -> list[Parameter]:
    return [Parameter("scale", (width,), initial, "vars/0")]


def _attention(width: int) -> list[Parameter]:
    return [
        *inside("query", _dense(width, width)),
        *inside("key", _dense(width, width, bias=False)),
        *inside("value", _dense(width, width)),
        *inside("output", _dense(width, width), "output_dense"),
    ]


def _local(inputs: int, width: int) -> list[Parameter]:
    return [
        Parameter("edge_kernel", (2 * inputs, 2 * width), place="vars/0"),
        Parameter("edge_bias", (2 * width,), place="vars/1"),
        *inside("dense", _dense(2 * width, width)),
    ]


def _pet(settings: Classifier, particle_features: int, event_features: int) -> Layout:
    width, blocks, classes = settings.width, settings.blocks, settings.class_blocks
    transformer = [
        *inside("norm_1", _norm(width)),
        *inside("attention", _attention(width)),
        *inside("scale_1", _scale(width, settings.layer_scale)),
        *inside("norm_2", _norm(width)),
        *inside("hidden", _hidden(width, 2 * width, width)),
        *inside("scale_2", _scale(width, settings.layer_scale)),
    ]
    class_block = [
        *inside("norm_1", _norm(width)),
        *inside("attention", _attention(width)),
        *inside("norm_2", _norm(width)),
        *inside("hidden", _hidden(width, 2 * width, width)),
    ]
    found = [
        *inside("embedding", _hidden(particle_features, 2 * width, width)),
        *inside("local_1", _local(particle_features, width), "layers/local_embedding"),
        *inside("local_2", _local(width, width), "layers/local_embedding_1"),
        *inside("condition", _dense(event_features, 2 * width)),
    ]
    for i in range(blocks):
        found += inside(f"block_{i}", transformer, _numbered("layers/transformer_block", i))
    found += inside("token", [Parameter("token", (1, width), place="vars/0")], "layers/class_token")
    for i in range(classes):
        found += inside(f"class_{i}", class_block, _numbered("class_blocks/class_block", i))
    found += inside("norm", _norm(width), "layers/layer_norm")
    found += inside("head", _dense(width, 1))
    parts = [*(f"block_{i}/hidden" for i in range(blocks))]
    parts += [f"class_{i}/hidden" for i in range(classes)]
    dropped = [
        *("local_1/dense/kernel", "local_2/dense/kernel"),
        *(f"{part}/second/kernel" for part in ("embedding", *parts)),
        "head/kernel",
    ]
    return Layout(tuple(found), tuple(dropped))


def _deepsets(settings: Classifier, particle_features: int, event_features: int) -> Layout:
    widths = settings.widths
    # Mean over particles, multiplicity and event features.
    found = [
        *_chain("particle", widths, particle_features),
        *_chain("event", widths, widths[-1] + 1 + event_features, len(widths)),
        *inside("head", _dense(widths[-1], 1)),
    ]
    layers = range(1, len(widths))
    names = [f"{part}_{i}/kernel" for part in ("particle", "event") for i in layers]
    return Layout(tuple(found), (*names, "head/kernel"))


def _mlp(settings: Classifier, particle_features: int, event_features: int) -> Layout:
    widths = settings.widths
    found = [*_chain("event", widths, event_features), *inside("head", _dense(widths[-1], 1))]
    names = [f"event_{i}/kernel" for i in range(1, len(widths))]
    return Layout(tuple(found), (*names, "head/kernel"))


def _chain(name: str, widths: Sequence[int], inputs: int, before: int = 0) -> list[Parameter]:
    """Return dense layers that follow one another; `before` others come before them in files."""
    found = []
    for i, width in enumerate(widths):
        found += inside(f"{name}_{i}", _dense(inputs, width), _numbered("layers/dense", before + i))
        inputs = width
    return found


def _numbered(place: str, number: int) -> str:
    """Return the place of layer `number` of a class, as Keras counts them."""
    return f"{place}_{number}" if number else place


_KINDS: dict[str, Callable[[Classifier, int, int], Layout]] = {
    "pet": _pet,
    "deepsets": _deepsets,
    "mlp": _mlp,
}
