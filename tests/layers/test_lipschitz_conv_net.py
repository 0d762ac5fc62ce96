"""The Lipschitz convolutional network, against the true matrix of what it computes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import LipschitzConvNet

IMAGE = (4, 5, 2)
ORDERS = {2: 2, 1: 1, "inf": np.inf}
X = np.random.default_rng(0).normal(size=[3, *IMAGE])


def made(dtype="float64", context_size=0, **options):
    options = {"hidden_channels": (6, 6), "seed": 1, **options}
    network = LipschitzConvNet(context_size=context_size, dtype=dtype, **options)
    network.build((None, *IMAGE), (None, context_size) if context_size else None)
    return network


def randomize(network, scale=1.0):
    draws = np.random.default_rng(1)
    for w in network.trainable_variables:
        w.assign(scale * draws.normal(size=w.shape))


def norms(network, x, order):
    size = int(np.prod(IMAGE))
    # One gradient of as many copies of each image as it has numbers: a copy for each.
    copies = tf.repeat(tf.constant(x), size, axis=0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        g = tf.reshape(network(copies), [-1, size, size])
        one_each = tf.reduce_sum(tf.linalg.trace(g))
    jacobian = np.reshape(tape.gradient(one_each, copies), [-1, size, size])
    return np.linalg.norm(jacobian, ord=order, axis=(1, 2))


@pytest.mark.parametrize("norm", [2, 1, "inf"])
@pytest.mark.parametrize("kernel_sizes", [(3, 1, 3), (2, 3, 3)])
def test_bound_holds(norm, kernel_sizes):
    network = made(norm=norm, kernel_sizes=kernel_sizes, coefficient=0.9)
    randomize(network)
    assert norms(network, X, ORDERS[norm]).max() <= 0.9 * (1 + 1e-12)


def test_bound_is_reached_by_a_linear_map():
    """One kernel of one place: as large as it may be, within the 4 % of the bound."""
    network = made(hidden_channels=(), kernel_sizes=(1,))
    randomize(network, 10.0)
    np.testing.assert_allclose(norms(network, X, 2), 0.9, rtol=0.04)


def test_bound_is_shared_by_the_kernels():
    """Two of one place with one unit between them: the norm of the product is that of norms."""
    network = made(hidden_channels=(1,), kernel_sizes=(1, 1), activation="tanh")
    randomize(network, 10.0)
    for weight in network.trainable_variables:
        if len(weight.shape) == 1:
            weight.assign(np.zeros(weight.shape))
    np.testing.assert_allclose(norms(network, np.zeros([1, *IMAGE]), 2), 0.9, rtol=0.04)


def test_bound_holds_after_training():
    network = made("float32", activation="tanh")
    model = keras.Sequential([network])
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    x = X.astype("float32")
    model.fit(x, -5.0 * x, epochs=8, verbose=0)
    raw = [np.linalg.norm(np.reshape(k, [-1, k.shape[-1]]), 2) for k in network._kernels]
    assert max(raw) > 1.2
    assert 0.3 < norms(network, x, 2).max() <= 0.9 * (1 + 1e-5)


def test_start_context_and_serialisation():
    network = made(context_size=2)
    c = X[:, 0, 0]
    np.testing.assert_array_equal(network(X, context=c), np.zeros_like(X))
    randomize(network)
    assert np.abs(network(X, context=c) - network(X, context=-c)).max() > 1e-3
    config = keras.saving.serialize_keras_object(network)
    again = keras.saving.deserialize_keras_object(config)
    assert again.built and again.get_config() == network.get_config()
    again.set_weights(network.get_weights())
    np.testing.assert_array_equal(again(X, context=c), network(X, context=c))


@pytest.mark.parametrize(
    ("error", "kwargs"),
    [
        (ValueError, {"coefficient": 1.0}),
        (ValueError, {"norm": 3}),
        (ValueError, {"activation": "swish"}),
        (ValueError, {"kernel_sizes": (3, 3)}),
        (ValueError, {"hidden_channels": (0, 4)}),
    ],
)
def test_constructor_errors(error, kwargs):
    (name, _), *_ = kwargs.items()
    with pytest.raises(error, match=rf"`{name}` .*Received: {name}="):
        LipschitzConvNet(**kwargs)


def test_shape_errors():
    with pytest.raises(ValueError, match=r"\[N, H, W, channels\].*Received: "):
        LipschitzConvNet().build((None, 4))
    with pytest.raises(ValueError, match=r"takes no `context`. Received: .*\(3, 2\)"):
        made()(X, context=X[:, 0, 0])
