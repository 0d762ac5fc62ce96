"""The linear spline transformer: its sizes, widths and checks."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import LinearSpline

tfd = tfp.distributions


def test_params_size_takes_the_keywords_of_new():
    for kwargs, size in (({}, 8), ({"learn_widths": True}, 16), ({"num_bins": 3}, 3)):
        kwargs = {**kwargs, "bound": 3.0, "min_bin_width": 1e-2, "min_bin_height": 1e-2}
        assert LinearSpline.params_size(**kwargs) == size
        assert LinearSpline.new(tf.zeros([2, size]), **kwargs).bin_heights.shape[0] == 2


def test_widths_are_equal_unless_learned():
    raw = np.random.default_rng(0).normal(size=[3, 8])
    widths = LinearSpline.new(raw, 8, bound=2.0).bin_widths
    np.testing.assert_allclose(widths, np.full(8, 0.5))
    widths = LinearSpline.new(raw, 4, bound=2.0, learn_widths=True).bin_widths
    assert np.ptp(widths) > 0.1
    np.testing.assert_allclose(np.sum(widths, axis=-1), 4.0)


def test_density_on_the_unit_interval_is_a_histogram():
    """As in the paper: through the inverse, uniform numbers have the bins' masses."""
    raw = np.log([0.1, 0.2, 0.3, 0.4])
    bijector = LinearSpline.new(raw, 4, unit_interval=True, min_bin_height=1e-9)
    base = tfd.Uniform(np.float64(0.0), np.float64(1.0))
    flow = tfd.TransformedDistribution(base, tfp.bijectors.Invert(bijector))
    density = np.exp(flow.log_prob(np.array([0.1, 0.3, 0.6, 0.9])))
    np.testing.assert_allclose(density, [0.4, 0.8, 1.2, 1.6], rtol=1e-7)
    assert flow.log_prob(np.float64(1.1)) == -np.inf


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="Received"):
        LinearSpline(tf.ones([3]), tf.ones([4]))


@pytest.mark.parametrize(
    "arguments,match", [(([1.0, -1.0], [1.0, 1.0]), "bin_widths"), (([1.0], [2.0]), "same sum")]
)
def test_validate_args_refuses_bad_values(arguments, match):
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        LinearSpline(*arguments, validate_args=True)
    bijector = LinearSpline(*(tf.Variable(a) for a in arguments), validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        bijector.forward(tf.zeros([]))
