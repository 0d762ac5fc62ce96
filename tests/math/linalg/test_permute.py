"""Permutations along any axis, with gradients of both orders and without a scatter."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.linalg._permute import permute

ORDER = np.array([2, 0, 3, 1])


@pytest.mark.parametrize(
    ("axis", "jit_compile"), [(0, None), (1, None), (-1, None), (1, True)], ids=str
)
def test_is_the_permutation_with_its_gradients(axis, jit_compile):
    x = tf.constant(np.random.default_rng(0).normal(size=[4, 4, 4]))

    def derivatives(x, permutation):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = permutation(x)
                cubes = tf.reduce_sum(y**3 * tf.sin(x))
            gradient = inner.gradient(cubes, x)
        return y, gradient, outer.gradient(gradient, x)

    def run(x):
        return derivatives(x, lambda x: permute(x, ORDER, axis))

    run = tf.function(run, jit_compile=True, autograph=False) if jit_compile else run
    expected = derivatives(x, lambda x: tf.gather(x, ORDER, axis=axis))
    for got, want in zip(run(x), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_gradient_has_no_scatter():
    @tf.function(autograph=False)
    def gradient(x):
        return tf.gradients(permute(x, ORDER), x)

    graph = gradient.get_concrete_function(tf.TensorSpec([None, 4])).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("GatherV2") == 2
    assert not any("Scatter" in kind or "Segment" in kind for kind in kinds)
