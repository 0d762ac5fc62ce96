"""The root finder: extremes, failures, and derivatives against finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math.solvers import find_root


def identity(x):
    return x, tf.ones_like(x)


def cube(x):
    return x**3, 3.0 * x**2


def hyperbolic(x):
    return tf.sinh(x), tf.cosh(x)


def plateau(x):
    """Steep at zero, all but flat elsewhere."""
    return tf.tanh(50.0 * x) + 1e-3 * x, 50.0 * (1.0 - tf.tanh(50.0 * x) ** 2) + 1e-3


def steps(x):
    value = x / 100.0 + tf.sigmoid(20.0 * (x - 3.0)) + tf.sigmoid(20.0 * (x + 4.0))
    slope = 0.01 + 20.0 * sum(
        tf.sigmoid(20.0 * (x - c)) * tf.sigmoid(-20.0 * (x - c)) for c in (3.0, -4.0)
    )
    return value, slope


FUNCTIONS = [identity, cube, hyperbolic, plateau, steps]
MAGNITUDES = [0.0, 1e-30, 1e-6, 0.3, 0.5, 0.999, 1.0, 1.5, 3.0, 1e3, 1e15, 1e30]
TARGETS = np.array([-m for m in MAGNITUDES] + MAGNITUDES)


@pytest.mark.parametrize(
    ("functions", "dtype", "jit_compile"),
    [
        (FUNCTIONS, "float32", None),
        (FUNCTIONS, "float64", None),
        ([steps], "float32", True),
        ([cube], "float64", True),
    ],
    ids=["float32", "float64", "float32-xla", "float64-xla"],
)
def test_finds_the_root_of_any_finite_target(functions, dtype, jit_compile):
    def one_each(x):
        """A row for each of the functions."""
        pairs = [function(row) for function, row in zip(functions, tf.unstack(x), strict=True)]
        return tuple(tf.stack(rows) for rows in zip(*pairs, strict=True))

    def search(y):
        return find_root(one_each, y)

    run = tf.function(search, jit_compile=True, autograph=False) if jit_compile else search
    target = tf.constant([TARGETS] * len(functions), dtype)
    root, converged, num_iterations = run(target)
    assert num_iterations <= 60
    eps = np.finfo(dtype).eps
    value, slope = one_each(root)
    # The error in y of a relative error in x of two roundings, and that of y itself.
    allowed = 2.0 * eps * np.abs(slope * root) + 4.0 * eps * np.abs(target) + 100 * eps**2
    within = np.abs(value - target) <= allowed
    for i, function in enumerate(functions):
        assert np.all(converged[i]) and np.all(within[i]), function.__name__


def test_a_bad_first_guess_is_no_obstacle():
    guesses = np.array([[-1.0, 1.0], [1e5, 1e6], [-1e-9, 0.0], [-1e30, 1e30]])
    target = tf.constant([np.linspace(-3.0, 3.0, 7)] * len(guesses))
    lower, upper = (tf.constant(np.repeat(ends, 7, axis=1)) for ends in np.split(guesses, 2, 1))
    root, converged, num_iterations = find_root(hyperbolic, target, lower=lower, upper=upper)
    assert np.all(converged) and num_iterations <= 60
    np.testing.assert_allclose(root, np.arcsinh(target), rtol=1e-14)


def test_newton_takes_few_iterations():
    target = tf.constant(np.random.default_rng(0).normal(size=1000))

    def function(x):
        return x + 0.5 * tf.sin(x), 1.0 + 0.5 * tf.cos(x)

    assert find_root(function, target).num_iterations <= 9


def test_a_wide_tolerance_is_made_good_by_the_last_steps():
    target = tf.constant([0.2, 1.0, 5.0], tf.float64)
    loose = find_root(hyperbolic, target, tolerance=1e-5)
    np.testing.assert_allclose(loose.root, np.arcsinh(target), rtol=1e-14)
    assert loose.num_iterations < find_root(hyperbolic, target).num_iterations


def test_reports_each_element_without_a_root():
    """tanh never reaches 2; its neighbours are found all the same."""

    def function(x):
        return tf.tanh(x), 1.0 - tf.tanh(x) ** 2

    target = tf.constant([0.5, 2.0, -2.0, np.nan, 0.9999999], tf.float64)
    for search in (find_root, tf.function(find_root, jit_compile=True, autograph=False)):
        root, converged, num_iterations = search(function, target)
        np.testing.assert_array_equal(converged, [True, False, False, False, True])
        np.testing.assert_array_equal(np.isnan(root), ~converged.numpy())
        np.testing.assert_allclose(root.numpy()[[0, 4]], np.arctanh([0.5, 0.9999999]), rtol=1e-8)
        assert num_iterations < 200


def test_reports_that_the_iterations_ran_out():
    target = tf.constant([0.0, 1e3], tf.float64)
    root, converged, num_iterations = find_root(hyperbolic, target, max_iterations=3)
    assert num_iterations == 3
    np.testing.assert_array_equal(converged, [True, False])
    assert np.isnan(root[1]) and root[0] == 0.0


def kink(x, slope, place):
    """f(x) = x + tanh(a (x - c)): flat but for a step of height two, and its slope."""
    t = tf.tanh(slope * (x - place))
    return x + t, 1.0 + slope * (1.0 - t) * (1.0 + t)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_steep_place_is_no_root(dtype):
    """Newton's step is tiny there, wherever the root is: before the step, on it or after it."""
    eps = np.finfo(dtype).eps
    places, offsets = np.array([0.0, 1e-3, -2.3, 7.0]), np.array([-40.0, -1.5, -0.3, 0.7, 4.9])
    slopes = np.array([1e3, 1e7, 1e12])
    slope, place, offset = (t.ravel() for t in np.meshgrid(slopes, places, offsets))
    slope, place = tf.constant(slope, dtype), tf.constant(place, dtype)
    target = place + tf.constant(offset, dtype)
    root, converged, num_iterations = find_root(lambda x: kink(x, slope, place), target)
    assert np.all(converged) and num_iterations <= 70
    below, above = (np.nextafter(root, s * np.inf, dtype=dtype) for s in (-1, 1))
    value, low, high = (kink(tf.constant(x), slope, place)[0] for x in (root, below, above))
    close = np.abs(value - target) <= 32.0 * eps * np.maximum(1.0, np.abs(target))
    between = (low <= target) & (target <= high)
    assert np.all(close | between)


