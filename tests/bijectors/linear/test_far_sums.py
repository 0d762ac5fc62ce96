"""Linear bijectors of the largest numbers: what float64 has there, or an infinity, never NaN."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf

B = tfpf.bijectors
FORMS = {
    "lu": lambda dtype: B.LULinear(3, dtype=dtype),
    "qr": lambda dtype: B.QRLinear(3, seed=1, dtype=dtype),
    "householder": lambda dtype: B.HouseholderLinear(3, 3, seed=1, dtype=dtype),
    "conv1x1": lambda dtype: B.InvertibleConv1x1(3, seed=1, dtype=dtype),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_largest_numbers(form):
    single, double = (FORMS[form](dtype) for dtype in ("float32", "float64"))
    rng = np.random.default_rng(0)
    for v, w in zip(single.trainable_variables, double.trainable_variables, strict=True):
        v.assign_add(tf.constant(0.3 * rng.normal(size=v.shape), tf.float32))
        w.assign(tf.cast(v, tf.float64))
    largest = np.finfo("float32").max
    x = tf.constant(list(itertools.product([largest, -largest, 1.0], repeat=3)))[:, None, None]
    for method in ("forward", "inverse"):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = getattr(single, method)(x)
            value = tf.reduce_sum(tf.where(tf.math.is_finite(y), y, 0.0) / largest)
        gradients = tape.gradient(value, [x, *single.trainable_variables])
        assert not any(np.isnan(g).any() for g in gradients)
        expected = getattr(double, method)(tf.cast(x, tf.float64))
        np.testing.assert_allclose(
            np.clip(y / largest, -1.0, 1.0), np.clip(expected / largest, -1.0, 1.0), atol=1e-5
        )
