"""Masked convolutions: what sees what, the inverse by sweeps, and its derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.solvers import _masked_network as module
from tfp_flows.math.solvers._masked_network import (
    masked_kernel,
    masked_network,
    solve_masked_network,
)

SHAPE = (3, 4, 2)
D = 24


def layers(scale=0.3, units=(3, 2), size=3, dtype="float64", seed=0):
    """`(layers, c)` with weights at random."""
    rng = np.random.default_rng(seed)
    radius, channels, made = size // 2, SHAPE[-1], []
    for k_in, k_out in zip((1, *units), (*units, 1), strict=True):
        shape = (radius + 1, size, channels * k_in, channels * k_out)
        raw = tf.constant(scale * rng.normal(size=shape), dtype)
        bias = tf.constant(rng.normal(size=shape[-1:]), dtype)
        made.append((*masked_kernel(raw, channels), bias))
    return made, tf.constant(0.3 * rng.normal(size=[channels]) - 0.2, dtype)


def points(n, dtype="float64", seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=[n, *SHAPE]), dtype)


def jacobian(network, x):
    """Of one image, `[D, D]`."""
    copies = tf.tile(x, [D, 1, 1, 1])
    with tf.GradientTape() as tape:
        tape.watch(copies)
        y = tf.reshape(masked_network(*network, copies)[0], [D, D])
        one_each = tf.reduce_sum(tf.linalg.diag_part(y))
    return tf.reshape(tape.gradient(one_each, copies), [D, D]).numpy()


@pytest.mark.parametrize("size", [1, 3, 5])
def test_is_triangular_with_the_slopes_on_the_diagonal(size):
    network = layers(1.0, size=size)
    x = points(1)
    matrix = jacobian(network, x)
    np.testing.assert_array_equal(np.triu(matrix, 1), 0.0)
    slopes = np.exp(np.ravel(masked_network(*network, x)[1]))
    np.testing.assert_allclose(np.diag(matrix), slopes, rtol=1e-12)
    assert (np.diag(matrix) > np.tile(np.exp(network[1]), 12)).all()


def test_sees_all_that_comes_before_and_is_reached():
    """Three kernels of 3 x 3 reach three pixels to the left and above."""
    matrix = jacobian(layers(1.0), points(1))
    i, j, _ = (np.ravel(a)[:, np.newaxis] - np.ravel(a) for a in np.indices(SHAPE))
    before = np.arange(D)[:, np.newaxis] >= np.arange(D)
    # To the right by one for each row further up, since in a row kernels look to the left.
    np.testing.assert_array_equal(matrix != 0.0, before & (j <= 3) & (-j <= i))


@pytest.mark.parametrize(("newton_sweeps", "dtype"), [(0, "float32"), (30, "float64")])
def test_inverse(newton_sweeps, dtype, monkeypatch):
    """By root searches only, and by Newton's steps only."""
    monkeypatch.setattr(module, "NEWTON_SWEEPS", newton_sweeps)
    if newton_sweeps:
        monkeypatch.setattr(module, "_roots", None)
    network = layers(dtype=dtype)
    x = points(20, dtype)
    y = masked_network(*network, x)[0]
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(solve_masked_network(*network, y), x, rtol=tolerance, atol=tolerance)


def test_is_found_for_weights_where_newton_is_lost(monkeypatch):
    """With slopes over a factor of a thousand. D sweeps of root searches do for any weights."""
    network = layers(2.0)
    network = network[0], network[1] - 1.0
    y = 3.0 * points(10)
    x = tf.function(solve_masked_network, autograph=False)(*network, y)
    back, log_slopes = masked_network(*network, x)
    assert np.ptp(log_slopes) > np.log(1000.0)
    np.testing.assert_allclose(back, y, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(module, "_roots", lambda layers, log_linear, x, y: x)
    assert np.isnan(solve_masked_network(*network, y)).any()


def test_what_is_not_found_is_nan_and_nothing_else(monkeypatch):
    network = layers()
    y = points(3).numpy()
    y[1, 2, 1, 0] = np.nan
    y[2, 0, 0, 1] = np.inf
    with tf.GradientTape() as tape:
        variable = tf.Variable(network[1])
        x = solve_masked_network(network[0], variable, tf.constant(y))
        total = tf.reduce_sum(x[0])
    expected = solve_masked_network(*network, tf.constant(y[:1]))
    np.testing.assert_allclose(x[0], expected[0], rtol=1e-12)
    assert np.isnan(x[1]).all()
    assert np.isposinf(x[2, 0, 0, 1]) and np.isfinite(x[2]).sum() == D - 1
    assert np.isfinite(tape.gradient(total, variable)).all()
    monkeypatch.setattr(module, "NEWTON_SWEEPS", 2)
    monkeypatch.setattr(module, "_roots", lambda layers, log_linear, x, y: x)
    assert np.isnan(solve_masked_network(*network, tf.constant(y[:1]))).any()


def test_derivatives_are_those_of_the_implicit_function():
    network = layers(0.6)
    y = points(1)
    copies = tf.tile(y, [D, 1, 1, 1])
    with tf.GradientTape() as tape:
        tape.watch(copies)
        x = solve_masked_network(*network, copies)
        one_each = tf.reduce_sum(tf.linalg.diag_part(tf.reshape(x, [D, D])))
    rows = np.reshape(tape.gradient(one_each, copies), [D, D])
    expected = np.linalg.inv(jacobian(network, x[:1]))
    np.testing.assert_allclose(rows, expected, rtol=1e-9, atol=1e-9)

    # Of the weights: f(x) = y stands still.
    along = tf.nest.map_structure(
        lambda t: np.random.default_rng(3).normal(size=t.shape) * (t.numpy() != 0.0), network
    )

    def solved(step):
        return solve_masked_network(
            *tf.nest.map_structure(lambda t, d: t + step * d, network, along), y
        )

    with tf.GradientTape() as tape:
        tape.watch(network)
        x = solve_masked_network(*network, y)
    gradients = tf.nest.flatten(tape.gradient(x, network))
    exact = sum(np.sum(g * d) for g, d in zip(gradients, tf.nest.flatten(along), strict=True))
    numeric = tf.reduce_sum(solved(1e-6) - solved(-1e-6)) / 2e-6
    np.testing.assert_allclose(exact, numeric, rtol=1e-6)


def test_a_second_derivative_is_refused():
    network, y = layers(), points(1)
    with tf.GradientTape() as outer:
        outer.watch(y)
        with tf.GradientTape() as inner:
            inner.watch(y)
            x = solve_masked_network(*network, y)
        first = inner.gradient(x, y)
    with pytest.raises(LookupError, match="first derivatives only"):
        outer.gradient(first, y)
