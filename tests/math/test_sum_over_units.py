"""Sums over units: any number of them, gradients of both orders, under XLA and without."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math._sum_over_units import sum_over_units


@pytest.mark.parametrize(
    ("num_units", "jit_compile"), [*((n, None) for n in (1, 3, 4, 7, 8, 33)), (7, True), (33, True)]
)
def test_is_the_sum_with_its_gradients(num_units, jit_compile):
    terms = tf.constant(np.random.default_rng(0).normal(size=[2, num_units, 5]))

    def derivatives(terms):
        with tf.GradientTape() as outer:
            outer.watch(terms)
            with tf.GradientTape() as inner:
                inner.watch(terms)
                total = sum_over_units(terms**3)
            first = inner.gradient(total, terms)
        return total, first, outer.gradient(first, terms)

    run = (
        tf.function(derivatives, jit_compile=True, autograph=False) if jit_compile else derivatives
    )
    total, first, second = run(terms)
    np.testing.assert_allclose(total, np.sum(terms.numpy() ** 3, axis=-2), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(first, 3.0 * terms**2, rtol=1e-12)
    np.testing.assert_allclose(second, 6.0 * terms, rtol=1e-12)
