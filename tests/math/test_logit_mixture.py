"""The logit of a mixture of sigmoids, beside the plain formula and its limits."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logsumexp

from tfp_flows.math._logit_mixture import distinct_offsets, log_softmax, logit_mixture


def mixture(x, dtype="float64"):
    """Three sigmoids of slopes 0.5, 1 and 3."""
    log_slopes = tf.math.log(tf.constant([0.5, 1.0, 3.0], dtype))
    log_weights = tf.math.log(tf.constant([0.2, 0.5, 0.3], dtype))
    z = tf.exp(log_slopes)[:, tf.newaxis] * x[..., tf.newaxis, :] + tf.constant(
        [[1.0], [-2.0], [0.5]], dtype
    )
    return logit_mixture(log_weights[:, tf.newaxis], z, log_slopes[:, tf.newaxis])


def test_agrees_with_the_formula():
    x = np.linspace(-8.0, 8.0, 33)
    y, log_slope = mixture(tf.constant(x))
    z = np.array([0.5, 1.0, 3.0]) * x[:, None] + [1.0, -2.0, 0.5]
    f = expit(z) @ [0.2, 0.5, 0.3]
    s = expit(-z) @ [0.2, 0.5, 0.3]
    slope = (expit(z) * expit(-z)) @ (np.array([0.5, 1.0, 3.0]) * [0.2, 0.5, 0.3]) / (f * s)
    np.testing.assert_allclose(y, np.log(f / s), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_slope, np.log(slope), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("x", [1e3, 1e10, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tails_follow_the_least_steep(x, dtype):
    y, log_slope = mixture(tf.constant([-x, x], dtype), dtype)
    ends = [-0.5 * x + 1.0 + np.log(0.2), 0.5 * x + 1.0 - np.log(0.2)]
    np.testing.assert_allclose(y, ends, rtol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_allclose(log_slope, np.log([0.5, 0.5]), rtol=1e-6)


@pytest.mark.parametrize("jit", [None, True], ids=["eager", "xla"])
def test_slope_is_exactly_constant_in_the_tails(jit):
    """A rounding of it would be multiplied by x, on the way to the gradient of parameters."""

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, log_slope = mixture(x, x.dtype)
        return tape.gradient(log_slope, x)

    gradient = tf.function(gradient, jit_compile=True, autograph=False) if jit else gradient
    # Eight and one, since vectorised and scalar kernels round differently.
    for size in (1, 8):
        x = tf.constant([1e15, -1e30, 1e30, -1e3, 1e5, -1e10, 1e3, -1e20][:size])
        np.testing.assert_array_equal(gradient(x), np.zeros(size))


@pytest.mark.parametrize("shift", [0.0, 1e-20, 1e-3, 30.0, 700.0])
def test_gradient_of_value_is_the_slope(shift):
    """Also where terms are equal, or nearly so."""
    x = tf.constant([0.0, 1e-20, -1e-20, 3.0, -500.0])
    log_weights = tf.math.log(tf.constant([[0.5], [0.5]]))

    def run(x):
        z = tf.stack([x, x + shift])
        return logit_mixture(log_weights, z, tf.zeros_like(z))

    with tf.GradientTape() as tape:
        tape.watch(x)
        y, log_slope = run(x)
    np.testing.assert_allclose(tape.gradient(y, x), np.exp(log_slope), rtol=1e-6)


@pytest.mark.parametrize("jit", [None, True], ids=["eager", "xla"])
def test_takes_any_number_of_axes(jit):
    # The limit is that of one library, which is asked for float32 only.
    x = tf.constant(np.random.default_rng(0).normal(size=[24]), tf.float32)

    def run(shape):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y, log_slope = mixture(tf.reshape(x, shape), "float32")
            total = tf.reduce_sum(y) + tf.reduce_sum(log_slope)
        return tf.reshape(y, [-1]), tape.gradient(total, x)

    compiled = run if jit is None else tf.function(run, jit_compile=jit, autograph=False)
    for result, expected in zip(compiled([2, 1, 3, 2, 1, 2, 1]), run([24]), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_gradients_of_weights_and_slope_agree_with_finite_differences():
    logits = np.array([0.1, -0.4, 0.7])
    x = tf.constant([-9.0, -0.3, 1.1, 12.0], tf.float64)

    def run(logits):
        slopes = tf.constant([[0.5], [1.0], [3.0]], tf.float64)
        log_weights = log_softmax(logits[:, tf.newaxis])
        y, log_slope = logit_mixture(log_weights, slopes * x, tf.math.log(slopes))
        return tf.reduce_sum(tf.sin(y) + log_slope)

    tensor = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        out = run(tensor)
    gradient = tape.gradient(out, tensor).numpy()
    for k, step in enumerate(1e-6 * np.eye(3)):
        numeric = (run(tf.constant(logits + step)) - run(tf.constant(logits - step))) / 2e-6
        np.testing.assert_allclose(gradient[k], numeric, rtol=1e-7, atol=1e-9)


def test_beyond_the_range_of_the_dtype_nothing_is_nan():
    z = tf.constant([[np.inf, -np.inf], [1e38, -1e38], [3e38, -3e38]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        y, log_slope = logit_mixture(tf.fill([3, 1], -np.log(np.float32(3.0))), z, tf.zeros([3, 2]))
        total = tf.reduce_sum(log_slope)
    assert np.isfinite(y).all() and np.isfinite(log_slope).all()
    assert np.isfinite(tape.gradient(total, z)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_units_beyond_the_range_stand_at_a_quarter_of_it(dtype):
    log_weights = tf.math.log(tf.constant([[0.5], [0.5]], dtype))
    z = tf.constant([[np.inf, -np.inf], [np.inf, -np.inf]], dtype)
    log_slopes = tf.math.log(tf.constant([[3.0], [0.5]], dtype))
    with tf.GradientTape() as tape:
        tape.watch([log_weights, log_slopes])
        y, log_slope = logit_mixture(log_weights, z, log_slopes)
    limit = 0.25 * np.finfo(dtype).max
    np.testing.assert_array_equal(y, [limit, -limit])
    np.testing.assert_allclose(log_slope, 2 * [np.log(0.5 * 3.0 + 0.5 * 0.5)], rtol=1e-6)
    of_weights, of_slopes = tape.gradient(log_slope, [log_weights, log_slopes])
    share = 3.0 / 3.5
    np.testing.assert_allclose(of_weights, [[2 * share - 1.0], [1.0 - 2 * share]], rtol=1e-6)
    np.testing.assert_allclose(of_slopes, [[2 * share], [2 - 2 * share]], rtol=1e-6)


@pytest.mark.parametrize("num_units", [1, 2, 5, 16, 64])
def test_distinct_offsets_are_near_the_identity(num_units):
    b, log_a = distinct_offsets(num_units)
    assert len(set(b)) == num_units
    x = np.linspace(-3.0, 3.0, 601)
    z = np.exp(log_a) * x[:, None] + b
    f = logsumexp(-np.log1p(np.exp(-z)), axis=-1)
    s = logsumexp(-np.log1p(np.exp(z)), axis=-1)
    assert np.abs(f - s - x).max() <= 0.01
    assert np.abs(np.gradient(f - s, x) - 1.0).max() <= 0.01


def test_between_distant_units_the_slope_is_as_small_as_it_is():
    """Half of the units are passed, the others are far: the slope is below the dtype."""
    z = tf.constant([[1e4], [-1e4]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        y, log_slope = logit_mixture(tf.fill([2, 1], np.log(np.float32(0.5))), z, tf.zeros([2, 1]))
    np.testing.assert_allclose(y, [0.0], atol=1e-6)
    np.testing.assert_allclose(log_slope, [-1e4 + np.log(4.0)], rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(log_slope, z), [[-0.5], [0.5]], rtol=1e-6)


def test_second_derivatives_agree_with_finite_differences():
    x = tf.constant([-7.0, -0.4, 0.0, 0.9, 6.0], tf.float64)

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, log_slope = mixture(x)
        return tape.gradient(log_slope, x)

    with tf.GradientTape() as tape:
        tape.watch(x)
        first = slope(x)
    numeric = (slope(x + 1e-6) - slope(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(tape.gradient(first, x), numeric, rtol=1e-7, atol=1e-9)


def test_slope_is_constant_in_huge_weights_too():
    """In the tail of the one unit that has all of the weight, and of one that has next to none."""
    log_weights = tf.constant([[0.0, -1e30], [-1e30, 0.0]])
    z = tf.constant([[1e30, 1e30], [3e30, 3e30]])
    with tf.GradientTape() as tape:
        tape.watch(log_weights)
        _, log_slope = logit_mixture(log_weights, z, tf.constant([[0.0], [1.0]]))
    np.testing.assert_array_equal(tape.gradient(log_slope, log_weights), np.zeros([2, 2]))
