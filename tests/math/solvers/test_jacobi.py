"""Jacobi's iteration: exact after D steps at most, with implicit derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.solvers import jacobi

D = 6
RNG = np.random.default_rng(0)
ORDER = (3, 0, 5, 1, 4, 2)
PLACE = np.argsort(ORDER)
BEFORE = (PLACE[np.newaxis, :] < PLACE[:, np.newaxis]).astype("float64")
X = tf.constant(RNG.normal(size=[4, D]))
WEIGHTS = 0.5 * RNG.normal(size=[D, D])


def equation(x, weights):
    """y_i = sinh(h_i / 2) + x_i exp(sin h_i), with h_i linear in what comes before."""

    def function(y):
        h = y @ tf.transpose(weights * tf.constant(BEFORE, y.dtype))
        return tf.sinh(0.5 * h) + x * tf.exp(tf.sin(h)), tf.sin(h)

    return function


def one_by_one(x, weights):
    function, y = equation(x, weights), tf.zeros_like(x)
    for i in ORDER:
        y = tf.where(tf.range(D) == i, function(y)[0], y)
    return y, function(y)[1]


def at_once(x, weights):
    y, extra, _ = jacobi(equation(x, weights), tf.zeros_like(x), PLACE)
    return y, extra


@pytest.mark.parametrize(("outputs", "jit_compile"), [((0,), None), ((1,), None), ((0, 1), True)])
def test_solution_and_its_derivatives(outputs, jit_compile):
    weights = tf.Variable(WEIGHTS)

    def everything(solve):
        with tf.GradientTape() as tape:
            tape.watch(X)
            solution = solve(X, weights)
            total = sum(tf.reduce_sum(tf.square(solution[k])) for k in outputs)
        return *solution, *tape.gradient(total, [X, weights])

    def solved():
        return everything(at_once)

    if jit_compile:
        solved = tf.function(solved, jit_compile=True, autograph=False)
    for ours, exact in zip(solved(), everything(one_by_one), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-9, atol=1e-10)


def shifted_sum(reach):
    """y_i = 1 + half the sum of the `reach` coordinates before i: a chain of D dependences."""
    i, j = np.indices([D, D])
    near = tf.constant(0.5 * ((j < i) & (j >= i - reach)), tf.float64)
    return lambda y: (1.0 + y @ tf.transpose(near), y)


def test_number_of_steps():
    start = tf.zeros([2, D], tf.float64)
    # One to find the solution, and one that changes nothing.
    assert jacobi(shifted_sum(0), start, range(D)).num_steps == 2
    assert jacobi(shifted_sum(1), start, range(D)).num_steps == D
    # Two chains of D / 2, one behind the other's beginning: D / 2 + 1 steps are exact.
    halves = tf.constant(np.diag([0.5, 0.5, 0.0, 0.5, 0.5], -1))
    result = jacobi(lambda y: (1.0 + y @ tf.transpose(halves), y), start, range(D))
    assert result.num_steps == D // 2 + 1
    # Weak dependences are below a rounding after a few: 1e-6, 1e-12, 1e-18.
    weak = tf.constant(1e-6 * np.tril(np.ones([D, D]), -1))
    result = jacobi(lambda y: (1.0 + y @ tf.transpose(weak), y), start, range(D))
    assert result.num_steps == 4


def test_rounding_that_never_rests_ends_after_as_many_steps_as_coordinates():
    noise = tf.random.Generator.from_seed(0)

    def function(y):
        g, extra = shifted_sum(1)(y)
        return g + 1e-9 * noise.normal(y.shape, dtype=y.dtype), extra

    result = jacobi(function, tf.zeros([2, D], tf.float64), range(D))
    assert result.num_steps == D
    np.testing.assert_allclose(result.point, [2 - 0.5 ** np.arange(D)] * 2, atol=1e-7)


@pytest.mark.parametrize("start", [1e200, np.inf, -np.inf, np.nan])
def test_guesses_that_are_not_finite_spoil_nothing(start):
    """The square of 1e200 is infinite, and its product with a zero of the mask would be NaN."""
    before = tf.constant(BEFORE)

    def function(y):
        return 0.1 + tf.square(y) @ tf.transpose(before), y

    y = jacobi(function, tf.fill([1, D], tf.constant(start, tf.float64)), PLACE).point
    expected = np.zeros(D)
    for i in ORDER:
        expected[i] = 0.1 + BEFORE[i] @ expected**2
    np.testing.assert_allclose(y[0], expected, rtol=1e-12)


def test_coordinates_of_any_size():
    """What is large is not taken for a guess when its turn has come."""
    function = shifted_sum(2)
    y = jacobi(lambda y: (1e30 * function(y)[0], y), tf.zeros([1, D], tf.float64), range(D)).point
    expected = np.zeros(D)
    for i in range(D):
        expected[i] = 1e30 * (1 + 0.5 * expected[max(i - 2, 0) : i].sum())
    np.testing.assert_allclose(y[0], expected, rtol=1e-12)


def test_solution_that_is_infinite():
    """The others are what they are without it."""
    second_of_first = tf.constant([[0.0, 1.0], [0.0, 0.0]])
    y = jacobi(lambda y: (y @ second_of_first + [np.inf, 2.0], y), [[0.0, 0.0]], (0, 1)).point
    np.testing.assert_array_equal(y, [[np.inf, 2.0]])


def test_second_derivatives_are_refused():
    weights = tf.constant(WEIGHTS)
    for output in (0, 1):
        with tf.GradientTape() as outer:
            outer.watch(X)
            with tf.GradientTape() as inner:
                inner.watch(X)
                y = at_once(X, weights)[output]
            first = inner.gradient(y, X)
        with pytest.raises(LookupError, match="first derivatives only"):
            outer.gradient(first, X)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"initial": tf.zeros([2, D], tf.int32)}, TypeError, "`initial` must be floating point"),
        ({"tolerance": 0.0}, ValueError, "`tolerance` must be positive. Received: tolerance=0.0"),
        ({"position": (0, 0, 1, 2, 3, 4)}, ValueError, r"`position` must be .*Received: .*\(0, 0,"),
        ({"position": range(3)}, ValueError, "`position` must be a permutation of range"),
    ],
)
def test_what_is_refused(changes, error, match):
    arguments = {"initial": tf.zeros([2, D]), "position": range(D), **changes}
    with pytest.raises(error, match=match):
        jacobi(lambda y: (y, y), **arguments)
