"""Tests of the residual network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers import ResidualMLP

X = np.linspace(-2, 2, 12).reshape(4, 3).astype("float32")
C = np.linspace(1, -1, 8).reshape(4, 2).astype("float32")


def randomize(layer, seed=0):
    draws = np.random.default_rng(seed)
    for w in layer.trainable_variables:
        w.assign(draws.normal(size=w.shape) / np.sqrt(w.shape[0]))


@pytest.mark.parametrize("context_size", [0, 2])
def test_value_is_the_formula(context_size):
    net = ResidualMLP(4, (5, 5), activation="tanh", context_size=context_size)
    c = C if context_size else None
    net(X, context=c)
    randomize(net)
    weights = {v.path.split("/", 1)[1]: v.numpy() for v in net.variables}

    def dense(name, h):
        return h @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    h = dense("input", X if c is None else np.concatenate([X, c], -1))
    for k in range(2):
        f = dense(f"dense_{k}_2", np.tanh(dense(f"dense_{k}_1", np.tanh(h))))
        h = h + (f if c is None else f / (1 + np.exp(-dense(f"gate_{k}", c))))
    np.testing.assert_allclose(net(X, context=c), dense("output", h), rtol=1e-5, atol=1e-6)


def test_starts_at_zero_with_blocks_near_the_identity():
    net = ResidualMLP(4, (16,) * 10, seed=0)
    np.testing.assert_array_equal(net(X), np.zeros((4, 4)))
    net._output.kernel.assign(np.eye(16, 4))
    first = X @ net._input.kernel + net._input.bias
    np.testing.assert_allclose(net(X), first[:, :4], atol=0.05)


@pytest.mark.parametrize("context_size", [0, 2])
def test_serialisation_gives_a_built_layer(context_size):
    net = ResidualMLP(4, (8, 8), "silu", context_size, dropout=0.5, layer_norm=True, seed=1)
    c = C if context_size else None
    net(X, context=c)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(net))
    assert again.built and type(again) is ResidualMLP
    assert again.get_config() == net.get_config()
    paths = [[v.path for v in layer.trainable_variables] for layer in (again, net)]
    assert paths[0] == paths[1]
    randomize(net)
    again.set_weights(net.get_weights())
    np.testing.assert_array_equal(again(X, context=c), net(X, context=c))


def test_weights_survive_a_saved_model(tmp_path):
    x, c = keras.Input((3,)), keras.Input((2,))
    net = ResidualMLP(4, (8, 8), context_size=2, dropout=0.5, layer_norm=True)
    model = keras.Model([x, c], net(x, context=c))
    randomize(model)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again([X, C]), model([X, C]))


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_dtype_policies(dtype):
    net = ResidualMLP(4, (8,), context_size=2, dropout=0.5, layer_norm=True, dtype=dtype)
    policy = keras.DTypePolicy(dtype)
    assert net(X, context=C, training=True).dtype == policy.compute_dtype
    assert {v.dtype for v in net.trainable_variables} == {policy.variable_dtype}


def test_dropout_only_in_training_and_seed():
    def network():
        net = ResidualMLP(4, (64, 64), dropout=0.5, output_initializer="ones", seed=7)
        net(X)
        # The blocks start close to the identity, where their dropout is hardly seen.
        net._dense_2[0].kernel.assign(np.eye(64))
        return net

    net = network()
    np.testing.assert_array_equal(net(X), net(X, training=False))
    assert np.any(net(X, training=True) != net(X))
    np.testing.assert_array_equal(network()(X, training=True), network()(X, training=True))
    assert not np.array_equal(net._dense_1[0].kernel, net._dense_1[1].kernel)


def test_jit_equals_eager_with_gradient():
    net = ResidualMLP(4, (8, 8), context_size=2, layer_norm=True)
    net(X, context=C)
    randomize(net)

    def value_and_gradients(x, c):
        with tf.GradientTape() as tape:
            tape.watch([x, c])
            h = net(x, context=c)
        return [h, *tape.gradient(h, [x, c, *[v.value for v in net.trainable_variables]])]

    args = tf.constant(X), tf.constant(C)
    compiled = tf.function(value_and_gradients, jit_compile=True, autograph=False)(*args)
    for a, b in zip(compiled, value_and_gradients(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden_units", [(), (8, 9)])
def test_widths_must_be_equal(hidden_units):
    with pytest.raises(ValueError, match="`hidden_units` .* equal. Received: hidden_units="):
        ResidualMLP(4, hidden_units)


def test_missing_context():
    with pytest.raises(
        ValueError, match=r"ResidualMLP 'net' .*size 2, not 0 .*Received: context=None$"
    ):
        ResidualMLP(4, context_size=2, name="net")(X)
