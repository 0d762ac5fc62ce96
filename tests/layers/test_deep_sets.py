"""The network of a set: its formula, its invariance, what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import perturb

from tfp_flows.layers import DeepSets

X = np.random.default_rng(0).normal(size=[4, 6, 2])


def layer(pooling="mean", dtype="float64", **options):
    options = {"point_units": (8, 5), "set_units": (7,), "activation": "tanh", **options}
    net = DeepSets(3, pooling=pooling, seed=1, dtype=dtype, **options)
    net.build((None, None, 2))
    perturb([v.value for v in net.variables])
    return net


@pytest.mark.parametrize(("pooling", "pool"), [("mean", np.mean), ("max", np.max)])
def test_value_is_the_formula(pooling, pool):
    net = layer(pooling)
    weights = {v.path.split("/", 1)[1]: v.numpy() for v in net.variables}

    def dense(name, h):
        return h @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    h = np.tanh(dense("point_network/dense_0", np.arcsinh(X)))
    h = pool(dense("point_network/output", h), axis=1)
    h = dense("set_network/output", np.tanh(dense("set_network/dense_0", h)))
    np.testing.assert_allclose(net(X), h, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_order_does_not_matter_and_points_do(pooling):
    net = layer(pooling)
    shuffled = X[:, [3, 1, 5, 0, 4, 2]]
    np.testing.assert_allclose(net(shuffled), net(X), rtol=1e-14, atol=1e-14)
    twice = np.concatenate([X, X], axis=1)
    np.testing.assert_allclose(net(twice), net(X), rtol=1e-14, atol=1e-14)
    assert np.abs(net(X + [0.5, 0.0]) - net(X)).max(axis=1).min() > 1e-3
    # Not a function of the mean of points alone.
    assert np.abs(net(X.mean(axis=1, keepdims=True)) - net(X)).max() > 1e-3


def test_shapes_and_start():
    net = DeepSets(3, (8,), (), dtype="float64", seed=0)
    assert net(X).shape == [4, 3] and not np.any(net(X))
    perturb([v.value for v in net.variables])
    assert net(X[0]).shape == [3] and net(X[np.newaxis]).shape == [1, 4, 3]
    np.testing.assert_allclose(net(X[:, :1]), net(X[:, :1][np.newaxis])[0], rtol=1e-12)
    assert net.compute_output_shape((5, None, 2)) == (5, 3)


def test_far_points_give_finite_values_and_gradients():
    net = layer(dtype="float32", activation="relu")
    x = X.copy()
    x[0, 2], x[1, 0, 0] = 1e30, -1e30
    x = tf.Variable(x, dtype=tf.float32)

    @tf.function(jit_compile=True, autograph=False)
    def run():
        with tf.GradientTape() as tape:
            h = net(x)
        return h, tape.gradient(h, [x, *net.trainable_variables])

    for part in tf.nest.flatten(run()):
        assert np.isfinite(part).all()


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_serialisation_gives_a_built_layer(pooling):
    net = layer(pooling)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(net))
    assert again.built and [v.shape for v in again.weights] == [v.shape for v in net.weights]
    again.set_weights(net.get_weights())
    np.testing.assert_array_equal(again(X), net(X))


@pytest.mark.parametrize("shape", [(4, 6, 3), (4, 0, 2), (2,)], ids=str)
def test_sets_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"takes `x` of shape \[..., M, 2\].*Received: x.shape="):
        layer()(np.zeros(shape))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("output_size", 0, ValueError),
        ("point_units", (), TypeError),
        ("point_units", 8, TypeError),
        ("point_units", (8, 0), ValueError),
        ("set_units", "wide", TypeError),
        ("pooling", "median", ValueError),
        ("seed", -1, ValueError),
    ],
)
def test_arguments(name, value, error):
    with pytest.raises(error, match=f"`{name}` must be .*Received: {name}="):
        DeepSets(**{"output_size": 3, name: value})
