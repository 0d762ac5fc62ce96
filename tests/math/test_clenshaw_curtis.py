"""The quadrature against closed forms and scipy, and its derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import clenshaw_curtis

X = np.array([-4.0, -0.3, 0.0, 1e-8, 0.7, 2.0, 5.0])


@pytest.mark.parametrize("num_nodes", [2, 3, 8, 9, 32, 65])
def test_is_exact_for_polynomials_of_a_degree_below_the_number_of_nodes(num_nodes):
    degree = min(num_nodes - 1, 20)
    integral = clenshaw_curtis(
        lambda t: (degree + 1.0) * t**degree, tf.constant(X), num_nodes=num_nodes
    )
    np.testing.assert_allclose(integral, X ** (degree + 1), rtol=1e-12)
    if num_nodes == 8:
        integral = clenshaw_curtis(lambda t: 9.0 * t**8, tf.constant(X), num_nodes=num_nodes)
        assert np.abs(integral[-1] / 5.0**9 - 1.0) > 1e-6


def test_agrees_with_scipy():
    quad = pytest.importorskip("scipy.integrate").quad
    rng = np.random.default_rng(0)
    w, c = rng.normal(size=[2, 5])

    def integrand(t):
        return tf.math.softplus(tf.reduce_sum(c * tf.tanh(w * t[..., tf.newaxis] + c), -1))

    got = clenshaw_curtis(integrand, tf.constant(X), lower=-1.0, num_nodes=64)
    want = [
        quad(
            lambda t: np.log1p(np.exp(np.sum(c * np.tanh(w * t + c)))),
            -1.0,
            x,
            epsabs=1e-13,
            epsrel=1e-13,
        )[0]
        for x in X
    ]
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "g, integral, errors",
    [
        (lambda t: tf.exp(-t), 1 - np.exp(-5.0), (2e-6, 2e-15)),
        (
            lambda t: 1 + tf.tanh(4 * t - 8) / 2,
            5 + (np.log(np.cosh(12.0)) - np.log(np.cosh(8.0))) / 8,
            (1.4e-2, 8e-4, 4e-6, 6e-11),
        ),
    ],
    ids=["exp", "tanh"],
)
def test_the_errors_are_those_of_the_docstring(g, integral, errors):
    for num_nodes, error in zip((8, 16, 32, 64), errors, strict=False):
        got = clenshaw_curtis(g, tf.constant(5.0, tf.float64), num_nodes=num_nodes)
        assert 0.1 * error < abs(got / integral - 1) <= error


def test_one_call_with_nodes_in_front():
    shapes = []
    scale = tf.constant(np.ones([2, 3]))

    def integrand(t):
        shapes.append(t.shape)
        return scale * tf.exp(t)

    clenshaw_curtis(integrand, tf.ones([2, 3], tf.float64), num_nodes=16)
    assert len(shapes) == 1
    assert shapes[0][1:] == [2, 3] and shapes[0][0] in (16, 17, 18)


@pytest.mark.parametrize("jit_compile", [None, True], ids=["eager", "xla"])
def test_first_and_second_derivatives_follow_leibniz(jit_compile):
    """Exact in the ends with four nodes too, which are too few for the integral."""
    x = tf.constant([0.4, -1.2, 3.0], tf.float64)
    a = tf.constant(-0.5, tf.float64)
    c = tf.constant(0.7, tf.float64)

    def derivatives(x, a, c):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch([x, a, c])
            with tf.GradientTape() as tape:
                tape.watch([x, a, c])
                integral = clenshaw_curtis(lambda t: 2.0 + tf.sin(c * t), x, lower=a, num_nodes=4)
            first = tape.gradient(integral, [x, a, c])
        return first, [outer.gradient(g, [x, a, c]) for g in first]

    run = (
        tf.function(derivatives, jit_compile=True, autograph=False) if jit_compile else derivatives
    )
    (d_x, d_a, _), ((d_xx, d_xa, d_xc), (d_ax, d_aa, d_ac), (d_cx, d_ca, _)) = run(x, a, c)
    np.testing.assert_allclose(d_x, 2.0 + np.sin(c * x), rtol=1e-14)
    np.testing.assert_allclose(d_a, -3.0 * (2.0 + np.sin(c * a)), rtol=1e-14)
    np.testing.assert_allclose(d_xx, c * np.cos(c * x), rtol=1e-14)
    np.testing.assert_allclose(d_aa, -3.0 * c * np.cos(c * a), rtol=1e-14)
    for mixed in (d_xa, d_ax):
        assert mixed is None or np.all(mixed == 0.0)
    np.testing.assert_allclose(d_cx, x * np.cos(c * x), rtol=1e-14)
    np.testing.assert_allclose(d_xc, np.sum(x * np.cos(c * x)), rtol=1e-14)
    for mixed in (d_ca, d_ac):
        np.testing.assert_allclose(mixed, -3.0 * a * np.cos(c * a), rtol=1e-14)


def test_the_derivative_to_a_parameter_is_the_integral_of_that_of_the_integrand():
    c = tf.Variable([0.3, 1.4], dtype=tf.float64)
    x = tf.constant([2.0, -1.0], tf.float64)
    with tf.GradientTape() as tape:
        integral = clenshaw_curtis(lambda t: tf.exp(c * t), x)
    exact = (x * np.exp(c * x) * c - np.exp(c * x) + 1.0) / c.numpy() ** 2
    np.testing.assert_allclose(tape.gradient(integral, c), exact, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_end_points_stay_finite(dtype):
    x = tf.constant([1e30, -1e30, 1e-30], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        integral = clenshaw_curtis(lambda t: 1.5 + tf.tanh(t), x)
    np.testing.assert_allclose(integral, [2.5e30, -0.5e30, 1.5e-30], rtol=1e-2)
    np.testing.assert_allclose(tape.gradient(integral, x), [2.5, 0.5, 1.5], rtol=1e-6)


def test_bad_arguments():
    with pytest.raises(ValueError, match="`num_nodes`"):
        clenshaw_curtis(tf.exp, tf.constant(1.0), num_nodes=1)
    with pytest.raises(TypeError, match="`x`"):
        clenshaw_curtis(tf.exp, tf.constant(1))
