"""The quadratic spline transformer: its sizes, slopes and checks."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import QuadraticSpline


@pytest.mark.parametrize(
    "kwargs,size",
    [({}, 15), ({"tails": "linear"}, 17), ({"unit_interval": True}, 17), ({"num_bins": 1}, 1)],
)
def test_params_size_takes_the_keywords_of_new(kwargs, size):
    kwargs = {**kwargs, "bound": 3.0, "min_bin_width": 1e-2, "min_slope": 1e-2}
    assert QuadraticSpline.params_size(**kwargs) == size
    bijector = QuadraticSpline.new(tf.zeros([2, size]), **kwargs)
    assert bijector.bin_widths.shape == [2, kwargs.get("num_bins", 8)]


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_slopes_keep_the_area_and_the_minimum(scale):
    raw = scale * np.random.default_rng(0).normal(size=[50, 17])
    bijector = QuadraticSpline.new(raw, tails="linear", min_slope=0.01)
    d, w = bijector.knot_slopes.numpy(), bijector.bin_widths.numpy()
    np.testing.assert_allclose((0.5 * w * (d[:, 1:] + d[:, :-1])).sum(-1), 10.0, rtol=1e-12)
    assert d.min() >= 0.01
    raw = raw[:, :15]
    bijector = QuadraticSpline.new(raw, min_slope=0.01, validate_args=True)
    assert bijector.knot_slopes.numpy().min() >= 0.01


def test_slope_is_continuous_at_identity_tails():
    raw = np.random.default_rng(1).normal(size=[3, 15])
    x = np.array([-5.0 + 1e-9, 5.0 - 1e-9])[:, np.newaxis] * np.ones(3)
    np.testing.assert_allclose(QuadraticSpline.new(raw).forward_log_det_jacobian(x), 0.0, atol=1e-6)


@pytest.mark.parametrize("shapes", [([3], [3]), ([3], []), ([], [2]), ([0], [1])])
def test_constructor_refuses_sizes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="Received"):
        QuadraticSpline(*(tf.ones(shape) for shape in shapes))


@pytest.mark.parametrize(
    "arguments,match",
    [
        (([1.0, -1.0], [1.0]), "bin_widths"),
        (([1.0, 1.0], [0.0]), "knot_slopes"),
        (([1.0, 1.0], [1.5]), "same sum"),
    ],
)
def test_validate_args_refuses_bad_values(arguments, match):
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        QuadraticSpline(*arguments, validate_args=True)
    bijector = QuadraticSpline(*(tf.Variable(a) for a in arguments), validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        bijector.forward(tf.zeros([]))
