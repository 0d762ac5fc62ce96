"""Against extended precision, and where the textbook formula fails."""

import numpy as np
import tensorflow as tf

from tfp_flows.math._elementwise import exp_asinh, tanh_and_slope


def test_exp_asinh_keeps_its_digits():
    a = np.array([-1e12, -1e6, -3.0, -1e-9, 0.0, 1e-9, 3.0, 1e12])
    exact = np.exp(np.arcsinh(a.astype(np.longdouble)))
    np.testing.assert_allclose(exp_asinh(tf.constant(a)), exact, rtol=4e-15)
    tensor = tf.constant(a)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        p = exp_asinh(tensor)
    slope = exact / np.sqrt(1.0 + a.astype(np.longdouble) ** 2)
    np.testing.assert_allclose(tape.gradient(p, tensor), slope, rtol=1e-14)


def test_slope_of_tanh_is_exact_in_the_tails():
    z = np.array([-300.0, -40.0, -1.0, 0.0, 1e-5, 2.0, 40.0, 300.0])
    for jit_compile in (True, False):
        h, slope = tf.function(tanh_and_slope, jit_compile=jit_compile, autograph=False)(
            tf.constant(z)
        )
        np.testing.assert_allclose(h, np.tanh(z), rtol=1e-14)
        np.testing.assert_allclose(slope, np.cosh(z) ** -2.0, rtol=1e-12)
