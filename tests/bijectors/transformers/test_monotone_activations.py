"""Conic combinations of activations: the formula, the start, saturation, every target, errors."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import MonotoneActivations

SIZE = 3 * 4 + 2
FUNCTIONS = {
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "softsign": tf.math.softsign,
    "softplus": tf.math.softplus,
    "leaky_relu": lambda z: tf.maximum(z, 0.01 * z),
}
each_activation = pytest.mark.parametrize("activation", list(FUNCTIONS))


def raw(scale=1.0, batch=(3,), dtype="float64"):
    return tf.constant(scale * np.random.default_rng(0).normal(size=(*batch, SIZE)), dtype)


@each_activation
def test_agrees_with_the_formula(activation):
    parts = tf.split(raw()[:, :12], 3, axis=-1)
    c, d = raw()[:, 12], raw()[:, 13]
    bijector = MonotoneActivations(*parts, c, d, activation)
    x = tf.constant(np.random.default_rng(1).normal(size=(20, 3)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        terms = FUNCTIONS[activation](tf.exp(parts[1]) * x[..., tf.newaxis] + parts[2])
        y = tf.exp(c) * x + d + tf.reduce_sum(tf.exp(parts[0]) * terms, axis=-1)
    np.testing.assert_allclose(bijector.forward(x), y, rtol=1e-12)
    slope = tape.gradient(y, x)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), np.log(slope), rtol=1e-9)


@each_activation
@pytest.mark.parametrize("units", [2, 4, 16])
def test_zero_parameters_are_near_the_identity_and_tie_no_units(activation, units):
    kwargs = {"num_units": units, "activation": activation, "max_log_slope": 3.0}
    params = tf.zeros([1, MonotoneActivations.params_size(**kwargs)], tf.float64)
    x = tf.constant(np.linspace(-3.0, 3.0, 101)[:, np.newaxis])
    with tf.GradientTape() as tape:
        tape.watch(params)
        bijector = MonotoneActivations.new(params, **kwargs)
        y = bijector.forward(x)
        log_slope = bijector.forward_log_det_jacobian(x)
        loss = tf.reduce_sum(tf.sin(y) * tf.cos(3.0 * x) + log_slope)
    assert np.abs(y[50]) <= 1e-15
    assert np.abs(y - x).max() <= 0.1
    assert np.abs(np.exp(log_slope) - 1.0).max() <= 0.05
    gradients = tape.gradient(loss, params)[0, :-2].numpy().reshape(3, units)
    for row in gradients:
        assert len(set(np.round(row, 9))) == units


# The search of the inverse evaluates the forward direction; deep sigmoids compile their search.
@pytest.mark.parametrize(
    ("activation", "inverse", "jit"),
    [
        *((activation, True, False) for activation in FUNCTIONS),
        ("tanh", False, True),
        ("softplus", False, True),
    ],
)
def test_saturated_parameters_are_finite(activation, inverse, jit):
    params = 50.0 * tf.sign(raw(batch=(64, 3), dtype="float32"))
    x = tf.constant(3.0 * np.random.default_rng(3).normal(size=(64, 3)), tf.float32)

    def run(params, x):
        with tf.GradientTape() as tape:
            tape.watch([params, x])
            bijector = MonotoneActivations.new(params, 4, activation)
            method = bijector._inverse_and_log_det if inverse else bijector._forward_and_log_det
            value, log_det = method(x)
            loss = tf.reduce_sum(value) + tf.reduce_sum(log_det)
        return value, log_det, *tape.gradient(loss, [params, x])

    run = tf.function(run, jit_compile=True, autograph=False) if jit else run
    assert all(np.isfinite(out).all() for out in run(params, x))


@each_activation
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverts_every_target(activation, dtype):
    bijector = MonotoneActivations.new(raw(2.0, dtype=dtype), 4, activation)
    y = tf.constant(np.outer([-1e30, -1e15, -1e4, -30.0, 30.0, 1e4, 1e15, 1e30], np.ones(3)), dtype)
    x = bijector.inverse(y)
    np.testing.assert_allclose(bijector.forward(tf.identity(x)), y, rtol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"num_units": 0}, "num_units"),
        ({"activation": "relu"}, "activation"),
        ({"max_log_slope": 0.0}, "max_log_slope"),
        ({"num_units": 3}, "11 numbers"),
    ],
)
def test_new_refuses_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        MonotoneActivations.new(tf.zeros([2, SIZE]), **({"num_units": 4} | kwargs))


def test_constructor_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="last axis.*Received"):
        MonotoneActivations(tf.zeros([3]), tf.zeros([3]), tf.zeros([2]), 0.0, 0.0)
    with pytest.raises(ValueError, match="activation"):
        MonotoneActivations(tf.zeros([3]), tf.zeros([3]), tf.zeros([3]), 0.0, 0.0, "relu")
