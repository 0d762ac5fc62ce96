"""The triangular system: its solution, its derivatives, and where it cannot be solved."""

import numpy as np
import tensorflow as tf

from tfp_flows.math.solvers._triangular_tanh import solve_triangular_tanh


def system(seed=0, num_units=4, scale=3.0):
    rng = np.random.default_rng(seed)
    t = np.triu(rng.normal(size=[num_units] * 2)) * scale
    r = np.triu(rng.normal(size=[num_units] * 2)) * scale
    p = np.exp(rng.normal(size=num_units))
    np.fill_diagonal(r, (p - 1.0) / np.diag(t))
    return [tf.constant(a) for a in (r, t, rng.normal(size=num_units), p)]


def test_solves_a_system_far_from_a_contraction():
    r, t, b, p = system()
    s = np.random.default_rng(1).normal(size=[200, 4])
    v = s + np.tanh(s @ t.numpy().T + b) @ r.numpy().T
    np.testing.assert_allclose(solve_triangular_tanh(v, r, t, b, p), s, rtol=1e-9, atol=1e-9)


def test_second_derivatives_are_exact():
    r, t, b, p = system(scale=1.0)
    v = tf.constant(np.random.default_rng(1).normal(size=[1, 4]))

    def gradient(v, b):
        with tf.GradientTape() as tape:
            tape.watch([v, b])
            value = tf.reduce_sum(tf.sin(solve_triangular_tanh(v, r, t, b, p)))
        return tape.gradient(value, [v, b])

    along_v, along_b = (np.random.default_rng(2).normal(size=x.shape) for x in (v, b))
    with tf.GradientTape() as tape:
        tape.watch([v, b])
        of_v, of_b = gradient(v, b)
        along = tf.reduce_sum(of_v * along_v) + tf.reduce_sum(of_b * along_b)
    h = 1e-5
    numeric = [
        (high - low) / (2 * h)
        for high, low in zip(
            gradient(v + h * along_v, b + h * along_b),
            gradient(v - h * along_v, b - h * along_b),
            strict=True,
        )
    ]
    # The Hessian is symmetric: its product with the direction is a gradient, too.
    for product, expected in zip(tape.gradient(along, [v, b]), numeric, strict=True):
        np.testing.assert_allclose(product, expected, rtol=1e-6, atol=1e-7)


def test_what_has_no_solution_is_nan_and_leaves_other_gradients_alone():
    r, t, b, p = system()
    v = tf.constant([[0.1, 0.2, 0.3, 0.4], [0.0, np.nan, 0.0, 0.0]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(b)
        s = solve_triangular_tanh(v, r, t, b, p)
        value = tf.reduce_sum(s[0])
    assert np.isfinite(s[0]).all() and np.isnan(s[1]).all()
    assert np.isfinite(tape.gradient(value, b)).all()
