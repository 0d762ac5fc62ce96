"""Fixed steps: the order of each method, and the conditions its table has to meet."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import DORMAND_PRINCE, EULER, RK4, fixed_steps

METHODS = {"euler": (EULER, 1), "rk4": (RK4, 4), "dormand_prince": (DORMAND_PRINCE, 5)}


def pendulum(t, state):
    """A driven pendulum, and the integral of its first coordinate, in both forms."""
    (z,) = state
    slope = tf.stack([z[:, 1], -tf.sin(z[:, 0]) + tf.sin(3.0 * t)], axis=-1)
    return (slope,), (z[:, 0],)


START = np.array([[0.5, -0.2], [1.5, 1.0]])


@functools.cache
def solved(tableau, num_steps, start=0.0, stop=2.0):
    @tf.function(autograph=False)
    def solve(z):
        options = {"num_steps": num_steps, "tableau": tableau}
        quadrature = (tf.zeros([2], tf.float64),)
        return fixed_steps(pendulum, (z,), start, stop, quadrature=quadrature, **options)

    return solve(tf.constant(START))


@pytest.mark.parametrize(("tableau", "order"), METHODS.values(), ids=METHODS)
def test_error_falls_with_the_order_of_the_method(tableau, order):
    exact = solved(DORMAND_PRINCE, 400)
    errors = []
    for num_steps in (20, 40):
        result = solved(tableau, num_steps)
        assert result.num_steps == num_steps and np.all(result.succeeded)
        errors.append(
            [
                np.abs(result.state[0] - exact.state[0]).max(),
                np.abs(result.quadrature[0] - exact.quadrature[0]).max(),
            ]
        )
    found = np.log2(np.divide(*errors))
    assert np.all(found > order - 0.5)


@pytest.mark.parametrize(("tableau", "order"), METHODS.values(), ids=METHODS)
def test_table_is_consistent(tableau, order):
    np.testing.assert_allclose([sum(row) for row in tableau.matrix], tableau.nodes, atol=1e-15)
    for power in range(order):
        moments = np.dot(tableau.weights, np.power(tableau.nodes, power))
        np.testing.assert_allclose(moments, 1.0 / (power + 1), rtol=1e-14)
    if tableau.error_weights:
        np.testing.assert_allclose(sum(tableau.error_weights), 0.0, atol=1e-15)


def test_back_in_time_is_the_inverse():
    there = solved(RK4, 200)
    solve = tf.function(functools.partial(fixed_steps, pendulum, num_steps=200), autograph=False)
    back = solve(there.state, 2.0, 0.0, quadrature=there.quadrature)
    np.testing.assert_allclose(back.state[0], START, atol=1e-8)
    np.testing.assert_allclose(back.quadrature[0], 0.0, atol=1e-8)


def test_a_row_that_is_not_finite_is_reported():
    start = tf.constant([[1.0], [1e200]], tf.float64)
    result = fixed_steps(lambda t, s: ((s[0] ** 3,), ()), (start,), 0.0, 0.1, num_steps=4)
    np.testing.assert_array_equal(result.succeeded, [True, False])


def test_gradient_is_that_of_the_steps_and_compiles():
    def loss(z):
        state, (integral,), _, _ = fixed_steps(
            pendulum, (z,), 0.0, 1.0, num_steps=5, quadrature=(tf.zeros([2], tf.float64),)
        )
        return tf.reduce_sum(tf.sin(state[0])) + tf.reduce_sum(integral**2)

    def gradient(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(z)
        return tape.gradient(value, z)

    z, h = tf.constant(START), 1e-6
    direction = tf.constant([[0.3, -1.0], [0.8, 0.1]], tf.float64)
    numeric = (loss(z + h * direction) - loss(z - h * direction)) / (2 * h)
    found = gradient(z)
    np.testing.assert_allclose(tf.reduce_sum(found * direction), numeric, rtol=1e-8)
    compiled = tf.function(gradient, jit_compile=True, autograph=False)(z)
    np.testing.assert_allclose(compiled, found, rtol=1e-12)


def test_bad_number_of_steps():
    with pytest.raises(ValueError, match="`num_steps`.*Received: num_steps=0"):
        solved(RK4, 0)
