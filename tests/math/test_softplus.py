"""Against numpy in a wider type, and through two derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math._elementwise import softplus


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "dtype, wide", [(np.float32, np.float64), (np.float64, np.longdouble)], ids=["f32", "f64"]
)
def test_keeps_its_relative_accuracy(dtype, wide, jit_compile):
    x = np.concatenate([np.linspace(-80.0, 80.0, 4001), [-1e-9, 0.0, 1e-9, -1e30, 1e30]])
    x = x.astype(dtype)
    y = tf.function(softplus, jit_compile=jit_compile, autograph=False)(tf.constant(x)).numpy()
    np.testing.assert_allclose(y, np.logaddexp(wide(0.0), wide(x)), rtol=6 * np.finfo(dtype).eps)


def test_bfloat16():
    x = np.linspace(-10.0, 10.0, 81).astype("float32")
    y = tf.cast(softplus(tf.cast(x, tf.bfloat16)), tf.float32)
    np.testing.assert_allclose(y, np.logaddexp(0.0, x), rtol=0.02)


def test_ends():
    y = softplus(tf.constant([-np.inf, np.inf, np.nan])).numpy()
    np.testing.assert_array_equal(y, [0.0, np.inf, np.nan])


def test_derivatives_are_those_of_the_sigmoid():
    x = tf.constant([-1e30, -700.0, -30.0, -1.0, 0.0, 1e-6, 2.0, 40.0, 1e30], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = softplus(x)
        first = inner.gradient(y, x)
    second = outer.gradient(first, x)
    sigmoid = np.exp(-np.logaddexp(0.0, -x.numpy()))
    np.testing.assert_allclose(first, sigmoid, rtol=1e-14)
    # TensorFlow takes s (1 - s), whose second factor has no digits left where s rounds to one.
    exact = sigmoid * np.exp(-np.logaddexp(0.0, x.numpy()))
    np.testing.assert_allclose(second, exact, rtol=1e-13, atol=2e-16)
