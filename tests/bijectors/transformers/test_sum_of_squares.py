"""Sums of squares: against numpy's polynomials, at overflow, and fitted."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import SumOfSquares

Polynomial = np.polynomial.Polynomial


@pytest.mark.parametrize("bound", [None, 3.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 5), (2, 9)], ids=str)
def test_agrees_with_the_exact_polynomial(shape, bound):
    a = np.random.default_rng(0).normal(size=shape)
    slope = sum(Polynomial(row) ** 2 for row in a) + 0.01
    primitive = slope.integ() + 0.3
    x = np.array([-2.0, -1.0, -1e-9, 0.0, 0.5, 1.0, 2.9])
    bijector = SumOfSquares(tf.constant(a), 0.3, 0.01, bound)
    np.testing.assert_allclose(bijector.forward(x), primitive(x), rtol=1e-11)
    np.testing.assert_allclose(
        bijector.forward_log_det_jacobian(x, 0), np.log(slope(x)), rtol=1e-12, atol=1e-12
    )
    if bound is not None:
        tail = primitive(3.0) + slope(3.0) * 7.0
        np.testing.assert_allclose(bijector.forward(np.array([10.0])), [tail], rtol=1e-11)


def test_unit_tails_have_slope_one_and_start_where_the_polynomial_ends():
    a = tf.constant(np.random.default_rng(0).normal(size=[2, 3]))
    linear, unit = (SumOfSquares(a, 0.3, 0.01, 3.0, tails=tails) for tails in ("linear", "unit"))
    inside = np.linspace(-3.0, 3.0, 7)
    np.testing.assert_allclose(unit.forward(inside), linear.forward(inside), rtol=1e-12)
    outside = np.array([-1e6, -3.5, 3.5, 1e6])
    ends = linear.forward(np.sign(outside) * 3.0)
    y = unit.forward(outside)
    np.testing.assert_allclose(y, ends + outside - np.sign(outside) * 3.0, rtol=1e-12)
    np.testing.assert_array_equal(unit.forward_log_det_jacobian(outside, 0), np.zeros(4))
    np.testing.assert_allclose(unit.inverse(tf.identity(y)), outside, rtol=1e-10)


def test_spread_is_the_unit_of_x_in_raw_numbers():
    """By which the polynomial of x / s with the same raw numbers is that of x."""
    raw = np.zeros(SumOfSquares.params_size(1, 2))
    raw[1:] = [0.5, -0.4, 0.3]
    x = np.array([-2.0, 0.5, 1.0])
    wide = SumOfSquares.new(raw, 1, 2, spread=2.0)
    np.testing.assert_allclose(
        wide.forward_log_det_jacobian(2.0 * x, 0),
        SumOfSquares.new(raw, 1, 2).forward_log_det_jacobian(x, 0),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    "num_polynomials, degree, error", [(1, 3, 1e-12), (2, 2, 0.002), (3, 4, 0.002)]
)
def test_zero_is_close_to_the_identity_and_ties_nothing(num_polynomials, degree, error):
    size = SumOfSquares.params_size(num_polynomials, degree)
    # A copy for each point, so that one gradient holds all derivatives.
    raw = tf.zeros([61, size], tf.float64)
    x = tf.constant(np.linspace(-3.0, 3.0, 61))
    with tf.GradientTape() as tape:
        tape.watch(raw)
        bijector = SumOfSquares.new(raw, num_polynomials, degree)
        y = bijector.forward(x)
    assert np.abs(y - x).max() <= error
    assert np.abs(bijector.forward_log_det_jacobian(x, 0)).max() <= 0.02
    # Parallel rows of a would stay parallel: the derivatives must have full rank.
    a = bijector.coefficients[0].numpy()
    assert np.linalg.matrix_rank(a, tol=1e-4) == min(num_polynomials, degree + 1)
    jacobian = tape.gradient(y, raw)
    assert np.all(np.abs(jacobian).max(0) > 0.0)


# The contract has float64 without a bound.
@pytest.mark.parametrize(
    ("bound", "dtype"), [(None, "float32"), (10.0, "float32"), (10.0, "float64")]
)
def test_extremes_are_infinite_where_the_value_is_beyond_the_dtype(bound, dtype):
    raw = np.tile([[[0.0]], [[1.0]], [[50.0]], [[-50.0]]], SumOfSquares.params_size())
    params = tf.constant(raw, dtype)
    x = tf.constant([[0.0, 1e-30, -3.0, 1e5, 1e30, -1e30]] * 4, dtype)
    with np.errstate(over="ignore"):
        in_float64 = SumOfSquares.new(tf.constant(raw), bound=bound).forward(tf.cast(x, tf.float64))
        exact = np.asarray(in_float64).astype(dtype)
    for method in ("_forward_and_log_det", "_inverse_and_log_det"):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, params])
            bijector = SumOfSquares.new(params, bound=bound)
            y, log_det = getattr(bijector, method)(x)
            total = tf.reduce_sum(log_det)
        assert np.all(np.isfinite(log_det))
        if method == "_inverse_and_log_det":
            assert np.all(np.isfinite(y))
        else:
            # In float32 y overflows without a bound, and where the tails have a slope of 1e10.
            np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-5)
        assert np.all(np.sign(y[:, -2:]) == [1.0, -1.0])
        for gradient in (tape.gradient(y, x), tape.gradient(total, x)):
            assert np.all(np.isfinite(gradient))
        assert np.all(np.isfinite(tape.gradient(total, params)))


def test_log_det_stays_exact_where_the_value_overflows():
    bijector = SumOfSquares(tf.constant([[1.0, 2.0, 0.0, 3.0], [0.0, 1.0, 1.0, 1.0]]))
    x = tf.constant([1e30, -1e20])
    np.testing.assert_array_equal(bijector.forward(x), [np.inf, -np.inf])
    expected = np.log(10.0) + 6.0 * np.log([1e30, 1e20])
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x, 0), expected, rtol=1e-6)
    flat = SumOfSquares(tf.constant([[0.0, 0.0]]), min_slope=0.5)
    np.testing.assert_allclose(flat.forward(x), [0.5e30, -0.5e20], rtol=1e-6)
    np.testing.assert_allclose(flat.forward_log_det_jacobian(x, 0), np.log([0.5, 0.5]), rtol=5e-6)


def test_a_slope_that_vanishes_is_inverted_all_the_same():
    """x^3 / 3, with the root of zero at zero."""
    bijector = SumOfSquares(tf.constant([[0.0, 1.0]], tf.float64))
    y = tf.constant([-9.0, 0.0, 1e-12, 1e30 / 3.0], tf.float64)
    np.testing.assert_allclose(
        bijector.inverse(y), [-3.0, 0.0, 3e-12 ** (1 / 3), 1e10], rtol=1e-12, atol=1e-14
    )


def test_bad_arguments():
    with pytest.raises(ValueError, match="`num_polynomials`"):
        SumOfSquares.params_size(num_polynomials=0)
    with pytest.raises(ValueError, match="`degree`"):
        SumOfSquares.params_size(degree=-1)
    with pytest.raises(ValueError, match="`params`"):
        SumOfSquares.new(tf.zeros([5]))
    with pytest.raises(ValueError, match="`min_slope`"):
        SumOfSquares.new(tf.zeros([16]), min_slope=1.0)
    with pytest.raises(ValueError, match="`bound`"):
        SumOfSquares.new(tf.zeros([16]), bound=0.0)
    with pytest.raises(ValueError, match="`spread` must be .*Received: spread=0"):
        SumOfSquares.new(tf.zeros([16]), spread=0.0)
    with pytest.raises(ValueError, match="`tails` must be .*Received: tails='flat'"):
        SumOfSquares.new(tf.zeros([16]), tails="flat")
    with pytest.raises(ValueError, match="`coefficients`"):
        SumOfSquares(tf.zeros([3]))
