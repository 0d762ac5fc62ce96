"""The cubic spline transformer: its sizes, slopes at the ends and checks."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import CubicSpline


@pytest.mark.parametrize(
    "kwargs,size",
    [({}, 16), ({"tails": "linear"}, 18), ({"unit_interval": True}, 18), ({"num_bins": 1}, 2)],
)
def test_params_size_takes_the_keywords_of_new(kwargs, size):
    kwargs = {
        **kwargs,
        "bound": 3.0,
        "min_bin_width": 1e-2,
        "min_bin_height": 1e-2,
        "min_slope": 1e-2,
    }
    assert CubicSpline.params_size(**kwargs) == size
    bijector = CubicSpline.new(tf.zeros([2, size]), **kwargs)
    assert bijector.bin_widths.shape == [2, kwargs.get("num_bins", 8)]


@pytest.mark.parametrize("num_bins", [1, 2, 8])
def test_identity_tails_keep_the_spline_monotone(num_bins):
    """End bins at least half as high as wide, whatever the raw numbers; the sums agree."""
    raw = 20.0 * np.random.default_rng(0).normal(size=[200, 2 * num_bins])
    bijector = CubicSpline.new(raw, num_bins, validate_args=True)
    chords = bijector.bin_heights.numpy() / bijector.bin_widths.numpy()
    assert chords[:, [0, -1]].min() >= 0.5
    if num_bins > 2:
        assert chords[:, 1:-1].min() < 0.1
    x = np.array([-5.0 + 1e-13, 5.0 - 1e-13])[:, np.newaxis] * np.ones(200)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), 0.0, atol=1e-6)


def test_learned_end_slopes_stay_in_the_monotone_region():
    raw = 50.0 * np.random.default_rng(1).normal(size=[200, 18])
    bijector = CubicSpline.new(raw, tails="linear", min_slope=0.01)
    chords = (bijector.bin_heights.numpy() / bijector.bin_widths.numpy())[:, [0, -1]]
    ratio = bijector.end_slopes.numpy() / chords
    assert ratio.min() == pytest.approx(0.01) and ratio.max() == pytest.approx(2.99)


def test_end_slopes_broadcast_with_batches_of_bins():
    widths = np.array([[1.0, 1.0], [0.5, 1.5]])
    got = CubicSpline(widths, widths[::-1], [0.7, 0.9]).forward(np.array([0.3, 0.4]))
    want = CubicSpline(widths, widths[::-1], [[0.7, 0.9]] * 2).forward(np.array([0.3, 0.4]))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("arguments", [([3], [4]), ([3], [3], [3]), ([3], [3], []), ([0], [0])])
def test_constructor_refuses_sizes_that_do_not_fit(arguments):
    with pytest.raises(ValueError, match="Received"):
        CubicSpline(*(tf.ones(shape) for shape in arguments))


@pytest.mark.parametrize(
    "arguments,match",
    [
        (([1.0, -1.0], [1.0, 1.0]), "bin_widths"),
        (([1.0, 1.0], [1.0, 2.0]), "same sum"),
        (([1.0, 1.0], [0.3, 1.7]), "above a third"),
        (([1.0, 1.0], [1.0, 2.0], [3.5, 1.0]), "above a third"),
        (([1.0, 1.0], [1.0, 2.0], [-1.0, 1.0]), "end_slopes"),
    ],
)
def test_validate_args_refuses_bad_values(arguments, match):
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        CubicSpline(*arguments, validate_args=True)
    bijector = CubicSpline(*(tf.Variable(a) for a in arguments), validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        bijector.forward(tf.zeros([]))
