"""The Lipschitz MLP: the bound holds whatever the weights, also after training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import LipschitzMLP
from tfp_flows.layers._lipschitz_activations import ACTIVATIONS, lipschitz_activation

ORDERS = {2: 2, 1: 1, "inf": np.inf}
X = np.random.default_rng(0).normal(size=[200, 3])


def made(dtype="float64", context_size=0, **options):
    network = LipschitzMLP(3, (16, 16), context_size=context_size, seed=1, dtype=dtype, **options)
    network.build((None, 3), (None, context_size) if context_size else None)
    return network


def randomize(network, scale, seed=0):
    draws = np.random.default_rng(seed)
    for w in network.trainable_variables:
        w.assign(scale * draws.normal(size=w.shape))


def jacobians(network, x, order):
    """The norms of dg/dx at the rows of x."""
    x = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        columns = tf.unstack(tf.cast(network(x), tf.float64), axis=-1)
    jacobian = np.stack([tape.gradient(g, x) for g in columns], axis=1)
    return np.linalg.norm(jacobian, ord=order, axis=(1, 2))


@pytest.mark.parametrize("norm", [2, 1, "inf"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_bound_holds_for_any_weights(norm, scale):
    network = made(norm=norm, coefficient=0.8)
    randomize(network, scale)
    assert jacobians(network, X, ORDERS[norm]).max() <= 0.8 * (1 + 1e-12)
    pairs = np.random.default_rng(3).normal(size=[2, 500, 3])
    stretch = np.linalg.norm(np.subtract(*[network(p) for p in pairs]), ord=ORDERS[norm], axis=1)
    assert np.all(stretch <= 0.8 * np.linalg.norm(pairs[0] - pairs[1], ord=ORDERS[norm], axis=1))


def test_product_of_the_singular_values_after_training():
    """The true Lipschitz constant is at most that product, and the bound is not idle."""
    network = made("float32", activation="tanh", coefficient=0.9)
    model = keras.Sequential([network])
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    x = X.astype("float32")
    model.fit(x, 5.0 * np.roll(x, 1, axis=-1), epochs=8, verbose=0, batch_size=200)
    each = 0.9 ** (1 / 3)
    identity = np.eye(16, dtype="float32")
    raw = [np.linalg.norm(dense.kernel, 2) for dense in network._dense]
    assert max(raw) > 1.2
    singular = []
    for dense in network._dense:
        bound = LipschitzMLP(dense.units, (), coefficient=each)
        bound.build((None, dense.kernel.shape[0]))
        bound.set_weights([dense.kernel, np.zeros(dense.units)])
        kernel = bound(identity[: dense.kernel.shape[0], : dense.kernel.shape[0]])
        singular.append(np.linalg.norm(kernel, 2))
    assert 0.8 <= np.prod(singular) <= 0.9 * (1 + 1e-5)
    assert jacobians(network, x, 2).max() <= 0.9 * (1 + 1e-5)


def test_a_kernel_within_the_bound_is_left_alone():
    network = LipschitzMLP(3, (), coefficient=0.9, dtype="float64")
    network.build((None, 3))
    kernel = 0.5 * np.linalg.qr(X[:3])[0]
    network.set_weights([kernel, np.zeros(3)])
    np.testing.assert_allclose(network(X), X @ kernel, rtol=1e-13)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_never_stretch(name):
    activation = lipschitz_activation(name, dtype="float64")
    for slope in (-5.0, 0.5, 20.0) if name == "lip_swish" else (None,):
        if slope is not None:
            activation.raw_slope.assign(slope)
        z = tf.constant(np.random.default_rng(1).normal(size=[2000, 4]) * 5.0)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(z)
            columns = tf.unstack(activation(z), axis=-1)
        jacobian = np.stack([tape.gradient(a, z) for a in columns], axis=1)
        assert 0.2 < np.linalg.norm(jacobian, 2, axis=(1, 2)).max() <= 1.0 + 1e-12


def test_starts_at_zero_and_learns_from_there():
    network = made(context_size=2)
    with tf.GradientTape() as tape:
        g = network(X, context=X[:, :2])
        loss = tf.reduce_sum((g - 1.0) ** 2)
    np.testing.assert_array_equal(g, np.zeros_like(X))
    gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert sum(np.any(gradient != 0) for gradient in gradients) >= 2


def test_context_is_used_and_prepared_is_the_same_function():
    network = made(context_size=2)
    randomize(network, 1.0)
    g = network(X, context=X[:, :2])
    assert np.abs(g - network(X, context=X[:, 1:])).max() > 0.1
    np.testing.assert_allclose(network.prepared()(X, X[:, :2]), g, rtol=1e-14)
    batch = network(X.reshape(2, 100, 3), context=X[:, :2].reshape(2, 100, 2))
    np.testing.assert_allclose(tf.reshape(batch, [200, 3]), g, rtol=1e-12)


def test_serialisation():
    network = made(
        activation="elu", coefficient=0.7, norm="inf", context_size=2, kernel_regularizer="l2"
    )
    randomize(network, 1.0)
    config = keras.saving.serialize_keras_object(network)
    again = keras.saving.deserialize_keras_object(config)
    assert again.built and again.get_config() == network.get_config()
    again.set_weights(network.get_weights())
    c = X[:, :2]
    np.testing.assert_array_equal(again(X, context=c), network(X, context=c))
    assert float(sum(again.losses)) == float(sum(network.losses)) > 0


def test_mixed_precision_computes_in_half():
    network = made("mixed_bfloat16")
    assert network(X.astype("float32")).dtype == "bfloat16"
    assert {v.dtype for v in network.trainable_variables} == {"float32"}


@pytest.mark.parametrize(
    ("error", "kwargs"),
    [
        (ValueError, {"coefficient": 0.0}),
        (ValueError, {"coefficient": 1.0}),
        (ValueError, {"coefficient": -0.5}),
        (ValueError, {"coefficient": float("nan")}),
        (TypeError, {"coefficient": "0.9"}),
        (ValueError, {"activation": "gelu"}),
        (ValueError, {"norm": 3}),
        (ValueError, {"hidden_units": (8, 0)}),
    ],
)
def test_constructor_errors(error, kwargs):
    (name, _), *_ = kwargs.items()
    with pytest.raises(error, match=rf"`{name}` .*Received: {name}="):
        LipschitzMLP(3, **kwargs)
