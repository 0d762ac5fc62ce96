"""Activation normalisation: what it starts from, on vectors, images, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

from tfp_flows.bijectors import ActNorm

tfb = tfp.bijectors

RNG = np.random.default_rng(0)


def test_formula():
    bijector = ActNorm(3, dtype="float64")
    perturb(bijector.variables)
    s, t = bijector.log_scale.numpy(), bijector.shift.numpy()
    x = RNG.normal(size=[5, 3])
    np.testing.assert_allclose(bijector.forward(x), np.exp(s) * x + t, rtol=1e-12)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), np.full(5, s.sum()))
    assert len(bijector.trainable_variables) == 2


@pytest.mark.parametrize("shape", [(200, 2), (20, 10, 2), (10, 4, 5, 2)])
def test_adapt_gives_zero_mean_and_unit_variance(shape):
    """Over every axis but the last: pixels count as rows."""
    data = RNG.normal([1.0, -5.0], [0.1, 30.0], size=shape)
    bijector = ActNorm(2, dtype="float64")
    assert not bijector.initialized
    bijector.adapt(data)
    assert bijector.initialized
    axes = tuple(range(data.ndim - 1))
    u = bijector.inverse(data).numpy()
    np.testing.assert_allclose(u.mean(axes), 0.0, atol=1e-12)
    np.testing.assert_allclose(u.std(axes), 1.0, rtol=1e-12)
    np.testing.assert_allclose(bijector.forward(tf.identity(u)), data, rtol=1e-10)


def test_log_det_of_an_image_counts_its_pixels():
    bijector = ActNorm(3, dtype="float64")
    perturb(bijector.variables)
    flat = tf.constant(RNG.normal(size=[2, 4 * 5 * 3]))
    with tf.GradientTape() as tape:
        tape.watch(flat)
        y = tf.reshape(bijector.forward(tf.reshape(flat, [2, 4, 5, 3])), [2, -1])
    expected = np.linalg.slogdet(tape.batch_jacobian(y, flat))[1]
    x = tf.reshape(flat, [2, 4, 5, 3])
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(x, 3), -expected, rtol=1e-12)
    chain = tfb.Chain([bijector, tfb.Reshape([4, 5, 3], [60])])
    np.testing.assert_allclose(chain.forward_log_det_jacobian(flat, 1), expected, rtol=1e-12)


def test_starts_as_the_identity():
    bijector = ActNorm(3)
    x = RNG.normal(size=[4, 3]).astype("float32")
    np.testing.assert_array_equal(bijector.forward(x), x)


@pytest.mark.parametrize("data", [[[1.0, 0.1]], [[1.0, 0.1], [3.0, 0.1], [2.0, 0.1]]])
def test_a_constant_coordinate_keeps_the_scale_one(data):
    """0.1 is no binary number: its deviation may be a rounding, not zero."""
    bijector = ActNorm(2)
    bijector.adapt(np.array(data * 100, "float32"))
    np.testing.assert_allclose(bijector.shift, np.mean(data, axis=0), rtol=1e-6)
    assert bijector.log_scale[1] == 0.0
    assert np.isfinite(bijector.log_scale).all()


@pytest.mark.parametrize("value", [1e30, -1e30, 100.0, -100.0, 0.0])
def test_saturated_parameters(value):
    """As in float64; also where exp(s) alone is beyond the dtype. Zero times infinity is zero."""
    s, t = tf.Variable([value, value]), tf.Variable([0.0, value])
    bijector = ActNorm(2, s, t)
    x = tf.constant([[0.0, 1.0], [1e-30, -1e30]])
    wide, shift = np.float64(x), np.float64(t)
    with np.errstate(over="ignore", invalid="ignore"):
        up, down = np.exp(np.float64(s)), np.exp(-np.float64(s))
        forward = np.where(wide == 0.0, 0.0, wide * up) + shift
        inverse = np.where(wide == shift, 0.0, (wide - shift) * down)
        forward, inverse = np.float32(forward), np.float32(inverse)
    for run, expected, sign in (
        (bijector._forward_and_log_det, forward, 1.0),
        (bijector._inverse_and_log_det, inverse, -1.0),
    ):
        with tf.GradientTape() as tape:
            y, log_det = run(x)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-37)
        np.testing.assert_allclose(log_det, [sign * 2.0 * value] * 2, rtol=1e-6)
        np.testing.assert_allclose(tape.gradient(log_det, s), [sign * 2.0] * 2)


def test_copies_share_the_state():
    bijector = ActNorm(2)
    copy = bijector.copy(name="copy")
    bijector.adapt(7.0 + RNG.normal(size=[30, 2]))
    assert copy.initialized
    np.testing.assert_array_equal(copy.shift, bijector.shift)


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value,error", [(0, ValueError), (-2, ValueError), (2.0, TypeError)])
def test_event_size(value, error):
    with pytest.raises(error, match="`event_size` must be an integer of at least 1. Received: "):
        ActNorm(value)


@pytest.mark.parametrize("name", ["log_scale", "shift"])
def test_shapes_that_do_not_fit(name):
    with pytest.raises(ValueError, match=rf"`{name}` must have shape \(2,\). Received: {name}.sh"):
        ActNorm(2, **{name: tf.zeros([3])})


@pytest.mark.parametrize("shape", [(2,), (5, 3), (0, 2)])
def test_adapt_to_data_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"`data` must have shape \[..., 2\].*Received: data.shap"):
        ActNorm(2).adapt(np.ones(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_adapt_to_data_that_are_not_finite(value):
    bijector = ActNorm(2)
    with pytest.raises(ValueError, match="`data` must be finite. Received: "):
        bijector.adapt([[1.0, value], [2.0, 3.0]])
    assert not bijector.initialized


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size(method):
    with pytest.raises(ValueError, match=r"`act_norm` acts on events of 4 .*Received: .*\(5, 3\)"):
        getattr(ActNorm(4), method)(tf.zeros([5, 3]))
