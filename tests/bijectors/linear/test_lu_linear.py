"""The linear bijector in LU form, against the dense matrix that it stands for."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

from tfp_flows.bijectors import LULinear

tfb = tfp.bijectors

RNG = np.random.default_rng(0)
PERMUTATION = (2, 0, 3, 1)


def made_linear(size=4, permutation=None, **options):
    bijector = LULinear(size, permutation, dtype="float64", **options)
    perturb(bijector.variables, scale=1.0)
    return bijector


def dense(bijector, permutation):
    """x = L U P (y - b), as numpy writes it."""
    packed = bijector.parameters["lower_upper"].numpy()
    size = len(packed)
    lower = np.tril(packed, -1) + np.eye(size)
    upper = np.triu(packed, 1) + np.diag(np.exp(np.diag(packed)))
    p = np.eye(size) if permutation is None else np.eye(size)[list(permutation)]
    return lower @ upper @ p, bijector.parameters["bias"].numpy()


@pytest.mark.parametrize("permutation", [None, PERMUTATION])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4)])
def test_agrees_with_the_dense_matrix(permutation, shape):
    bijector = made_linear(permutation=permutation)
    matrix, bias = dense(bijector, permutation)
    y = RNG.normal(size=shape)
    x = (y - bias) @ matrix.T
    np.testing.assert_allclose(bijector.inverse(y), x, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(bijector.forward(x), y, rtol=1e-10, atol=1e-12)
    log_det = np.linalg.slogdet(matrix)[1]
    assert abs(log_det) > 0.1
    np.testing.assert_allclose(
        bijector.inverse_log_det_jacobian(y), np.full(shape[:-1], log_det), rtol=1e-12
    )
    np.testing.assert_allclose(
        bijector.forward_log_det_jacobian(x), np.full(shape[:-1], -log_det), rtol=1e-12
    )


@pytest.mark.parametrize("permutation", [None, PERMUTATION])
def test_starts_as_the_permutation(permutation):
    bijector = LULinear(4, permutation)
    y = RNG.normal(size=[3, 4]).astype("float32")
    np.testing.assert_array_equal(bijector.inverse(y), y[:, list(permutation or range(4))])
    np.testing.assert_array_equal(bijector.inverse_log_det_jacobian(y), np.zeros(3))


def test_one_dimension():
    bijector = made_linear(1)
    d, b = (float(np.squeeze(bijector.parameters[name])) for name in ("lower_upper", "bias"))
    x = np.array([[2.0], [-1.0]])
    np.testing.assert_allclose(bijector.forward(x), np.exp(-d) * x + b, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [60.0, -60.0, 1e30, -1e30])
def test_saturated_diagonal(value, dtype):
    """One number is lost, and the other directions go on."""
    packed = RNG.normal(size=[3, 3])
    packed[1, 1] = value
    lower_upper = tf.Variable(packed, dtype=dtype)
    bijector = LULinear(3, lower_upper=lower_upper, bias=tf.zeros([3], dtype))
    x = tf.constant(RNG.normal(size=[5, 3]), dtype)
    for run in (bijector._forward_and_log_det, bijector._inverse_and_log_det):
        with tf.GradientTape() as tape:
            y, log_det = run(x)
            loss = tf.reduce_sum(tf.asinh(y)) + tf.reduce_sum(log_det)
        assert np.isfinite(y).all() and np.isfinite(log_det).all()
        assert np.isfinite(tape.gradient(loss, lower_upper)).all()
    bound = {"float32": 44.4, "float64": 354.9}[dtype]
    packed[1, 1] = np.clip(value, -bound, bound)
    expected = np.trace(packed)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(x), [expected] * 5, rtol=1e-3)


def test_every_variable_is_trained():
    bijector = made_linear(permutation=PERMUTATION)
    assert len(bijector.trainable_variables) == 2
    y = tf.constant(RNG.normal(size=[5, 4]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(bijector.inverse(y) ** 2) + bijector.inverse_log_det_jacobian(y, 1)[0]
    for gradient in tape.gradient(loss, bijector.trainable_variables):
        assert np.all(gradient.numpy() != 0)


def test_given_variables_are_used_and_shared_by_copies():
    lower_upper, bias = tf.Variable(tf.eye(3)), tf.Variable([1.0, 2.0, 3.0])
    bijector = LULinear(3, lower_upper=lower_upper, bias=bias)
    assert {id(v) for v in bijector.variables} == {id(lower_upper), id(bias)}
    y = RNG.normal(size=[2, 3]).astype("float32")
    np.testing.assert_allclose(bijector.inverse(y), np.e * (y - bias), rtol=1e-5)
    made = LULinear(3, (1, 2, 0))
    assert {id(v) for v in made.copy().variables} == {id(v) for v in made.variables}
    constant = LULinear(3, lower_upper=tf.eye(3), bias=tf.zeros([3]))
    assert not constant.variables


def test_invert_swaps_the_directions():
    bijector = made_linear()
    x = RNG.normal(size=[3, 4])
    np.testing.assert_array_equal(tfb.Invert(bijector).forward(x), bijector.inverse(x))


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value,error",
    [(0, ValueError), (-2, ValueError), (2.0, TypeError), (True, TypeError), ((3,), TypeError)],
)
def test_event_size(value, error):
    with pytest.raises(error, match="`event_size` must be an integer of at least 1. Received: "):
        LULinear(value)


@pytest.mark.parametrize(
    "permutation", [(0, 1), (0, 1, 1), (1, 2, 3), (0.5, 1, 2), ((0, 1, 2),), 1, (0, 1, 2, 3)]
)
def test_permutation(permutation):
    with pytest.raises(ValueError, match=r"`permutation` must be .*range\(3\). Received: permut"):
        LULinear(3, permutation)


@pytest.mark.parametrize(
    "name,shape", [("lower_upper", [2, 2]), ("lower_upper", [3]), ("bias", [2]), ("bias", [3, 1])]
)
def test_shapes_that_do_not_fit(name, shape):
    with pytest.raises(ValueError, match=f"`{name}` must have shape .*Received: {name}.shape="):
        LULinear(3, **{name: tf.zeros(shape)})


def test_dtypes_that_do_not_fit():
    with pytest.raises(TypeError, match="Parameters must be floating point. Received: dtype=int32"):
        LULinear(2, lower_upper=tf.zeros([2, 2], tf.int32), bias=tf.zeros([2], tf.int32))
    with pytest.raises(TypeError):
        LULinear(2, lower_upper=tf.zeros([2, 2], tf.float64), bias=tf.zeros([2], tf.float32))


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size(method):
    with pytest.raises(ValueError, match=r"`lu_linear` acts on events of 4 .*Received: .*\(5, 3\)"):
        getattr(LULinear(4), method)(tf.zeros([5, 3]))
