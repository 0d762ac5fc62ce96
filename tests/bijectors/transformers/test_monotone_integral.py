"""Integrals of positive networks: resolution, tails, and the map itself against scipy."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import MonotoneIntegral

LAYERS = [(16,), (1,), (5, 4), (3, 3, 3)]


def random(hidden_units, scale, batch=(30, 1), seed=0, **kwargs):
    size = MonotoneIntegral.params_size(hidden_units)
    raw = scale * np.random.default_rng(seed).normal(size=[*batch, size])
    return MonotoneIntegral.new(tf.constant(raw), hidden_units, **kwargs)


@pytest.mark.parametrize("hidden_units", LAYERS, ids=str)
def test_zero_is_the_identity_and_ties_no_units(hidden_units):
    # A copy for each point, so that one gradient holds all derivatives.
    raw = tf.zeros([41, MonotoneIntegral.params_size(hidden_units)], tf.float64)
    x = tf.constant(np.linspace(-8.0, 8.0, 41))
    with tf.GradientTape() as tape:
        tape.watch(raw)
        y, log_det = MonotoneIntegral.new(raw, hidden_units)._forward_and_log_det(x)
    np.testing.assert_allclose(y, x, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-14)
    # beta, b and the v: each moves the function in a way of its own.
    jacobian = tape.gradient(y, raw).numpy()[:, : 2 + hidden_units[-1]]
    assert np.linalg.matrix_rank(jacobian, tol=1e-9) == 2 + hidden_units[-1]


def test_agrees_with_scipy():
    quad = pytest.importorskip("scipy.integrate").quad
    bijector = random((5, 4), 1.0, batch=(), num_nodes=64)

    @tf.function(autograph=False)
    def slope(t):
        return tf.exp(bijector.forward_log_det_jacobian(t, 0))

    def g(t):
        return float(slope(tf.constant([t], tf.float64))[0])

    for x in (-3.0, 0.2, 4.0, 12.0):
        exact = quad(g, 0.0, x, points=[5.0] if x > 5.0 else None, epsabs=1e-12, epsrel=1e-12)[0]
        y = bijector.forward(tf.constant([x], tf.float64))[0] - bijector.shift
        np.testing.assert_allclose(y, exact, rtol=1e-9)


@pytest.mark.parametrize("scale, error", [(1.0, 1e-5), (50.0, 1e-2)])
@pytest.mark.parametrize("hidden_units", [(16,), (5, 4)], ids=str)
def test_the_nodes_resolve_the_integrand_whatever_the_weights(hidden_units, scale, error):
    """The quadrature's own derivative is the slope: so it increases, and the inverse is one."""
    bijector = random(hidden_units, scale, num_nodes=32)
    x = np.linspace(-5.5, 5.5, 120)
    h = 1e-5
    up, down = (bijector.forward(x + s) for s in (h, -h))
    slope = np.exp(bijector.forward_log_det_jacobian(tf.constant(x), 0))
    np.testing.assert_allclose((up - down) / (2 * h), slope, rtol=error)
    few = x[::4]
    y = bijector.forward(few)
    back = bijector.inverse(tf.identity(y))
    np.testing.assert_allclose(back, np.broadcast_to(few, y.shape), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes_are_finite(dtype):
    sign = tf.constant(np.resize([1.0, -1.0, 1.0], MonotoneIntegral.params_size()), dtype)
    sign *= tf.constant([0.0] + [1.0] * (sign.shape[0] - 1), dtype)
    x = tf.constant([0.0, 1e-30, 5.0, -5.0, 1e15, 1e30, -1e30], dtype)
    for method in ("_forward_and_log_det", "_inverse_and_log_det"):
        params = tf.constant([[[0.0]], [[50.0]], [[-50.0]], [[1e30]]], dtype) * sign
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, params])
            y, log_det = getattr(MonotoneIntegral.new(params), method)(x)
            total = tf.reduce_sum(log_det)
        gradients = tape.gradient(y, [x, params]) + tape.gradient(total, [x, params])
        for result in (y, log_det, *gradients):
            assert np.all(np.isfinite(result))
        assert np.all(np.abs(log_det) <= 8.0)
        assert np.all(np.sign(y[:, -2:]) == [1.0, -1.0])


def test_the_tails_are_lines():
    bijector = random((4,), 2.0, batch=(), bound=2.0)
    x = tf.constant([-1e6, -3.0, -2.0, 2.0, 3.0, 1e6], tf.float64)
    y, log_det = bijector._forward_and_log_det(x)
    np.testing.assert_allclose(y[1] - y[2], -np.exp(log_det[2]), rtol=1e-12)
    np.testing.assert_allclose((y[5] - y[3]) / (1e6 - 2.0), np.exp(log_det[3]), rtol=1e-12)
    assert log_det[0] == log_det[2] and log_det[3] == log_det[5]


@pytest.mark.slow
def test_makes_two_modes_through_its_inverse():
    """Reverse KL: samples by the search, from a normal to a mixture of two."""
    base = tf.constant(np.random.default_rng(0).normal(size=[256]))
    raw = tf.Variable(tf.zeros([MonotoneIntegral.params_size((8,))], tf.float64))

    def log_density(x):
        modes = tf.stack([-2.0 * tf.square(x - 1.2), -2.0 * tf.square(x + 1.2)])
        return tf.reduce_logsumexp(modes, axis=0) - np.log(np.sqrt(2 * np.pi))

    optimizer = tf.keras.optimizers.Adam(0.05)

    @tf.function(jit_compile=True, autograph=False)
    def loss_and_gradient():
        with tf.GradientTape() as tape:
            bijector = MonotoneIntegral.new(raw, (8,), num_nodes=24, bound=3.0)
            x, log_det = bijector._inverse_and_log_det(base)
            log_q = -0.5 * base**2 - 0.5 * np.log(2 * np.pi) - log_det
            loss = tf.reduce_mean(log_q - log_density(x))
        return loss, tape.gradient(loss, raw)

    first = loss_and_gradient()[0]
    for _ in range(200):
        loss, gradient = loss_and_gradient()
        optimizer.apply_gradients([(gradient, raw)])
    assert first > 0.4
    assert abs(loss) < 0.05


def test_bad_arguments():
    size = MonotoneIntegral.params_size()
    for hidden_units, error in (((), ValueError), ((0,), ValueError), (5, TypeError)):
        with pytest.raises(error, match="`hidden_units`"):
            MonotoneIntegral.params_size(hidden_units)
    with pytest.raises(ValueError, match="`params`"):
        MonotoneIntegral.new(tf.zeros([size + 1]))
    with pytest.raises(ValueError, match="`network`"):
        MonotoneIntegral(0.0, tf.zeros([size]))
    for name, value in (("num_nodes", 1), ("bound", 0.0), ("max_log_slope", -1.0)):
        with pytest.raises(ValueError, match=f"`{name}`"):
            MonotoneIntegral.new(tf.zeros([size]), **{name: value})
