"""Fixed points of vectors: convergence, its report, and implicit derivatives."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.solvers import fixed_point

D = 4


def matrix(lipschitz, seed=0):
    a = np.random.default_rng(seed).normal(size=[D, D])
    return tf.constant(lipschitz * a / np.linalg.norm(a, ord=2))


def linear(a, y):
    return lambda z: y + tf.linalg.matvec(a, z)


def residual(a, y):
    return lambda z: y + 0.7 * tf.tanh(tf.linalg.matvec(a, z))


Y = np.random.default_rng(1).normal(size=[3, D])


@pytest.mark.parametrize(
    ("lipschitz", "dtype", "jit_compile"),
    [
        (0.0, "float64", False),
        (0.5, "float32", True),
        (0.9, "float32", False),
        (0.9, "float64", True),
    ],
)
def test_solves_linear_systems(lipschitz, dtype, jit_compile):
    a = tf.cast(matrix(lipschitz), dtype)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def solve(y):
        return fixed_point(linear(a, y), tf.zeros_like(y))

    point, converged, num_iterations = solve(tf.constant(Y, dtype))
    assert converged.shape == [3] and np.all(converged) and num_iterations <= 400
    exact = np.linalg.solve(np.eye(D) - a.numpy().astype("float64"), Y.T).T
    tolerance = 300 * np.finfo(dtype).eps
    np.testing.assert_allclose(point, exact, rtol=tolerance, atol=tolerance)


def test_iterations_are_as_many_as_the_docstring_says():
    start = tf.zeros([1, 1], tf.float64)
    for lipschitz, number in ((0.5, 50), (0.9, 300)):
        result = fixed_point(lambda z, c=lipschitz: 1.0 + c * z, start)
        np.testing.assert_allclose(result.num_iterations, number, rtol=0.15)


def test_reports_each_event_that_has_not_converged():
    factor = tf.constant([[0.3], [1.5], [1.0], [np.nan]], tf.float64)

    def function(z):
        return 1.0 + factor * z

    eager = functools.partial(fixed_point, max_iterations=100)
    for solve in (eager, tf.function(fixed_point, jit_compile=True, autograph=False)):
        point, converged, _ = solve(function, tf.zeros([4, 2], tf.float64))
        np.testing.assert_array_equal(converged, [True, False, False, False])
        np.testing.assert_allclose(point[0], [1.0 / 0.7] * 2, rtol=1e-14)
        assert np.all(np.isnan(point[1:]))
    few = fixed_point(function, tf.zeros([4, 2], tf.float64), max_iterations=3)
    assert few.num_iterations == 3 and not np.any(few.converged) and np.all(np.isnan(few.point))


def test_what_has_converged_does_not_depend_on_its_neighbours():
    a = matrix(0.8)
    alone = fixed_point(residual(a, tf.constant(Y[:1])), tf.zeros([1, D], tf.float64))
    scaled = tf.constant(Y) * [[1.0], [1e3], [1e6]]
    together = fixed_point(residual(a, scaled), tf.zeros([3, D], tf.float64))
    assert together.num_iterations >= alone.num_iterations
    np.testing.assert_allclose(together.point[:1], alone.point, rtol=1e-15)


def test_an_event_without_a_point_leaves_the_gradients_of_others_alone():
    c = tf.Variable(0.5, dtype=tf.float64)
    growth = tf.constant([[1.0], [4.0]], tf.float64)
    with tf.GradientTape() as tape:
        start = tf.ones([2, 1], tf.float64)
        result = fixed_point(lambda z: 1.0 + c * growth * z, start, max_iterations=100)
        loss = tf.reduce_sum(
            tf.where(result.converged[:, tf.newaxis], result.point, tf.zeros([], tf.float64))
        )
    np.testing.assert_array_equal(result.converged, [True, False])
    np.testing.assert_allclose(tape.gradient(loss, c), 4.0, rtol=1e-12)


@pytest.mark.parametrize("jit_compile", [None, True], ids=["eager", "xla"])
def test_derivatives_are_those_of_finite_differences(jit_compile):
    a, y = matrix(0.9), tf.constant(Y[0])
    rng = np.random.default_rng(2)
    direction_a, direction_y, weights = (
        tf.constant(rng.normal(size=s)) for s in ([D, D], [D], [D])
    )

    def loss(a, y):
        point = fixed_point(residual(a, y), tf.zeros_like(y)).point
        return tf.reduce_sum(weights * point**2)

    def first(a, y):
        with tf.GradientTape() as tape:
            tape.watch([a, y])
            value = loss(a, y)
        d_a, d_y = tape.gradient(value, [a, y])
        return tf.reduce_sum(d_a * direction_a) + tf.reduce_sum(d_y * direction_y)

    run = tf.function(first, jit_compile=True, autograph=False) if jit_compile else first
    h = 1e-5
    up, down = (loss(a + s * direction_a, y + s * direction_y) for s in (h, -h))
    np.testing.assert_allclose(run(a, y), (up - down) / (2 * h), rtol=1e-7)


def test_a_second_derivative_is_refused():
    y = tf.constant(Y)
    with tf.GradientTape() as outer:
        outer.watch(y)
        with tf.GradientTape() as tape:
            tape.watch(y)
            loss = tf.reduce_sum(fixed_point(residual(matrix(0.5), y), y).point ** 3)
        gradient = tape.gradient(loss, y)
    with pytest.raises(LookupError, match="first derivatives only"):
        outer.gradient(gradient, y)


def test_small_cotangents_keep_their_digits():
    a, y = matrix(0.7), tf.constant(Y)

    def gradient(scale):
        with tf.GradientTape() as tape:
            tape.watch(a)
            loss = scale * tf.reduce_sum(fixed_point(linear(a, y), y).point)
        return tape.gradient(loss, a) / scale

    np.testing.assert_allclose(gradient(1e-20), gradient(1.0), rtol=1e-12)


def test_events_of_other_ranks():
    image = tf.ones([2, 3, 3, 1], tf.float64)
    result = fixed_point(lambda z: image + 0.5 * tf.sin(z), image, event_ndims=3)
    assert result.converged.shape == [2] and result.point.shape == [2, 3, 3, 1]
    scalar = fixed_point(tf.cos, tf.ones([5], tf.float64), event_ndims=0)
    assert scalar.converged.shape == [5]
    np.testing.assert_allclose(scalar.point, 0.7390851332151607, rtol=1e-14)


def test_bad_arguments():
    z = tf.ones([2])
    with pytest.raises(TypeError, match="`initial`"):
        fixed_point(tf.cos, tf.constant([1]))
    with pytest.raises(ValueError, match="`tolerance`"):
        fixed_point(tf.cos, z, tolerance=-1.0)
    with pytest.raises(ValueError, match="`max_iterations`"):
        fixed_point(tf.cos, z, max_iterations=0)
    with pytest.raises(ValueError, match="`event_ndims`"):
        fixed_point(tf.cos, z, event_ndims=2)
