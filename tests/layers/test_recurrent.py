"""Tests of the recurrent autoregressive network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf
from tfp_flows.bijectors import Affine, Autoregressive
from tfp_flows.layers import Recurrent

D, P, C = 4, 2, 3


def network(cell="gru", order=(2, 0, 3, 1), context_size=0, hidden_units=(5, 6), seed=3):
    layer = Recurrent(
        D,
        P,
        hidden_units,
        cell=cell,
        order=order,
        context_size=context_size,
        output_initializer="glorot_uniform",
        seed=seed,
        dtype="float64",
    )
    layer.build((None, D), (None, context_size) if context_size else None)
    return layer


def points(size, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=(7, size)))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_depends_on_all_that_comes_before_and_on_nothing_else(cell):
    layer, y = network(cell), points(D)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(y)
        h = layer(y)
    jacobian = tape.batch_jacobian(h, y, experimental_use_pfor=False)
    jacobian = jacobian.numpy().reshape(-1, D, P, D)
    position = np.argsort(layer.order)
    expected = position[np.newaxis, :] < position[:, np.newaxis]
    np.testing.assert_array_equal(np.any(jacobian != 0, axis=(0, 2)), expected)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_is_keras_own_recurrent_layer_over_the_coordinates_before(cell):
    layer, y, c = network(cell, context_size=C), points(D), points(C, seed=1)
    before = tf.pad(tf.gather(y, layer.order, axis=-1)[:, :-1], [[0, 0], [1, 0]])
    steps = tf.concat([before[..., tf.newaxis], tf.repeat(c[:, tf.newaxis], D, axis=1)], axis=-1)
    states = keras.layers.RNN(layer._cell, return_sequences=True, dtype="float64")(steps)
    for k, i in enumerate(layer.order):
        h_i = states[:, k] @ layer._kernel[i] + layer._bias[i]
        np.testing.assert_allclose(layer(y, context=c)[:, P * i : P * (i + 1)], h_i, rtol=1e-12)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_generate_solves_what_calls_check(jit_compile):
    layer, x, c = network(context_size=C), points(D), points(C, seed=1)

    def transform(h, x):
        tau = Affine.new(h)
        return tau.forward(x), tau.forward_log_det_jacobian(x)

    generate = tf.function(
        lambda: layer.generate(transform, x, context=c), jit_compile=jit_compile, autograph=False
    )
    y, log_det = generate()
    tau = Affine.new(tf.reshape(layer(y, context=c), [-1, D, P]))
    np.testing.assert_allclose(tau.forward(x), y, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        tf.reduce_sum(tau.forward_log_det_jacobian(x), -1), log_det, rtol=1e-10, atol=1e-12
    )


def test_a_sample_takes_one_step_of_the_cell_a_coordinate():
    layer = network()
    bijector = Autoregressive(layer)
    calls = []
    step = layer._cell.call
    layer._cell.call = lambda *args, **kwargs: calls.append(1) or step(*args, **kwargs)
    bijector.forward(points(D))
    assert len(calls) == D


def test_zero_at_the_start_and_different_states():
    layer = Recurrent(D, P, (5,), seed=1)
    y = tf.cast(points(D), tf.float32)
    np.testing.assert_array_equal(layer(y), np.zeros([7, D * P]))
    assert len(layer.trainable_variables) == 5  # three of the cell, V and b


def test_any_rank_and_no_rows():
    layer, y = network(), points(D)
    np.testing.assert_allclose(layer(y[tf.newaxis]), layer(y)[tf.newaxis])
    np.testing.assert_allclose(layer(y[0]), layer(y)[0])
    assert layer(y[:0]).shape == [0, D * P]


def test_config_and_weights_round_trip(tmp_path):
    layer, y = network("lstm", order="random", context_size=C), points(D)
    config = keras.saving.serialize_keras_object(layer)
    other = keras.saving.deserialize_keras_object(config)
    other.set_weights(layer.get_weights())
    c = points(C, seed=1)
    np.testing.assert_array_equal(other(y, context=c), layer(y, context=c))
    assert other.order == layer.order and other.get_config() == layer.get_config()


def test_recipe_is_saved(tmp_path):
    model = tfpf.FlowModel(tfpf.flows.recurrent(D, hidden_units=(5,), cell="lstm", seed=1))
    for variable in model.distribution.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    model.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras").distribution
    x = tf.cast(points(D), tf.float32)
    np.testing.assert_array_equal(loaded.log_prob(x), model.distribution.log_prob(x))


def test_bad_arguments():
    for change, name in (
        ({"event_size": 0}, "event_size"),
        ({"params_size": 0}, "params_size"),
        ({"hidden_units": ()}, "hidden_units"),
        ({"hidden_units": (0,)}, "hidden_units"),
        ({"cell": "rnn"}, "cell"),
        ({"order": (0, 0, 1, 2)}, "order"),
        ({"context_size": -1}, "context_size"),
    ):
        with pytest.raises(ValueError, match=f"`{name}`.*Received: "):
            Recurrent(**{"event_size": D, "params_size": P, **change})


def test_searched_transformer_with_an_unknown_number_of_rows():
    """XLA is told the number of rows when it compiles, but not when it is traced."""
    recurrent = Recurrent(3, tfpf.bijectors.DeepSigmoid.params_size(num_units=4), (5,), seed=1)
    recurrent.build((None, 3))
    layer = Autoregressive(
        recurrent, tfpf.bijectors.DeepSigmoid, {"num_units": 4}, invert_transformer=True
    )
    forward = tf.function(
        layer.forward,
        input_signature=[tf.TensorSpec([None, 3])],
        jit_compile=True,
        autograph=False,
    )
    x = tf.cast(points(3), tf.float32)
    np.testing.assert_allclose(forward(x), layer.forward(x), rtol=1e-5, atol=1e-5)
