"""Sums over units: any number of them, gradients of both orders, under XLA and without."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math._sum_over_units import sum_over_units


@pytest.mark.parametrize("num_units", [1, 3, 4, 7, 8, 33])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_is_the_sum_with_its_gradients(num_units, jit_compile):
    terms = tf.constant(np.random.default_rng(0).normal(size=[2, num_units, 5]))

    @tf.function(jit_compile=jit_compile)
    def derivatives(terms):
        with tf.GradientTape() as outer:
            outer.watch(terms)
            with tf.GradientTape() as inner:
                inner.watch(terms)
                total = sum_over_units(terms**3)
            first = inner.gradient(total, terms)
        return total, first, outer.gradient(first, terms)

    total, first, second = derivatives(terms)
    np.testing.assert_allclose(total, np.sum(terms.numpy() ** 3, axis=-2), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(first, 3.0 * terms**2, rtol=1e-12)
    np.testing.assert_allclose(second, 6.0 * terms, rtol=1e-12)
