"""The log-determinant of I + J from all of J."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.linalg import exact_log_det


def contraction(size, coefficient=0.9, seed=0):
    a = np.random.default_rng(seed).normal(size=[size, size])
    a = tf.constant(coefficient * a / np.linalg.norm(a, 2))
    return lambda x: tf.sin(tf.matmul(x, a))


def points(size):
    return tf.constant(np.random.default_rng(1).normal(size=[5, size]))


def by_numpy(function, x):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        columns = tf.unstack(x + function(x), axis=-1)
    return np.linalg.slogdet(np.stack([tape.gradient(y, x) for y in columns], axis=1))[1]


@pytest.mark.parametrize("size", [1, 2, 8, 9, 20])
def test_is_that_of_the_jacobian(size):
    function, x = contraction(size), points(size)
    g, log_det = exact_log_det(function, x)
    np.testing.assert_allclose(g, function(x), rtol=1e-14)
    np.testing.assert_allclose(log_det, by_numpy(function, x), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("size", [3, 10])
def test_gradients_and_xla(size):
    function, x = contraction(size), points(size)

    def with_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, log_det = exact_log_det(function, x)
        return log_det, tape.gradient(log_det, x)

    log_det, gradient = with_gradient(x)
    compiled = tf.function(with_gradient, jit_compile=True, autograph=False)(x)
    np.testing.assert_allclose(compiled[0], log_det, atol=1e-12)
    np.testing.assert_allclose(compiled[1], gradient, atol=1e-12)
    direction = np.random.default_rng(2).normal(size=x.shape)
    up, down = (exact_log_det(function, x + h * direction)[1] for h in (1e-6, -1e-6))
    np.testing.assert_allclose(
        np.sum(gradient * direction, axis=-1), (up - down) / 2e-6, rtol=1e-6, atol=1e-8
    )


def test_no_contraction_shows():
    _, log_det = exact_log_det(lambda x: -1.5 * x, tf.ones([2, 1]))
    assert np.isnan(log_det).all()
