"""Bin selection: against numpy, and the traps of gradients."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from tfp_flows.math.splines import _spline_bins


def test_fractions_are_softmax_above_the_minimum():
    raw = np.random.default_rng(0).normal(size=(4, 5, 3))
    expected = 0.02 + 0.9 * softmax(raw, axis=1)
    np.testing.assert_allclose(_spline_bins.fractions(tf.constant(raw), 0.02), expected, rtol=1e-14)
    huge = _spline_bins.fractions(tf.constant([[1e30], [-1e30], [0.0]]), 0.1)
    np.testing.assert_allclose(huge[:, 0], [0.8, 0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("on_x", [True, False])
def test_select_finds_the_bin_of_searchsorted(on_x):
    rng = np.random.default_rng(1)
    widths, heights = rng.uniform(0.2, 1.0, (2, 6, 3))
    slopes = rng.uniform(0.2, 1.0, (7, 3))
    position = rng.uniform(-2.0, 6.0, (50, 3))
    piece = _spline_bins.select(position, on_x, widths, heights, slopes, -1.0, 0.5)
    for j in range(3):
        x = np.concatenate([[-1.0], -1.0 + np.cumsum(widths[:, j])])
        y = np.concatenate([[0.5], 0.5 + np.cumsum(heights[:, j])])
        knots = x if on_x else y
        k = np.searchsorted(knots, position[:, j], side="right") - 1
        inside = (k >= 0) & (k < 6)
        np.testing.assert_array_equal(piece.inside[:, j], inside)
        k = k[inside]
        for got, want in (
            (piece.x, x[k]),
            (piece.y, y[k]),
            (piece.width, widths[k, j]),
            (piece.height, heights[k, j]),
            (piece.slope_left, slopes[k, j]),
            (piece.slope_right, slopes[k + 1, j]),
        ):
            np.testing.assert_allclose(got[:, j][inside], want, rtol=1e-12)


def test_slopes_of_identity_tails_are_one():
    slopes = _spline_bins.slopes_at_all_knots(tf.fill([2, 3, 5], 0.5), num_bins=4)
    np.testing.assert_array_equal(slopes[0, :, 0], [1.0, 0.5, 0.5, 0.5, 1.0])
    given = tf.fill([5, 2], 0.5)
    assert _spline_bins.slopes_at_all_knots(given, num_bins=4) is given


def test_into_clips_the_value_and_keeps_the_gradient():
    offset = tf.constant([-1.0, 0.5, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(offset)
        moved = _spline_bins.into(offset, 2.0)
    np.testing.assert_array_equal(moved, [0.0, 0.5, 2.0])
    np.testing.assert_array_equal(tape.gradient(moved, offset), [1.0, 1.0, 1.0])
