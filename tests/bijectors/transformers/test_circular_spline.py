"""The circular spline transformer: its sizes, a density on the circle, and checks."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import CircularSpline

tfd = tfp.distributions


def test_params_size_takes_the_keywords_of_new():
    kwargs = {
        "num_bins": 5,
        "range_min": 0.0,
        "min_bin_width": 1e-2,
        "min_bin_height": 1e-2,
        "min_slope": 1e-2,
    }
    assert CircularSpline.params_size(**kwargs) == 16
    bijector = CircularSpline.new(tf.zeros([2, 16]), **kwargs)
    assert bijector.bin_widths.shape == [2, 5] and bijector.shift.shape == [2]


@pytest.mark.parametrize("range_min", [-np.pi, 0.0])
def test_density_on_the_circle_is_periodic_and_has_mass_one(range_min):
    raw = np.random.default_rng(0).normal(size=[25])
    bijector = CircularSpline.new(raw, range_min=range_min, validate_args=True)
    upper = range_min + 2 * np.pi
    flow = tfd.TransformedDistribution(tfd.Uniform(np.float64(range_min), upper), bijector)
    x = np.linspace(range_min, upper, 20001)[:-1]
    density = np.exp(flow.log_prob(x))
    np.testing.assert_allclose(density.mean() * 2 * np.pi, 1.0, atol=1e-6)
    assert density.max() > 1.5 * density.min()
    np.testing.assert_allclose(density[-1], density[0], rtol=1e-2)


def test_shift_is_a_rotation():
    raw = np.zeros([25])
    raw[-1] = 1.5
    x = np.array([-3.0, 0.0, 3.0])
    y = CircularSpline.new(raw).forward(x)
    np.testing.assert_allclose(y, [-1.5, 1.5, 4.5 - 2 * np.pi], atol=1e-12)


@pytest.mark.parametrize("shapes", [([3], [4], [3]), ([3], [3], [4]), ([0], [0], [0])])
def test_constructor_refuses_sizes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="Received"):
        CircularSpline(*(tf.ones(shape) for shape in shapes))


@pytest.mark.parametrize(
    "arguments,match",
    [
        (([np.pi, np.pi], [np.pi, np.pi], [1.0, -1.0]), "knot_slopes"),
        (([np.pi, 3.0], [np.pi, np.pi], [1.0, 1.0]), "bin_widths.*2 pi"),
    ],
)
def test_validate_args_refuses_bad_values(arguments, match):
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        CircularSpline(*arguments, validate_args=True)
    bijector = CircularSpline(*(tf.Variable(a) for a in arguments), validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        bijector.forward(0.0)
