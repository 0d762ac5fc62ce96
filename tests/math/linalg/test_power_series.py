"""The power series: truncation, the gradient by Neumann's series, memory."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import num_terms_for, power_series_log_det
from tfp_flows.math.linalg import exact_log_det

D = 4
COPIES = 20_000


def weights(coefficient=0.6):
    a = np.random.default_rng(0).normal(size=[D, D])
    return tf.constant(coefficient * a / np.linalg.norm(a, 2))


def contraction(a):
    return lambda x: tf.tanh(tf.matmul(x, a))


X = tf.constant(np.random.default_rng(1).normal(size=[1, D]))


def signs(seed=2):
    return tf.constant(np.random.default_rng(seed).choice([-1.0, 1.0], size=[COPIES, D]))


def test_one_term_is_the_quadratic_form():
    a = weights()
    x, noise = tf.repeat(X, 3, axis=0), signs()[:3]
    g, log_det = power_series_log_det(lambda x: tf.matmul(x, a), x, noise, 1)
    np.testing.assert_allclose(g, x @ a, rtol=1e-14)
    np.testing.assert_allclose(log_det, np.einsum("ni,ij,nj->n", noise, a, noise), rtol=1e-12)


def test_sum_of_all_terms_with_one_dimension_is_the_logarithm():
    """Where the trace is the number itself, nothing is random."""
    for slope in (0.5, -0.5):
        _, log_det = power_series_log_det(
            lambda x, slope=slope: slope * x,
            tf.ones([1, 1], tf.float64),
            tf.ones([1, 1], "float64"),
            60,
        )
        np.testing.assert_allclose(log_det, [np.log1p(slope)], rtol=1e-14)


@pytest.mark.parametrize("num_terms", [1, 2, 5, 10])
def test_truncation_error_is_within_its_bound(num_terms):
    """Worst where J = -c I."""
    c = 0.7
    x = tf.ones([1, D], tf.float64)
    _, log_det = power_series_log_det(lambda x: -c * x, x, x, num_terms)
    error = np.abs(log_det[0] - D * np.log1p(-c))
    bound = D * c ** (num_terms + 1) / ((num_terms + 1) * (1 - c))
    assert 0.5 * bound < error <= bound


def test_number_of_terms_for_a_tolerance():
    for c in (0.3, 0.9, 0.99):
        n = num_terms_for(c, 1e-3)
        assert c ** (n + 1) / ((n + 1) * (1 - c)) <= 1e-3 < c**n / (n * (1 - c))


@pytest.mark.parametrize("jit_compile", [False, True], ids=["eager", "xla"])
def test_mean_and_mean_gradient_are_those_of_the_exact_log_det(jit_compile):
    a = weights()

    def estimates(a, x):
        """Of each copy of x, and the gradients with respect to x and, for 50 groups, to a."""
        copies = tf.tile(x, [COPIES, 1])
        groups = tf.tile(a[tf.newaxis], [50, 1, 1])
        with tf.GradientTape() as tape:
            tape.watch([copies, groups])

            def function(x):
                return tf.reshape(tf.tanh(tf.reshape(x, [50, -1, D]) @ groups), [-1, D])

            _, log_det = power_series_log_det(function, copies, signs(), 40)
        return log_det, *tape.gradient(log_det, [copies, groups])

    run = tf.function(estimates, jit_compile=True, autograph=False) if jit_compile else estimates
    log_det, of_x, of_a = (result.numpy() for result in run(a, X))
    with tf.GradientTape() as tape:
        tape.watch([a, X])
        _, exact = exact_log_det(contraction(a), X)
    exact_of_a, exact_of_x = tape.gradient(exact, [a, X])
    for drawn, expected in (
        (log_det, exact[0]),
        (of_x, exact_of_x[0]),
        (of_a / (COPIES // 50), exact_of_a),
    ):
        error = drawn.std(axis=0) / np.sqrt(len(drawn))
        assert np.all(error < 0.05) and np.all(error > 0)
        assert np.all(np.abs(drawn.mean(axis=0) - expected) < 4 * error)


def test_a_second_derivative_is_refused():
    a = tf.Variable(weights())
    with tf.GradientTape() as outer:
        with tf.GradientTape() as tape:
            _, log_det = power_series_log_det(contraction(a), X, signs()[:1], 3)
        gradient = tape.gradient(log_det, a)
    with pytest.raises(LookupError, match="first derivatives only"):
        outer.gradient(gradient, a)


def test_graph_and_memory_do_not_grow_with_the_number_of_terms():
    a = weights()

    @functools.cache
    def step(num_terms):
        @tf.function(jit_compile=True, autograph=False)
        def gradient(a):
            with tf.GradientTape() as tape:
                tape.watch(a)
                x = tf.tile(X, [100, 1])
                _, log_det = power_series_log_det(contraction(a), x, signs()[:100], num_terms)
            return tape.gradient(log_det, a)

        return gradient

    def size(num_terms):
        graph = step(num_terms).get_concrete_function(a).graph.as_graph_def()
        return len(graph.node) + sum(len(f.node_def) for f in graph.library.function)

    @functools.cache
    def temporaries(num_terms):
        text = step(num_terms).experimental_get_compiler_ir(a)(stage="optimized_hlo")
        # A loop that remembers its steps would hold arrays with an axis of that length.
        return text.count("while("), f"[{num_terms}," in text

    assert size(2) == size(397)
    assert temporaries(2)[0] == temporaries(397)[0] == 1
    assert not temporaries(397)[1]
