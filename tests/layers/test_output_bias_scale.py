"""A factor on the last bias, so that it learns at the full rate where raw numbers are scaled."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf
from tfp_flows.layers import MADE, MLP, CircularMLP, ResidualMLP

MAKERS = {
    "MLP": functools.partial(MLP, 6),
    "CircularMLP": functools.partial(CircularMLP, 6),
    "ResidualMLP": functools.partial(ResidualMLP, 6),
    "MADE": functools.partial(MADE, 3, 2),
    "MADE_residual": functools.partial(MADE, 3, 2, residual=True),
}


def built(name, **kwargs):
    network = MAKERS[name](hidden_units=(4, 4), seed=0, **kwargs)
    network.build((None, 3))
    return network


@pytest.mark.parametrize("name", MAKERS)
def test_is_a_factor_on_the_last_bias(name):
    x = tf.constant([[0.3, -1.0, 2.0]])
    scaled, plain = built(name, output_bias_scale=3.0), built(name)
    bias = np.arange(1.0, 7.0, dtype="float32")
    scaled._output.bias.assign(bias)
    plain._output.bias.assign(bias)
    np.testing.assert_allclose(scaled(x), 3.0 * plain(x), rtol=1e-6)
    np.testing.assert_allclose(scaled(x)[0], 3.0 * bias, rtol=1e-6)
    again = type(scaled).from_config(scaled.get_config())
    again.build((None, 3))
    again.set_weights(scaled.get_weights())
    np.testing.assert_array_equal(again(x), scaled(x))


@pytest.mark.parametrize("residual", [False, True])
def test_samples_see_it(residual):
    network = MADE(
        3, 2, (4, 4), residual=residual, output_bias_scale=5.0, output_initializer="he_normal"
    )
    network.build((None, 3))
    network._output.bias.assign([0.1, -0.2, 0.3, 0.1, 0.2, -0.1])
    bijector = tfpf.bijectors.Autoregressive(network, tfpf.bijectors.Affine)
    x = tf.constant([[0.3, -1.0, 2.0]])
    y = tf.identity(bijector.forward(x))
    np.testing.assert_allclose(bijector.inverse(y), x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("value", "error"), [(0.0, ValueError), (float("inf"), ValueError), ("1", TypeError)]
)
def test_refused(value, error):
    with pytest.raises(error, match="`output_bias_scale`.*Received: "):
        MLP(2, output_bias_scale=value)


RECIPES = {
    "maf": tfpf.flows.maf,
    "naf": tfpf.flows.naf,
    "sos": tfpf.flows.sos,
    "umnn": tfpf.flows.umnn,
    "neural_spline": functools.partial(tfpf.flows.neural_spline, autoregressive=True),
    "coupling": tfpf.flows.neural_spline,
    "real_nvp": tfpf.flows.real_nvp,
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_of_adam_moves_raw_numbers_by_the_rate_through_the_bias(name):
    flow = RECIPES[name](2, num_layers=1, hidden_units=(64, 64), seed=0)
    x = tf.constant(np.random.default_rng(0).normal(0.3, 0.5, size=(64, 2)), tf.float32)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(x))
    weights = flow.trainable_variables
    gradients = tape.gradient(loss, weights)
    layer = next(part for part in flow.bijector.bijectors if hasattr(part, "raw_scale"))
    network = layer.conditioner
    keras.optimizers.Adam(1e-3).apply(gradients, weights)
    # What the bias moves is what is left where the last kernel is zero.
    network._output.kernel.assign(tf.zeros_like(network._output.kernel))
    size = 1 if name in ("coupling", "real_nvp") else 2
    moved = np.abs(layer.raw_scale * network(tf.zeros([1, size])).numpy())
    np.testing.assert_allclose(moved.max(), 1e-3, rtol=1e-2)
