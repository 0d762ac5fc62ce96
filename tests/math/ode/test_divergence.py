"""The trace of a Jacobian: exact, and unbiased where it is estimated."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import exact_divergence, hutchinson_divergence

RNG = np.random.default_rng(0)
A = tf.constant(RNG.normal(size=[4, 4]))
Z = tf.constant(RNG.normal(size=[3, 4]))
T = tf.constant(0.3, tf.float64)


def field(t, z):
    return tf.tanh(z @ A + t) * tf.reverse(z, [1])


def jacobian():
    with tf.GradientTape() as tape:
        tape.watch(Z)
        f = field(T, Z)
    return f, tape.batch_jacobian(f, Z).numpy()


def test_exact():
    f, divergence, square = exact_divergence(field, T, Z)
    expected, j = jacobian()
    np.testing.assert_array_equal(f, expected)
    np.testing.assert_allclose(divergence, np.trace(j, axis1=1, axis2=2), rtol=1e-12)
    np.testing.assert_allclose(square, np.sum(j**2, axis=(1, 2)), rtol=1e-12)


def test_a_field_that_ignores_a_coordinate():
    f, divergence, square = exact_divergence(lambda t, z: tf.ones_like(z) * t, T, Z)
    np.testing.assert_array_equal(divergence, np.zeros(3))
    np.testing.assert_array_equal(square, np.zeros(3))


@pytest.mark.parametrize("kind", ["signs", "gaussian"])
def test_hutchinson_is_unbiased(kind):
    count = 20_000
    noise = RNG.normal(size=[count, 3, 4])
    noise = np.sign(noise) if kind == "signs" else noise
    _, j = jacobian()
    # One batch of all: rows are independent.
    rows = tf.reshape(tf.broadcast_to(Z, [count, 3, 4]), [-1, 4])
    f, *found = hutchinson_divergence(field, T, rows, tf.constant(noise.reshape(-1, 4)))
    np.testing.assert_allclose(f[:3], field(T, Z), rtol=1e-14)
    for estimates, exact in zip(
        found, (np.trace(j, axis1=1, axis2=2), np.sum(j**2, axis=(1, 2))), strict=True
    ):
        estimates = np.reshape(estimates, [count, 3])
        error = estimates.std(axis=0) / np.sqrt(count)
        assert np.all(np.abs(estimates.mean(axis=0) - exact) < 4 * error)
        assert np.all(error < 0.1)
    if kind == "signs":
        s = j + np.transpose(j, [0, 2, 1])
        variance = [0.5 * np.sum(m**2) - 0.5 * np.sum(np.diag(m) ** 2) for m in s]
        measured = np.reshape(found[0], [count, 3]).var(axis=0)
        np.testing.assert_allclose(measured, variance, rtol=0.05)
