"""Gradients by the adjoint equation: of everything the field is made of, in every mode."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import EULER, exact_divergence, fixed_steps
from tfp_flows.math.ode import adjoint, dormand_prince

RNG = np.random.default_rng(0)
N, D, H = 3, 2, 5
Z = tf.constant(RNG.normal(size=[N, D]))
SMALL = tf.constant(RNG.normal(size=[H, D]))  # TF makes a constant of it when it traces
LARGE = tf.constant(0.1 * RNG.normal(size=[200, D]))  # and captures this one
CONTEXT = tf.constant(RNG.normal(size=[N, H]))
PRECISE = functools.partial(dormand_prince, rtol=1e-11, atol=1e-11)
TEN_STEPS = functools.partial(fixed_steps, num_steps=10)


def make_loss(weights, solve=PRECISE, start=-0.5, stop=1.0):
    def loss(z, small, large, context, scale=1.0):
        def field(t, z):
            h = tf.tanh(z @ weights + context + t)
            return tf.tanh(h @ small) + tf.tanh(z @ tf.transpose(large)) @ large

        def slopes(t, z):
            f, divergence, square = exact_divergence(field, t, z)
            return f, tf.stack([divergence, square], axis=-1)

        z, q = adjoint(slopes, z, start, stop, solve)
        return scale * (tf.reduce_sum(tf.sin(z)) + tf.reduce_sum(q[:, 0] ** 2 + 0.1 * q[:, 1]))

    return loss


def gradients_of(loss, weights, mode="graph"):
    """A function of the inputs, and of what multiplies the loss."""

    def run(inputs, scale):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(*inputs, scale)
        return tape.gradient(value, [*inputs, weights])

    return run if mode == "eager" else tf.function(run, jit_compile=mode == "xla", autograph=False)


@pytest.fixture
def weights():
    return tf.Variable(np.random.default_rng(1).normal(size=[D, H]))


INPUTS = (Z, SMALL, LARGE, CONTEXT)
ONE = tf.constant(1.0, tf.float64)


@pytest.fixture(scope="module")
def precise():
    """The gradients as a function of the scale, traced once."""
    weights = tf.Variable(np.random.default_rng(1).normal(size=[D, H]))
    return functools.partial(gradients_of(make_loss(weights), weights), INPUTS)


@pytest.fixture(scope="module")
def exact(precise):
    """The gradients, once: a precise solution takes hundreds of steps."""
    return precise(ONE)


def test_gradients_are_those_of_finite_differences(weights, exact):
    evaluate = tf.function(make_loss(weights), autograph=False)
    h, start = 1e-5, tf.identity(weights)
    for i, gradient in enumerate(exact):
        direction = tf.constant(np.random.default_rng(i).normal(size=gradient.shape))
        ends = []
        for step in (h, -h):
            inputs = list(INPUTS)
            if i < len(inputs):
                inputs[i] = inputs[i] + step * direction
            else:
                weights.assign(start + step * direction)
            ends.append(evaluate(*inputs))
        weights.assign(start)
        numeric = (ends[0] - ends[1]) / (2 * h)
        np.testing.assert_allclose(tf.reduce_sum(gradient * direction), numeric, rtol=1e-6)


def test_every_mode_gives_what_a_graph_gives(weights):
    """Of few fixed steps; further down XLA compiles a solution by adaptive ones."""
    loss = make_loss(weights, functools.partial(fixed_steps, num_steps=3, tableau=EULER))
    expected = gradients_of(loss, weights)(INPUTS, ONE)
    for mode in ("eager", "xla"):
        for a, b in zip(gradients_of(loss, weights, mode)(INPUTS, ONE), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, err_msg=mode)


def test_error_of_the_gradient_scales_with_the_tolerance():
    """Of dz/dt = c z, with the integral of z: they are known, and quick to trace."""
    c, start, stop = tf.Variable(1.5, dtype=tf.float64), -0.5, 1.0

    def solved(z, solve):
        return adjoint(lambda t, z: (c * z, z), z, start, stop, solve)

    def known(z, _):
        growth = tf.exp(c * (stop - start))
        return growth * z, (growth - 1.0) * z / c

    def gradients(solution, solve=None):
        with tf.GradientTape() as tape:
            tape.watch(Z)
            z, q = solution(Z, solve)
            value = tf.reduce_sum(tf.sin(z)) + tf.reduce_sum(q**2)
        return tape.gradient(value, [Z, c])

    errors = []
    for tolerance in (1e-3, 1e-7):
        solve = functools.partial(dormand_prince, rtol=tolerance, atol=tolerance)
        pairs = zip(gradients(solved, solve), gradients(known), strict=True)
        errors.append(max(np.abs(a - b).max() for a, b in pairs))
    assert errors[1] < 1e-4 * errors[0] * 100
    assert errors[1] < 1e-4


def test_small_cotangents_keep_their_digits(precise, exact):
    small = precise(1e-20 * ONE)
    for a, b in zip(small, exact, strict=True):
        np.testing.assert_allclose(a * 1e20, b, rtol=1e-8, atol=1e-10)


def test_fixed_steps_take_the_adjoint_too(weights, exact):
    solve = functools.partial(fixed_steps, num_steps=100)
    found = gradients_of(make_loss(weights, solve), weights)(INPUTS, ONE)
    for a, b in zip(found, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_memory_of_eager_mode_does_not_hold_the_steps(weights):
    """A tape records the solution as one operation: `traced` is called only while tracing."""
    calls = []

    def slopes(t, z):
        calls.append(1)
        return tf.tanh(z @ weights @ tf.transpose(weights)), None

    with tf.GradientTape() as tape:
        tape.watch(Z)
        z, integrals = adjoint(slopes, Z, 0.0, 1.0, TEN_STEPS)
    assert integrals is None and len(calls) == 1
    assert tape.gradient(z, weights) is not None and len(calls) == 2


def test_a_failed_row_is_nan_and_leaves_the_others_their_gradients():
    c = tf.Variable(1.0, dtype=tf.float64)
    start = tf.constant([[0.5], [3.0]], tf.float64)

    # At a tighter tolerance the way to where it blows up takes more than a thousand steps.
    solve = functools.partial(dormand_prince, rtol=1e-6, atol=1e-6)

    def run(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            end, _ = adjoint(lambda t, z: (c * z**2, None), z, 0.0, 1.0, solve)
            value = tf.reduce_sum(tf.where(tf.math.is_finite(end), end, 0.0))
        return end, tape.gradient(value, [z, c])

    end, (of_z, of_c) = tf.function(run, autograph=False)(start)
    # z / (1 - c z t)
    np.testing.assert_allclose(end, [[1.0], [np.nan]], rtol=1e-5)
    np.testing.assert_allclose(of_z, [[4.0], [np.nan]], rtol=1e-5)
    np.testing.assert_allclose(of_c, 1.0, rtol=1e-5)


def test_a_row_where_the_field_is_no_number_leaves_the_others_their_gradients():
    """Nor is it at zero: d log(z) / dz is infinite there."""
    c = tf.Variable(1.0, dtype=tf.float64)
    gradients = []
    for rows in ([[-1.0], [3.0]], [[3.0]]):
        z = tf.constant(rows, tf.float64)
        with tf.GradientTape() as tape:
            end, _ = adjoint(lambda t, z: (c * tf.math.log(z), None), z, 0.0, 1.0, TEN_STEPS)
            value = end[-1, 0]
        gradients.append(tape.gradient(value, c))
    np.testing.assert_allclose(*gradients, rtol=1e-8)


def test_a_way_back_that_fails_is_nan():
    c = tf.Variable(0.0, dtype=tf.float64)

    def slopes(t, z):
        return z * (1.0 + c), None

    def limited(function, state, start, stop, quadrature=()):
        options = {"max_num_steps": 1} if stop < start else {}
        return dormand_prince(function, state, start, stop, quadrature=quadrature, **options)

    with tf.GradientTape() as tape:
        end, _ = adjoint(slopes, Z, 0.0, 5.0, limited)
        value = tf.reduce_sum(end)
    assert np.all(np.isfinite(end))
    assert np.isnan(tape.gradient(value, c))


@pytest.fixture(scope="module")
def to_the_attractor():
    """The gradients of sum log dy/dx, to x and k, of dz/dt = k sin(2 pi z) for t = 0.3.

    For three rows, compiled once.
    """
    solve = functools.partial(dormand_prince, rtol=1e-7, atol=1e-7)

    def run(z, rate):
        with tf.GradientTape() as tape:
            tape.watch([z, rate])

            def slopes(t, z):
                a = 2.0 * np.pi * z
                return rate * tf.sin(a), 2.0 * np.pi * rate * tf.cos(a)

            value = tf.reduce_sum(adjoint(slopes, z, 0.0, 0.3, solve, tolerance=1e-5)[1])
        return tape.gradient(value, [z, rate])

    compiled = tf.function(run, jit_compile=True, autograph=False)

    def gradients(rows, rate):
        z = tf.constant(rows, tf.float64)[:, tf.newaxis]
        of_z, of_rate = compiled(z, tf.constant(rate, tf.float64))
        return of_z[:, 0], of_rate

    return gradients


def test_a_flow_that_contracts_has_the_gradient_of_its_own_start(to_the_attractor):
    """y = 1/2 for every x, to 10 digits: from there z(t_0) is not found back."""
    x, rate = np.array([0.01, 0.3, 0.6]), 12.0
    of_x, of_rate = to_the_attractor(x, rate)
    # log dy/dx = log E - log(cos^2 + E^2 sin^2) with E = exp(2 pi k t)
    square, sine = np.exp(4.0 * np.pi * rate * 0.3), np.sin(np.pi * x) ** 2
    below = 1.0 - sine + square * sine
    expected = -(square - 1.0) * np.pi * np.sin(2.0 * np.pi * x) / below
    np.testing.assert_allclose(of_x, expected, rtol=1e-3)
    expected = np.sum(0.6 * np.pi * (1.0 - 2.0 * square * sine / below))
    np.testing.assert_allclose(of_rate, expected, rtol=1e-3)


def test_a_start_that_is_not_found_back_is_nan(to_the_attractor):
    of_x, of_rate = to_the_attractor([0.3, 0.0, 0.0], 60.0)
    np.testing.assert_array_equal(np.isnan(of_x), [True, False, False])
    assert np.isnan(of_rate)


def test_rows_that_no_loss_depends_on_are_not_followed_back():
    c = tf.Variable(1.0, dtype=tf.float64)
    start = tf.constant([[0.5], [0.1]], tf.float64)

    def solve(function, state, start, stop, quadrature=()):
        """As `fixed_steps`; a row of 0.1 fails on its way back."""
        result = fixed_steps(function, state, start, stop, num_steps=20, quadrature=quadrature)
        fails = (stop < start) & (tf.abs(state[0][:, 0]) > 0.0) & (state[0][:, 0] < 0.5)
        return result._replace(succeeded=result.succeeded & ~fails)

    with tf.GradientTape() as tape:
        tape.watch(start)
        end, _ = adjoint(lambda t, z: (c * z, None), start, 0.0, 1.0, solve)
        value = end[0, 0]
    of_z, of_c = tape.gradient(value, [start, c])
    np.testing.assert_allclose(of_z, [[np.e], [0.0]], rtol=1e-5)
    np.testing.assert_allclose(of_c, 0.5 * np.e, rtol=1e-5)


def test_a_second_derivative_is_refused(weights):
    def slopes(t, z):
        return tf.tanh(z @ weights @ tf.transpose(weights)), None

    with tf.GradientTape() as outer:
        outer.watch(Z)
        with tf.GradientTape() as tape:
            tape.watch(Z)
            value = tf.reduce_sum(adjoint(slopes, Z, 0.0, 1.0, TEN_STEPS)[0])
        gradient = tape.gradient(value, Z)
    with pytest.raises(LookupError, match="first derivatives only"):
        outer.gradient(gradient, Z)
