"""The affine transformer: formula, raw parameters, saturated scales, errors."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import Affine

RNG = np.random.default_rng(0)
DTYPES = ["float32", "float64"]


def test_formula():
    x, t, s = RNG.normal(size=[3, 4, 2])
    bijector = Affine(t, s)
    np.testing.assert_allclose(bijector.forward(x), np.exp(s) * x + t, rtol=1e-12)
    np.testing.assert_allclose(bijector.inverse(x), np.exp(-s) * (x - t), rtol=1e-12)
    np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), s)
    np.testing.assert_array_equal(bijector.inverse_log_det_jacobian(x), -s)
    assert bijector.shift.dtype == bijector.log_scale.dtype == tf.float64


def test_formula_without_a_scale():
    x, t = RNG.normal(size=[2, 4, 2])
    bijector = Affine(t)
    assert bijector.log_scale is None
    np.testing.assert_array_equal(bijector.forward(x), x + t)
    np.testing.assert_array_equal(bijector.inverse(x), x - t)
    np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), np.zeros([4, 2]))


def test_parameters_broadcast_with_points():
    shift, log_scale = RNG.normal(size=[3, 1, 2]), RNG.normal(size=[2])
    x = RNG.normal(size=[4, 2])
    bijector = Affine(shift, log_scale)
    expected = np.exp(log_scale) * x + shift
    np.testing.assert_allclose(bijector.forward(x), expected, rtol=1e-12)
    assert bijector.forward_log_det_jacobian(x, 1).shape == [3, 4]
    assert bijector.experimental_batch_shape(x_event_ndims=1) == [3, 1]


def test_variables_are_seen_and_receive_gradients():
    shift, log_scale = tf.Variable([0.5, 1.0]), tf.Variable([0.1, -0.2])
    bijector = Affine(shift, log_scale)
    assert {id(v) for v in bijector.trainable_variables} == {id(shift), id(log_scale)}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(bijector.inverse(tf.constant([3.0, 4.0])))
    shift_gradient, log_scale_gradient = tape.gradient(loss, [shift, log_scale])
    x = np.exp([-0.1, 0.2]) * [2.5, 3.0]
    np.testing.assert_allclose(shift_gradient, -np.exp([-0.1, 0.2]), rtol=1e-5)
    np.testing.assert_allclose(log_scale_gradient, -x, rtol=1e-5)


# --- Raw parameters --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs,size", [({}, 2), ({"log_scale": False}, 1), ({"max_log_scale": 3.0}, 2)]
)
def test_params_size_takes_the_keywords_of_new(kwargs, size):
    assert Affine.params_size(**kwargs) == size
    x = RNG.normal(size=[5, 3])
    bijector = Affine.new(np.zeros([3, size]), **kwargs)
    np.testing.assert_array_equal(bijector.forward(x), x)
    np.testing.assert_array_equal(bijector.inverse(x), x)


def test_raw_parameters_are_shift_and_log_scale():
    raw = RNG.normal(size=[4, 3, 2])
    bijector = Affine.new(raw)
    np.testing.assert_array_equal(bijector.shift, raw[..., 0])
    np.testing.assert_array_equal(bijector.log_scale, raw[..., 1])
    np.testing.assert_array_equal(Affine.new(raw[..., :1], log_scale=False).shift, raw[..., 0])


def test_bounded_log_scale():
    """s = a / (1 + |a| / m): of slope one at zero, monotone, below m."""
    a = np.array([-1e30, -7.0, -1e-3, 0.0, 1e-3, 7.0, 1e30])
    raw = np.stack([np.zeros(7), a], axis=-1)
    log_scale = Affine.new(raw, max_log_scale=2.0).log_scale.numpy()
    np.testing.assert_allclose(log_scale, a / (1.0 + np.abs(a) / 2.0), rtol=1e-12)
    assert np.all(np.abs(log_scale) <= 2.0) and np.all(np.diff(log_scale) > 0)
    np.testing.assert_allclose(log_scale[[2, 4]], a[[2, 4]], rtol=1e-3)


# --- Saturated scales ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiny_times_huge_is_finite_where_it_can_be_represented(dtype):
    """exp(s) overflows alone, and exp(s) x does not."""
    info = np.finfo(dtype)
    exponents = np.array([1.05, 1.5, 1.9]) * np.log(info.max)
    x = np.exp(np.array([-0.3, -0.7, -0.97]) * np.log(info.max)).astype(dtype)
    # In units that float64 holds for either dtype.
    log_y = np.log(x.astype("float64")) + exponents
    assert np.all(exponents > np.log(info.max))
    bijector = Affine(tf.zeros([], dtype), tf.constant(exponents, dtype))
    y = bijector.forward(tf.constant(x)).numpy()
    assert np.all(np.isfinite(y))
    np.testing.assert_allclose(np.log(y), log_y, rtol=1e-3)
    back = Affine(tf.zeros([], dtype), tf.constant(-exponents, dtype))
    np.testing.assert_allclose(np.log(back.inverse(tf.constant(x))), log_y, rtol=1e-3)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["eager", "xla"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_saturated_scales_never_give_nan(dtype, jit_compile):
    smallest = np.finfo(dtype).tiny
    x, s, t = np.meshgrid(
        [0.0, smallest, -1e-30, 1.0, -1e30], [-1e30, -1e3, -80.0, 0.0, 1e3, 1e30], [0.0, -2.0]
    )
    x, s, t = (tf.constant(part.ravel(), dtype) for part in (x, s, t))

    def run(x, s, t):
        with tf.GradientTape() as tape:
            tape.watch([x, s, t])
            bijector = Affine(t, s)
            y, log_det = bijector._forward_and_log_det(x)
            u, inverse_log_det = bijector._inverse_and_log_det(x)
        gradients = tape.gradient([y, log_det, u, inverse_log_det], [x, s, t])
        return y, log_det, u, inverse_log_det, *gradients[:1], *gradients[2:], gradients[1]

    results = (
        tf.function(run, jit_compile=True, autograph=False)(x, s, t)
        if jit_compile
        else run(x, s, t)
    )
    for result in results:
        assert not np.any(np.isnan(result))
    y, log_det, u, inverse_log_det = results[:4]
    np.testing.assert_array_equal(log_det, s)
    np.testing.assert_array_equal(inverse_log_det, -s)
    # Zero times anything is zero, and a vanishing scale leaves the shift.
    np.testing.assert_array_equal(tf.boolean_mask(y, x == 0.0), tf.boolean_mask(t, x == 0.0))
    vanishing = (s <= -1e3) & (tf.abs(x) <= 1.0)
    np.testing.assert_array_equal(tf.boolean_mask(y, vanishing), tf.boolean_mask(t, vanishing))
    np.testing.assert_array_equal(tf.boolean_mask(u, x == t), tf.boolean_mask(0.0 * t, x == t))


def test_scale_that_cannot_be_represented_is_infinite():
    bijector = Affine(tf.constant([0.0, 0.0]), tf.constant([1e3, 1e3]))
    np.testing.assert_array_equal(bijector.forward(tf.constant([1.0, -1.0])), [np.inf, -np.inf])


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters", [(tf.constant([1, 2]),), (tf.zeros([2]), tf.constant([1, 2]))]
)
def test_integers_are_refused(parameters):
    with pytest.raises(TypeError):
        Affine(*parameters)


def test_two_dtypes_are_refused():
    with pytest.raises(TypeError):
        Affine(tf.zeros([2], tf.float32), tf.zeros([2], tf.float64))


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_max_log_scale_out_of_range(value):
    with pytest.raises(ValueError, match="`max_log_scale` must be a positive number. Received: "):
        Affine.new(tf.zeros([3, 2]), max_log_scale=value)


@pytest.mark.parametrize("value", ["2", True, [1.0]])
def test_max_log_scale_of_another_type(value):
    with pytest.raises(TypeError, match="`max_log_scale` must be a positive number. Received: "):
        Affine.new(tf.zeros([3, 2]), max_log_scale=value)


@pytest.mark.parametrize("log_scale,size", [(True, 1), (True, 3), (False, 2)])
def test_last_axis_is_the_number_of_parameters(log_scale, size):
    expected = 2 if log_scale else 1
    match = rf"`params` must have {expected} numbers.*Received: params.shape=\(3, {size}\)"
    with pytest.raises(ValueError, match=match):
        Affine.new(tf.zeros([3, size]), log_scale=log_scale)
    with pytest.raises(ValueError, match=r"Received: params.shape=\(\)"):
        Affine.new(tf.zeros([]), log_scale=log_scale)
