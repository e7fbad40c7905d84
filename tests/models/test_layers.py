import keras
import numpy as np
import pytest
import slow_pet
import tensorflow as tf

from omniflow.models import layers


def _filled(layer, shape, seed=0):
    layer.build(shape)
    rng = np.random.default_rng(seed)
    for variable in layer.variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def _with_random_denses(layer, rng):
    layer.build()
    for variable in (v for sub in layer._flatten_layers() for v in sub._trainable_variables):
        variable.assign(rng.normal(size=variable.shape))
    return layer


def test_gelu_and_its_gradient_are_those_of_tensorflow():
    x = tf.constant(np.linspace(-12, 12, 4801), tf.float64)
    upstream = tf.constant(np.random.default_rng(0).normal(size=4801))
    results = []
    for function in (layers.gelu, lambda x: tf.nn.gelu(x, approximate=True)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        results.append((y, tape.gradient(y, x, upstream)))
    for ours, theirs in zip(*results, strict=True):
        # TensorFlow keeps the constant 0.044715 in float32.
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=5e-9)


def test_layer_norm_and_its_gradients_are_those_of_keras(float64):
    x = tf.constant(np.random.default_rng(1).normal(2, 3, (7, 6)))
    upstream = tf.constant(np.random.default_rng(2).normal(size=(7, 6)))
    results = []
    for layer in (layers.LayerNorm(), keras.layers.LayerNormalization(epsilon=1e-6)):
        _filled(layer, (None, 6))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        gradients = tape.gradient(y, [x, *(v.value for v in layer.variables)], upstream)
        results.append((y, *gradients))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_layer_norm_of_a_constant_row_is_finite():
    layer = _filled(layers.LayerNorm(), (None, 4))
    x = tf.constant([[0.0] * 4, [5.0] * 4])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    np.testing.assert_allclose(y, np.tile(layer.beta, (2, 1)), atol=1e-6)
    assert np.all(np.isfinite(tape.gradient(y, x)))


def test_layer_scale_multiplies_each_channel():
    layer = layers.LayerScale(0.25)
    layer.build((None, 3))
    np.testing.assert_array_equal(layer(tf.constant([[4.0, 8.0, -2.0]])), [[1, 2, -0.5]])


def test_masked_mean_leaves_padding_out():
    x = tf.constant([[[1.0], [5.0], [9.0]], [[7.0], [8.0], [9.0]]])
    mask = tf.constant([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(layers.masked_mean(x, mask), [[3], [0]])


def test_local_embedding_equals_dense_layers_on_every_edge(float64):
    rng = np.random.default_rng(3)
    neighbours = np.array(
        [
            [[1, 2, 3], [0, -1, -1], [3, 1, -1], [-1, -1, -1], [4, -1, -1]],
            [[-1, 3, -1], [2, 0, 4], [1, 0, 3], [0, 1, 2], [-1, -1, -1]],
        ]
    )
    x = rng.normal(size=(2, 5, 4))
    layer = layers.LocalEmbedding(6)
    layer.build((None, 4))
    for variable in layer.variables:
        variable.assign(rng.normal(size=variable.shape))
    fast = layer(tf.constant(x.reshape(10, 4)), tf.constant(neighbours, tf.int32))
    weights = slow_pet.weights(layer)
    slow = [
        slow_pet.edge_convolution(weights, layer.name, list(event), index)
        for event, index in zip(x, neighbours, strict=True)
    ]
    np.testing.assert_allclose(fast, np.concatenate(slow), rtol=1e-12, atol=1e-13)
    assert np.abs(layer.dense.bias).min() > 0.01
    np.testing.assert_array_equal(fast[3], np.zeros(6))  # no neighbour: not the bias


@pytest.mark.parametrize("k", [1, 3, 20])
def test_learned_neighbours_are_the_nearest_existing_others(k):
    rng = np.random.default_rng(4)
    counts = (0, 1, 2, 4, 7)
    x = rng.normal(size=(5, 7, 3)).astype(np.float32)
    mask = (np.arange(7) < np.array(counts)[:, None]).astype(np.float32)
    found = layers.learned_neighbours(tf.constant(x.reshape(-1, 3)), tf.constant(mask), k).numpy()
    assert found.shape == (5, 7, k)
    for event, count in enumerate(counts):
        expected = slow_pet.nearest(x[event, :count], k)
        np.testing.assert_array_equal(found[event, :count], expected)


def test_learned_neighbours_exclude_oneself_by_index():
    x = tf.constant([[1.0, 2.0]] * 3 + [[5.0, 5.0]])
    found = layers.learned_neighbours(x, tf.ones((1, 4)), 2).numpy()[0]
    assert all(i not in row for i, row in enumerate(found))
    assert [set(row) for row in found[:3]] == [{1, 2}, {0, 2}, {0, 1}]


def attention(layer, query, rows):
    return slow_pet.attention(slow_pet.weights(layer), layer.name, query, list(rows), layer.heads)


@pytest.fixture
def attention_inputs(float64):
    rng = np.random.default_rng(5)
    norm = _filled(layers.LayerNorm(), (None, 6), seed=6)
    x = layers.standardised(tf.constant(rng.normal(size=(10, 6))))
    mask = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1.0]])
    normed = (x.numpy() * norm.gamma + norm.beta).reshape(2, 5, 6)
    return rng, norm, x, mask, normed


def test_self_attention_equals_plain_numpy(attention_inputs):
    rng, norm, x, mask, normed = attention_inputs
    layer = _with_random_denses(layers.SelfAttention(6, 3), rng)
    scale = _filled(layers.LayerScale(1.0), (None, 6), seed=7)
    fast = layer(x, tf.constant(mask), norm=norm, scale=scale).numpy().reshape(2, 5, 6)
    for event, rows, exists in zip(fast, normed, mask == 1, strict=True):
        slow = [attention(layer, row, rows[exists]) * np.array(scale.scale) for row in rows[exists]]
        np.testing.assert_allclose(event[exists], slow, rtol=1e-10)


def test_class_attention_equals_plain_numpy(attention_inputs):
    rng, norm, x, mask, normed = attention_inputs
    layer = _with_random_denses(layers.ClassAttention(6, 3), rng)
    token = layers.standardised(tf.constant(rng.normal(size=(2, 6))))
    fast = layer(token, x, tf.constant(mask), norm=norm)
    tokens = token.numpy() * norm.gamma + norm.beta
    for event, own, rows, exists in zip(fast, tokens, normed, mask == 1, strict=True):
        keys = np.concatenate([own[None], rows[exists]])
        np.testing.assert_allclose(event, attention(layer, own, keys), rtol=1e-10)


def test_hidden_takes_norm_and_scale(float64):
    rng = np.random.default_rng(8)
    layer = layers.Hidden(7, 6, "gelu")
    layer.build((None, 6))
    for variable in layer.variables:
        variable.assign(rng.normal(size=variable.shape))
    norm = _filled(layers.LayerNorm(), (None, 6), seed=9)
    scale = _filled(layers.LayerScale(1.0), (None, 6), seed=10)
    x = layers.standardised(tf.constant(rng.normal(size=(4, 6))))
    slow = scale(layer(x * norm.gamma + norm.beta))
    np.testing.assert_allclose(layer(x, norm=norm, scale=scale), slow, rtol=1e-10)
