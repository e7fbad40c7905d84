"""What tests of mapped sources share: read files by a mapping, and brute-force particles."""

import numpy as np
import pytest

from omniflow import registry
from omniflow.errors import InputError
from omniflow.events.sample import Events


def source(kind, *files, **settings):
    """A source of a kind, as a configuration gives it."""
    model = registry.find("source", kind)
    return model.model_validate({"source": kind, "files": files, **settings})


def read(kind, *files, **settings):
    """All events of a source, as one sample."""
    return Events.joined(list(source(kind, *files, **settings).read()))


def lists(level, column):
    """Particles' numbers of one column, as one list per event."""
    values = level.particles[:, level.particle_columns.index(column)]
    return [values[a:b].tolist() for a, b in zip(level.offsets, level.offsets[1:], strict=False)]


def refused(message, kind, *files, **settings):
    """The source is refused with a message."""
    with pytest.raises(InputError, match=message):
        read(kind, *files, **settings)


def same(one, other):
    """Two samples are equal in every number."""
    assert np.array_equal(one.event_id, other.event_id)
    assert np.array_equal(one.weight, other.weight)
    assert np.array_equal(one.pass_detector, other.pass_detector)
    assert (one.particle is None) == (other.particle is None)
    if one.particle is not None:
        assert np.array_equal(one.pass_particle, other.pass_particle)
    for level in ("detector", "particle"):
        a, b = getattr(one, level), getattr(other, level)
        if a is not None:
            assert (a.event_columns, a.particle_columns) == (b.event_columns, b.particle_columns)
            assert np.array_equal(a.event, b.event)
            assert np.array_equal(a.offsets, b.offsets)
            assert np.array_equal(a.particles, b.particles)
