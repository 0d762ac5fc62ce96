"""What all spline bijectors owe alike: raw parameters, intervals, the identity, errors."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import (
    CircularSpline,
    CubicSpline,
    LinearSpline,
    QuadraticSpline,
    RationalQuadraticSpline,
)

UNIT = {"unit_interval": True}
LINEAR = {"tails": "linear"}
FORMS = [
    (LinearSpline, {}),
    (LinearSpline, {"learn_widths": True}),
    (LinearSpline, UNIT),
    (QuadraticSpline, {}),
    (QuadraticSpline, LINEAR),
    (QuadraticSpline, UNIT),
    (CubicSpline, {}),
    (CubicSpline, LINEAR),
    (CubicSpline, UNIT),
    (RationalQuadraticSpline, UNIT),
    (CircularSpline, {}),
    (CircularSpline, {"range_min": 0.0}),
]
each_form = pytest.mark.parametrize(
    "cls,kwargs", [pytest.param(*form, id="_".join([form[0].__name__, *form[1]])) for form in FORMS]
)


def ends(cls, kwargs):
    if "unit_interval" in kwargs:
        return 0.0, 1.0
    lower = kwargs.get("range_min", -np.pi if cls is CircularSpline else -5.0)
    return lower, lower + 2 * np.pi if cls is CircularSpline else 5.0


@each_form
@pytest.mark.parametrize(("num_bins", "dtype"), [(1, np.float64), (8, np.float32)])
def test_zero_parameters_are_the_identity(cls, kwargs, dtype, num_bins):
    lower, upper = ends(cls, kwargs)
    margin = 0.01 if cls is CircularSpline else -2.0
    x = np.linspace(lower + margin, upper - margin, 113, dtype=dtype)[:, np.newaxis]
    params = np.zeros([1, cls.params_size(num_bins, **kwargs)], dtype)
    bijector = cls.new(params, num_bins, **kwargs)
    # A rounding of the position is one of theta times three (the cubic) in the value.
    tolerance = 4 * np.finfo(dtype).eps * max(1.0, upper - lower)
    np.testing.assert_allclose(bijector.forward(x), x, rtol=0, atol=tolerance)
    np.testing.assert_allclose(bijector.inverse(x), x, rtol=0, atol=tolerance)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), 0 * x, atol=tolerance)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(x), 0 * x, atol=tolerance)


@each_form
def test_the_interval_goes_onto_itself(cls, kwargs):
    lower, upper = ends(cls, kwargs)
    raw = np.random.default_rng(0).normal(size=[3, cls.params_size(**kwargs)])
    if cls is CircularSpline:
        raw[:, -1] = 0.0
    bijector = cls.new(raw, **kwargs)
    x = np.linspace(lower, upper - 1e-12, 201)[:, np.newaxis] * np.ones(3)
    y = bijector.forward(x)
    np.testing.assert_allclose(y[0], lower, atol=1e-12)
    np.testing.assert_allclose(y[-1], upper, atol=1e-10)
    assert np.all(np.diff(y, axis=0) > 0)
    assert np.abs(y - x).max() > 0.05


def saturated(cls, kwargs, rng):
    """Raw parameters of 50 and of 1e30, of either sign, and points in and out of the interval."""
    lower, upper = ends(cls, kwargs)
    raw = np.sign(rng.normal(size=[80, 3, cls.params_size(**kwargs)]))
    raw = np.repeat([50.0, 1e30], 40)[:, np.newaxis, np.newaxis] * raw
    x = rng.uniform(lower - 0.5, upper + 0.5, [80, 3])
    return tf.constant(raw, tf.float32), tf.constant(x, tf.float32)


@each_form
def test_saturated_parameters_are_finite(cls, kwargs):
    raw, x = saturated(cls, kwargs, np.random.default_rng(1))
    with tf.GradientTape() as tape:
        tape.watch([raw, x])
        bijector = cls.new(raw, **kwargs)
        outs = (*bijector._forward_and_log_det(x), *bijector._inverse_and_log_det(x))
        loss = tf.add_n([tf.reduce_sum(out) for out in outs])
    assert all(np.isfinite(out).all() for out in (*outs, *tape.gradient(loss, [raw, x])))


@each_form
def test_round_trip_is_a_rounding(cls, kwargs):
    lower, upper = ends(cls, kwargs)
    rng = np.random.default_rng(2)
    x = rng.uniform(lower, upper, [500, 3])
    raw = 3.0 * rng.normal(size=[500, 3, cls.params_size(**kwargs)])
    for dtype in (np.float32, np.float64):
        bijector = cls.new(tf.constant(raw, dtype), **kwargs)
        y, log_slope = bijector.forward_and_log_det(x.astype(dtype))
        back, inverse_log_slope = bijector.inverse_and_log_det(y)
        error = np.abs(back - x.astype(dtype))
        if cls is CircularSpline:
            error = np.minimum(error, 2 * np.pi - error)
        # y is known to half a unit in its last place, so x to that divided by the slope.
        unit = np.finfo(dtype).eps * (upper - lower)
        assert np.all(error <= 8 * unit * np.maximum(1.0, np.exp(-log_slope)))
        np.testing.assert_allclose(
            np.median(np.abs(log_slope + inverse_log_slope)), 0.0, atol=50 * unit
        )


@each_form
def test_scalar_input_and_rank_one_parameters(cls, kwargs):
    raw = np.random.default_rng(3).normal(size=[cls.params_size(**kwargs)])
    x = np.linspace(*ends(cls, kwargs), 9, endpoint=False)
    bijector = cls.new(raw, **kwargs)
    y = bijector.forward(x)
    one = bijector.forward(tf.constant(x[3]))
    assert one.shape == [] and y.shape == [9]
    np.testing.assert_allclose(one, y[3], atol=1e-12)
    assert bijector.inverse_log_det_jacobian(one).shape == []


# The contract compiles loops of rational quadratic splines, of which circular ones are made, and
# whose bins linear ones share.
@pytest.mark.parametrize("cls", [QuadraticSpline, CubicSpline])
def test_gradient_in_a_while_loop_compiles(cls):
    """And saturated parameters are finite there, too; forms of one class share their arithmetic."""
    rng = np.random.default_rng(4)
    raw = rng.normal(scale=0.3, size=[20, 3, cls.params_size()])
    x = rng.uniform(*ends(cls, {}), [20, 3])
    extremes = saturated(cls, {}, rng)
    raw, x = (
        tf.concat([tf.constant(a), tf.cast(b, tf.float64)], 0)
        for a, b in ((raw, extremes[0]), (x, extremes[1]))
    )

    def value_and_gradient(raw, twice):
        with tf.GradientTape() as tape:
            tape.watch(raw)
            _, y = twice(lambda i, x: (i + 1, cls.new(raw).inverse(x)), (0, x))
            out = tf.sin(y)
        return out, tape.gradient(out, raw)

    @tf.function(jit_compile=True, autograph=False)
    def looped(raw):
        def loop(body, state):
            return tf.while_loop(lambda i, *_: i < 2, body, state, maximum_iterations=2)

        return value_and_gradient(raw, loop)

    found = looped(raw)
    expected = value_and_gradient(raw, lambda body, state: body(*body(*state)))
    for a, b in zip(found, expected, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a[:20], b[:20], atol=1e-9)


BAD = [
    ({"num_bins": 0}, "num_bins"),
    ({"bound": 0.0}, "bound"),
    ({"tails": "round"}, "tails"),
    ({"min_bin_width": 0.0}, "min_bin_width"),
    ({"min_bin_width": 0.125}, "min_bin_width"),
    ({"min_bin_height": 0.2}, "min_bin_height"),
    ({"min_slope": 1.0}, "min_slope"),
    ({"num_bins": 9}, "params.*last axis"),
]


@pytest.mark.parametrize(
    "cls,bad,match",
    [
        pytest.param(cls, bad, match, id=f"{cls.__name__}-{bad}")
        for cls in dict.fromkeys(cls for cls, _ in FORMS)
        for bad, match in BAD
        if set(bad) <= set(inspect.signature(cls.new).parameters)
    ],
)
def test_new_refuses_bad_arguments(cls, bad, match):
    with pytest.raises(ValueError, match=rf"{match}(.|\n)*Received"):
        cls.new(tf.zeros([2, cls.params_size()]), **bad)
