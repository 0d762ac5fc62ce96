"""Splines of more than 32 bins find theirs by another product, which is faster there."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import bijectors as B
from tfp_flows.math.splines import _spline_bins

SPLINES = [B.LinearSpline, B.QuadraticSpline, B.CubicSpline, B.RationalQuadraticSpline]
K = 40


def made(spline):
    rng = np.random.default_rng(0)
    size = spline.params_size(num_bins=K, bound=3.0)
    return spline.new(tf.constant(rng.normal(size=(50, 2, size))), num_bins=K, bound=3.0)


@pytest.mark.parametrize("spline", SPLINES)
def test_round_trip_and_log_det(spline):
    bijector = made(spline)
    x = tf.constant(np.random.default_rng(1).uniform(-3.5, 3.5, size=(50, 2)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = bijector.forward(x)
    log_det = bijector.forward_log_det_jacobian(x, event_ndims=0)
    np.testing.assert_allclose(log_det, tf.math.log(tape.gradient(y, x)), atol=1e-10)
    back = bijector.inverse(tf.identity(y))
    np.testing.assert_allclose(back, x, atol=1e-10)
    assert np.abs(y - x).max() > 0.1


def test_bins_are_those_of_few():
    rng = np.random.default_rng(2)
    sizes = tf.constant(rng.uniform(0.1, 1.0, size=(K, 30)))
    position = tf.constant(rng.uniform(0.0, 1.0, size=30)) * tf.reduce_sum(sizes, axis=0)
    slopes = tf.ones([K - 1, 30], tf.float64)
    piece = _spline_bins.select(position, True, sizes, sizes, slopes, 0.0, 0.0)
    knots = np.concatenate([np.zeros((1, 30)), np.cumsum(sizes, axis=0)])
    for j, x in enumerate(position.numpy()):
        k = np.searchsorted(knots[:, j], x, side="right") - 1
        np.testing.assert_allclose(piece.x[j], knots[k, j], atol=1e-12)
        np.testing.assert_allclose(piece.width[j], sizes[k, j], atol=1e-12)


def test_knots_that_change_places_by_rounding_leave_one_bin():
    passed = np.arange(K + 1)[:, np.newaxis] < 20
    passed[[18, 20]] = [[False], [True]]
    chosen, below = _spline_bins._masks(tf.constant(passed), tf.float64)
    assert chosen.numpy().sum() == 1.0
    assert below.numpy().sum() == np.argmax(chosen.numpy())