def test_the_root_of_an_outside_trial():
    root, converged, _ = find_root(lambda x: kink(x, 1e7, 0.0), tf.constant(5.0))
    assert converged and root == 4.0


def test_a_falling_function_is_reported():
    target = tf.constant([2.0, 0.0, -3.0])
    root, converged, _ = find_root(lambda x: (-x, -tf.ones_like(x)), target)
    assert not np.any(converged) and np.all(np.isnan(root))


@pytest.mark.parametrize("value", [False, True])
def test_nan_of_the_function_is_reported(value):
    """Of the value, or of the slope alone, without which there are no derivatives."""
    target, nan = tf.constant([2.0, 0.0, -3.0]), tf.constant(np.nan)

    def function(x):
        return (x * nan, tf.ones_like(x)) if value else (x, x * nan)

    root, converged, _ = find_root(function, target)
    assert not np.any(converged) and np.all(np.isnan(root))


def test_derivatives_where_no_x_comes_closer():
    """The value of the root has few digits, since f is so steep; its derivative has all."""
    target = tf.constant([3.3, 4.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(target)
        root, converged, _ = find_root(lambda x: (1e9 * x, 1e9 * tf.ones_like(x)), target)
    assert np.all(converged)
    np.testing.assert_allclose(root, target / 1e9, rtol=1e-14)
    np.testing.assert_allclose(tape.gradient(root, target), 1e-9, rtol=1e-14)


def test_an_element_without_a_root_leaves_the_gradients_of_others_alone():
    scale = tf.constant(1.5, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(scale)

        def function(x):
            return scale * tf.tanh(x), scale * (1.0 - tf.tanh(x) ** 2)

        root, converged, _ = find_root(function, tf.constant([0.5, 2.0], tf.float64))
        loss = tf.reduce_sum(tf.where(converged, root, tf.zeros_like(root)))
    exact = -0.5 / (1.5**2 - 0.5**2)
    np.testing.assert_allclose(tape.gradient(loss, scale), exact, rtol=1e-12)


def test_an_infinite_target_and_an_overflowing_function():
    root, converged, _ = find_root(cube, tf.constant([np.inf, -np.inf], tf.float32))
    np.testing.assert_array_equal(root, [np.inf, -np.inf])
    assert np.all(converged)

    def function(x):
        return x * tf.exp(x * x), (1.0 + 2.0 * x * x) * tf.exp(x * x)

    root, converged, _ = find_root(function, tf.constant([1e30, -1e30, 2.0], tf.float32))
    assert np.all(converged)
    np.testing.assert_allclose(function(root)[0], [1e30, -1e30, 2.0], rtol=1e-4)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_a_root_beyond_the_dtype_is_infinite(dtype):
    """But not that of a function which has stopped to increase: it may be bounded."""
    largest = tf.constant(dtype.max, dtype)
    target = tf.stack([0.5 * largest, -0.5 * largest, 1e-3 * largest])
    with tf.GradientTape() as tape:
        tape.watch(target)
        result = find_root(lambda x: (0.1 * x, 0.1 * tf.ones_like(x)), target)
    np.testing.assert_allclose(result.root, [np.inf, -np.inf, 1e-2 * largest], rtol=1e-6)
    assert result.converged.numpy().all()
    np.testing.assert_allclose(tape.gradient(result.root, target), [0.0, 0.0, 10.0], rtol=1e-6)
    bounded = find_root(lambda x: (tf.tanh(x), 1.0 - tf.tanh(x) ** 2), tf.constant(2.0, dtype))
    assert np.isnan(bounded.root) and not bounded.converged


def test_nan_far_out_is_taken_for_an_overflow():
    def function(x):
        y = tf.where(tf.abs(x) > 100.0, x * np.nan, x / 100.0)
        return y, tf.fill(tf.shape(x), tf.constant(0.01, x.dtype))

    root, converged, _ = find_root(
        lambda x: (function(x)[0] ** 3, 3.0 * function(x)[0] ** 2 * 0.01),
        tf.constant([0.5, -0.5, 5.0], tf.float64),
    )
    np.testing.assert_array_equal(converged, [True, True, False])
    np.testing.assert_allclose(root[:2], [100 * 0.5 ** (1 / 3), -100 * 0.5 ** (1 / 3)])


def parametric(a, b):
    """f(x) = a sinh(x) + b^2 x^3 + x, by autodiff-free derivatives."""
    return lambda x: (
        a * tf.sinh(x) + b**2 * x**3 + x,
        a * tf.cosh(x) + 3.0 * b**2 * x**2 + 1.0,
    )


def root_of(a, b, y):
    return find_root(parametric(a, b), y).root


# XLA compiles the search and its first derivative below, and the second one is made of the same.
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_first_and_second_derivatives_are_those_of_finite_differences(jit_compile):
    """With respect to two captured parameters and the target, in all combinations.

    The differences themselves are taken in eager mode.
    """
    inputs = [tf.constant(v, tf.float64) for v in ([0.7, 1.3], [0.4, -0.6], [1.7, -30.0])]

    def first(a, b, y):
        with tf.GradientTape() as tape:
            tape.watch([a, b, y])
            root = root_of(a, b, y)
        return tf.stack(tape.gradient(root, [a, b, y]))

    def both(a, b, y):
        # A copy of the inputs for each derivative: one gradient holds all second ones.
        copies = [tf.tile(x[tf.newaxis], [3, 1]) for x in (a, b, y)]
        with tf.GradientTape() as tape:
            tape.watch(copies)
            rows = first(*copies)
            one_each = tf.linalg.trace(tf.transpose(rows, [2, 0, 1]))
        return rows[:, 0], tf.stack(tape.gradient(one_each, copies), axis=1)

    if jit_compile:
        both = tf.function(both, jit_compile=True, autograph=False)
    gradients, hessians = both(*inputs)
    # A row for each input that moves.
    h, rows = 1e-5, tf.eye(3, dtype=tf.float64)[..., tf.newaxis]
    up, down = (
        [x + h * sign * row for x, row in zip(inputs, rows, strict=True)] for sign in (1.0, -1.0)
    )
    numeric = (root_of(*up) - root_of(*down)) / (2 * h)
    np.testing.assert_allclose(gradients, numeric, rtol=1e-7, atol=1e-9)
    numeric = (first(*up) - first(*down)) / (2 * h)
    np.testing.assert_allclose(hessians, numeric, rtol=1e-6, atol=1e-9)


def test_gradient_reaches_variables_that_the_function_captures():
    variable = tf.Variable(2.0, dtype=tf.float64)
    with tf.GradientTape() as tape:
        root = find_root(
            lambda x: (variable * x**3 + x, 3.0 * variable * x**2 + 1.0),
            tf.constant(3.0, tf.float64),
        ).root
    np.testing.assert_allclose(root, 1.0, rtol=1e-14)
    np.testing.assert_allclose(tape.gradient(root, variable), -1.0 / 7.0, rtol=1e-13)


def test_no_gradient_is_nan_where_the_slope_vanishes():
    target = tf.constant([0.0, 1e-300, 8.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(target)
        root = find_root(cube, target).root
    gradient = tape.gradient(root, target)
    assert not np.any(np.isnan(gradient))
    np.testing.assert_allclose(gradient[2], 1.0 / 12.0, rtol=1e-13)


def test_in_a_differentiated_while_body_under_xla():
    """x <- root of x + x^3 / 3 = y, four times, as autoregressive sampling calls it."""

    def function(x):
        return x + x**3 / 3.0, 1.0 + x**2

    def loop(y):
        return tf.while_loop(
            lambda k, y: k < 4,
            lambda k, y: (k + 1, find_root(function, y).root),
            (0, y),
            maximum_iterations=4,
        )[1]

    @tf.function(jit_compile=True, autograph=False)
    def value_and_gradient(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            x = loop(y)
        return x, tape.gradient(x, y)

    y = tf.constant([0.5, -2.0, 30.0], tf.float64)
    x, gradient = value_and_gradient(y)
    there, slope = x, tf.ones_like(x)
    for _ in range(4):
        slope = slope / function(there)[1]
        there = function(there)[0]
    np.testing.assert_allclose(there, y, rtol=1e-13)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12)


def test_shapes_are_kept():
    for shape in ([], [0], [2, 1, 3]):
        result = find_root(hyperbolic, tf.ones(shape))
        assert result.root.shape == shape and result.converged.shape == shape

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float64)], autograph=False)
    def unknown_batch(y):
        return find_root(hyperbolic, y, lower=tf.zeros([3], tf.float64)).root

    np.testing.assert_allclose(unknown_batch(np.ones([2, 3])), np.full([2, 3], np.arcsinh(1.0)))


def test_bad_arguments():
    y = tf.constant(1.0)
    with pytest.raises(TypeError, match="`target`"):
        find_root(identity, tf.constant(1))
    with pytest.raises(ValueError, match="`tolerance`"):
        find_root(identity, y, tolerance=0.0)
    with pytest.raises(ValueError, match="`max_iterations`"):
        find_root(identity, y, max_iterations=0)
    with pytest.raises(ValueError, match="`lower`"):
        find_root(identity, y, lower=1.0, upper=1.0)
