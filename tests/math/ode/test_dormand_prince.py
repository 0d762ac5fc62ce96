"""Adaptive steps: errors follow the tolerance, rows do not disturb each other, reports."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import RK45

from tfp_flows.math.ode import dormand_prince


def rotation(t, state):
    """z' = 2 t A z, solved by exp(t^2 A): a rotation by t^2, with the integral of the rates."""
    (z,) = state
    return (2.0 * t * tf.stack([-z[:, 1], z[:, 0]], axis=-1),), (2.0 * t * tf.ones_like(z[:, 0]),)


NONE = (tf.zeros([2], tf.float64),)


def rotated(z, start, stop):
    angle = stop**2 - start**2
    matrix = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return z @ np.transpose(matrix)


START = np.array([[1.0, 0.0], [-0.3, 2.0]])


@pytest.mark.parametrize("times", [(0.0, 3.0), (2.0, -1.0)], ids=str)
def test_error_scales_with_the_tolerance(times):
    exact = rotated(START, *times)
    errors, steps = [], []
    solve = functools.partial(dormand_prince, rotation, quadrature=NONE)
    for tolerance in (1e-4, 1e-9):
        solve_by = functools.partial(solve, rtol=tolerance, atol=tolerance)
        graph = tf.function(lambda z, by=solve_by: by((z,), *times), autograph=False)
        state, (integral,), succeeded, num_steps = graph(tf.constant(START))
        assert np.all(succeeded)
        errors.append(np.abs(state[0] - exact).max() / tolerance)
        steps.append(int(num_steps))
        np.testing.assert_allclose(integral, times[1] ** 2 - times[0] ** 2, rtol=1e-12, atol=1e-12)
    # Of each step by definition, of the whole within some factor that does not grow.
    assert max(errors) < 50.0
    assert steps == sorted(steps) and steps[-1] > 2 * steps[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tolerance_below_the_dtype_is_raised_to_it(dtype):
    @tf.function(autograph=False)
    def solve(z):
        quadrature = (tf.zeros([2], dtype),)
        return dormand_prince(rotation, (z,), 0.0, 1.0, rtol=0.0, atol=1e-30, quadrature=quadrature)

    result = solve(tf.constant(START, dtype))
    assert np.all(result.succeeded)
    exact = rotated(START, 0.0, 1.0)
    tolerance = 200 * np.finfo(dtype).eps
    np.testing.assert_allclose(result.state[0], exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_rows_do_not_disturb_each_other(jit_compile):
    """Rows that blow up at t = 0.5 or sooner, or are not finite; and two good ones."""

    def blow_up(t, state):
        (z,) = state
        return (z**2 + tf.sin(z) * t,), ()

    def solve(z):
        return dormand_prince(blow_up, (z,), 0.0, 1.0, rtol=1e-6, atol=1e-6)

    run = tf.function(solve, jit_compile=jit_compile, autograph=False)
    good = tf.constant([[0.1], [-2.0]], tf.float64)
    bad = tf.constant([[2.0], [np.inf], [np.nan], [1e300]], tf.float64)
    alone, together = run(tf.tile(good, [3, 1])), run(tf.concat([good, bad], axis=0))
    np.testing.assert_array_equal(together.succeeded, [True] * 2 + [False] * 4)
    assert np.all(alone.succeeded)
    np.testing.assert_allclose(together.state[0][:2], alone.state[0][:2], rtol=1e-5)


@pytest.mark.parametrize("ratio", [0.98, 1.02])
def test_a_step_is_accepted_if_its_error_is_within_the_tolerance(ratio):
    """Of z' = a t^6, which is so flat at first that one step over all is tried."""
    stages = np.append(RK45.C, 1.0)
    a = ratio * 1e-5 / abs(RK45.E @ stages**6)

    def power(t, state):
        return (a * t**6 * tf.ones_like(state[0]),), ()

    start = (tf.zeros([1, 1], tf.float64),)
    result = dormand_prince(power, start, 0.0, 1.0, rtol=0.0, atol=1e-5, max_num_steps=1)
    reached = a * RK45.B @ RK45.C**6
    assert result.num_steps == 1 and result.succeeded == [ratio < 1.0]
    np.testing.assert_allclose(result.state[0], [[reached if ratio < 1.0 else 0.0]], rtol=1e-12)


def test_too_few_steps_are_reported():
    start = (tf.constant(START),)
    result = dormand_prince(rotation, start, 0.0, 9.0, max_num_steps=5, quadrature=NONE)
    assert result.num_steps == 5 and not np.any(result.succeeded)


def test_quadratures_steer_though_nothing_moves():
    rate = tf.Variable(0.0, dtype=tf.float64)

    def still(t, state):
        return (tf.zeros_like(state[0]),), (tf.sin(rate * t) * tf.ones([3], tf.float64),)

    solve = functools.partial(
        dormand_prince,
        still,
        (tf.constant(START),),
        0.0,
        1.0,
        quadrature=(tf.zeros([3], tf.float64),),
    )

    @tf.function(autograph=False)
    def both():
        return solve().quadrature[0], solve(quadrature_steers=False).num_steps

    for value in (3.0, 20.0, 200.0):
        rate.assign(value)
        integral, num_steps = both()
        exact = (1.0 - np.cos(value)) / value
        np.testing.assert_allclose(integral, [exact] * 3, atol=1e-4)
        assert num_steps <= 3


@pytest.mark.parametrize("late", [False, True])
def test_rows_that_exhaust_the_steps_do_so_alone(late):
    """z' = -c z, with c so large that the method is stable with too many steps only."""

    def decay(t, state):
        (z,) = state
        rate = tf.constant([[1.0], [2.0], [3e4], [1e6]], z.dtype)[: tf.shape(z)[0]]
        # The same rate all along, or from t = 1 on.
        rate = tf.where(t < 1.0, tf.minimum(rate, 3.0), rate) if late else rate
        return (-rate * (z - tf.sin(t)),), ()

    @tf.function(autograph=False)
    def solve(z):
        options = {"rtol": 1e-6, "atol": 1e-6, "max_num_steps": 200}
        return dormand_prince(decay, (z,), 0.0, 2.0, **options)

    start = tf.constant([[1.0], [-0.5], [1.0], [2.0]], tf.float64)
    alone, together = solve(start[:2]), solve(start)
    np.testing.assert_array_equal(together.succeeded, [True, True, False, False])
    np.testing.assert_allclose(together.state[0][:2], alone.state[0], rtol=1e-12)
    assert together.num_steps == 200 + alone.num_steps


def test_gradient_is_that_of_the_steps():
    @tf.function(jit_compile=True, autograph=False)
    def gradient(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            result = dormand_prince(
                rotation, (z,), 0.0, 1.0, rtol=1e-9, atol=1e-9, max_num_steps=60, quadrature=NONE
            )
            value = tf.reduce_sum(result.state[0][:, 0])
        return tape.gradient(value, z)

    expected = np.array([[np.cos(1.0), -np.sin(1.0)]] * 2)
    np.testing.assert_allclose(gradient(tf.constant(START)), expected, rtol=1e-7)


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"rtol": -1e-3}, "rtol=-0.001"),
        ({"atol": 0.0}, "atol=0.0"),
        ({"max_num_steps": 0}, "max_num_steps=0"),
    ],
    ids=str,
)
def test_bad_options(options, received):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        dormand_prince(rotation, (tf.constant(START),), 0.0, 1.0, **options)
