"""A classifier of one's own: a small Keras model of event columns and the mean over particles.

classifier:
  kind: classifier:small        # this file beside the YAML file
  options: { units: 16 }
"""

import keras
import keras.ops as ops


def small(settings, particle_features, event_features):
    """Return a Keras model for F particle and E event features.

    It maps a dict of `particles` (B, N, F), `mask` (B, N; 1 for particles, 0 for padding),
    `neighbours` (B, N, K; indices of particles, -1 for none) and `event` (B, E) to outputs (B, 1),
    and need not use all of them. Its last layer is called `head`; all weights are trained.
    `settings` is the section `classifier`.
    """
    units = int(settings.options.get("units", 8))
    particles = keras.Input((None, particle_features), name="particles")
    mask = keras.Input((None,), name="mask")
    event = keras.Input((event_features,), name="event")
    each = keras.layers.Dense(units, activation="gelu")(particles)
    present = ops.expand_dims(mask, -1)
    count = ops.sum(present, axis=1)
    mean = ops.sum(each * present, axis=1) / ops.maximum(count, 1)
    x = keras.layers.Concatenate()([mean, count / 10, event])
    x = keras.layers.Dense(units, activation="gelu")(x)
    outputs = keras.layers.Dense(1, name="head")(x)
    return keras.Model({"particles": particles, "mask": mask, "event": event}, outputs)
