"""The mixture of logistics: TFP's own CDF, the start, tails, saturation, every target, errors."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import LogisticMixtureCDF

tfd = tfp.distributions
SIZE = 3 * 4 + 2


def raw(scale=1.0, batch=(3,), dtype="float64"):
    return tf.constant(scale * np.random.default_rng(0).normal(size=(*batch, SIZE)), dtype)


def test_params_size_takes_the_keywords_of_new():
    kwargs = {"num_components": 4, "max_log_scale": 2.0}
    assert LogisticMixtureCDF.params_size(**kwargs) == SIZE
    bijector = LogisticMixtureCDF.new(1e6 * raw(), **kwargs)
    assert bijector.logits.shape == bijector.loc.shape == bijector.log_scale.shape == [3, 4]
    assert np.abs(bijector.log_scale).max() <= 2.1 and np.abs(bijector.log_slope).max() <= 2.0


def test_agrees_with_tfp():
    bijector = LogisticMixtureCDF.new(raw(), num_components=4)
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=bijector.logits),
        tfd.Logistic(bijector.loc, tf.exp(bijector.log_scale)),
    )
    x = tf.constant(np.random.default_rng(1).normal(size=(20, 3)))
    cdf = mixture.cdf(x)
    a, b = bijector.log_slope, bijector.shift
    np.testing.assert_allclose(
        bijector.forward(x), tf.exp(a) * tf.math.log(cdf / (1.0 - cdf)) + b, rtol=1e-10
    )
    expected = mixture.log_prob(x) - tf.math.log(cdf * (1.0 - cdf)) + a
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), expected, atol=1e-10)


@pytest.mark.parametrize("num_components", [1, 2, 8, 32])
def test_zero_parameters_are_near_the_identity_and_tie_no_components(num_components):
    params = tf.zeros([1, LogisticMixtureCDF.params_size(num_components)], tf.float64)
    x = tf.constant(np.linspace(-3.0, 3.0, 101)[:, np.newaxis])
    with tf.GradientTape() as tape:
        tape.watch(params)
        bijector = LogisticMixtureCDF.new(params, num_components)
        y = bijector.forward(x)
        log_slope = bijector.forward_log_det_jacobian(x)
        loss = tf.reduce_sum(tf.sin(y) * tf.cos(3.0 * x) + log_slope)
    assert np.abs(y - x).max() <= 0.01
    assert np.abs(log_slope).max() <= 0.01
    gradients = tape.gradient(loss, params)[0, :-2].numpy().reshape(3, num_components)
    for row in gradients:
        assert len(set(np.round(row, 9))) == num_components


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_det_is_exact_in_both_tails(dtype):
    """Where the CDF or the survival function is beyond the range of the dtype."""
    bijector = LogisticMixtureCDF.new(raw(dtype=dtype), num_components=4)
    x = tf.constant([[-1e4], [1e4], [-1e20], [1e20]], dtype)
    widest = bijector.log_slope - tf.reduce_max(bijector.log_scale, axis=-1)
    log_slope = bijector.forward_log_det_jacobian(x)
    np.testing.assert_allclose(log_slope, np.broadcast_to(widest, [4, 3]), atol=1e-6)


# The search of the inverse evaluates the forward direction; deep sigmoids compile their search.
@pytest.mark.parametrize(("inverse", "jit"), [(True, False), (False, True)])
def test_saturated_parameters_are_finite(inverse, jit):
    params = 50.0 * tf.sign(raw(batch=(64, 3), dtype="float32"))
    x = tf.constant(3.0 * np.random.default_rng(3).normal(size=(64, 3)), tf.float32)

    def run(params, x):
        with tf.GradientTape() as tape:
            tape.watch([params, x])
            bijector = LogisticMixtureCDF.new(params, num_components=4)
            method = bijector._inverse_and_log_det if inverse else bijector._forward_and_log_det
            value, log_det = method(x)
            loss = tf.reduce_sum(value) + tf.reduce_sum(log_det)
        return value, log_det, *tape.gradient(loss, [params, x])

    run = tf.function(run, jit_compile=True, autograph=False) if jit else run
    assert all(np.isfinite(out).all() for out in run(params, x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inverts_every_target(dtype):
    bijector = LogisticMixtureCDF.new(raw(2.0, dtype=dtype), num_components=4)
    y = tf.constant(np.outer([-1e30, -1e15, -1e4, -30.0, 30.0, 1e4, 1e15, 1e30], np.ones(3)), dtype)
    x = bijector.inverse(y)
    np.testing.assert_allclose(bijector.forward(tf.identity(x)), y, rtol=1e-5)


def test_what_has_no_root_is_nan_or_an_error():
    y = tf.constant([0.0, np.nan, 1.0], tf.float64)
    x = LogisticMixtureCDF.new(raw(), 4).inverse(y)
    assert np.array_equal(np.isnan(x), [False, True, False])
    with pytest.raises(tf.errors.InvalidArgumentError, match="logistic_mixture_cdf"):
        LogisticMixtureCDF.new(raw(), 4, validate_args=True).inverse(y)


def test_scalar_input_slope_and_shift_by_default():
    bijector = LogisticMixtureCDF([0.0], [2.0], [np.log(3.0)])
    assert bijector.forward(5.0).shape == []
    np.testing.assert_allclose(bijector.forward(5.0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(bijector.inverse(1.0), 5.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"num_components": 0}, "num_components"),
        ({"max_log_scale": -1.0}, "max_log_scale"),
        ({"num_components": 3}, "11 numbers"),
    ],
)
def test_new_refuses_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        LogisticMixtureCDF.new(tf.zeros([2, 26]), **kwargs)


@pytest.mark.parametrize("shapes", [([3], [3], [2]), ([], [], []), ([0],) * 3])
def test_constructor_refuses_sizes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="last axis.*Received"):
        LogisticMixtureCDF(*(tf.zeros(shape) for shape in shapes))
