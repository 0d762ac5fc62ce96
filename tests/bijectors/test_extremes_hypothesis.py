"""Hypothesis drives shapes and extreme raw parameters: never NaN, finite where representable.

Each run is derandomised, so a failure is the same on every machine.
"""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tfp_flows.bijectors import Affine, Coupling, RationalQuadraticSpline

SETTINGS = hypothesis.settings(
    derandomize=True,
    deadline=None,
    max_examples=15,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)

RAW = [-1e30, -1e3, -50.0, -1.0, 0.0, 1e-30, 1.0, 50.0, 1e3, 1e30]
POINTS = [-1e30, -1e3, -5.0, -3.0, -1.0, -1e-30, 0.0, 1e-30, 1.0, 3.0, 5.0, 1e3, 1e30]
SHAPES = [(64,), (), (3,), (2, 1, 2), (16, 3), (0, 3)]
SPLINES = [
    {"num_bins": num_bins, "tails": tails, "bound": 3.0}
    for num_bins in (1, 2, 5)
    for tails in ("identity", "linear")
]


def numbers(data, shape, pool, dtype):
    """An array of numbers of the pool, or of plain normal numbers."""
    seed = data.draw(st.integers(0, 10**6), label="seed")
    rng = np.random.default_rng(seed)
    pooled = data.draw(st.sampled_from([True, True, False]), label="from the pool")
    values = rng.choice(pool, size=shape) if pooled else rng.normal(size=shape)
    return tf.constant(values, dtype)


def one_number_each(data, shape, pool, dtype):
    value = data.draw(st.sampled_from(pool), label="value")
    return tf.constant(np.full(shape, value), dtype)


def pass_with_gradients(run, tensors):
    """Value, log-det, and the gradients of each of the two, apart: inf - inf is no defect."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensors)
        value, log_det = run(*tensors)
    gradients = [tape.gradient(t, tensors, unconnected_gradients="zero") for t in (value, log_det)]
    return value, log_det, [g for of_one in gradients for g in of_one]


def assert_no_nan(*tensors):
    for tensor in tf.nest.flatten(tensors):
        assert not np.any(np.isnan(tensor))


def assert_finite(*tensors):
    for tensor in tf.nest.flatten(tensors):
        assert np.all(np.isfinite(tensor))


def direction(inverse):
    return "_inverse_and_log_det" if inverse else "_forward_and_log_det"


# --- Transformers ----------------------------------------------------------------------------


@SETTINGS
@hypothesis.given(data=st.data())
def test_affine_never_gives_nan(data):
    dtype = data.draw(st.sampled_from(["float32", "float64"]), label="dtype")
    shape = data.draw(st.sampled_from(SHAPES), label="shape")
    inverse = data.draw(st.booleans(), label="inverse")
    x = numbers(data, shape, POINTS, dtype)
    raw = numbers(data, (*shape, 2), RAW, dtype)

    def run(x, raw):
        return getattr(Affine.new(raw), direction(inverse))(x)

    y, log_det, gradients = pass_with_gradients(run, [x, raw])
    assert y.shape == log_det.shape == shape
    assert_no_nan(y, log_det, gradients)
    # What the formula gives in extended precision, wherever it fits.
    x, t, s = (np.asarray(part, np.longdouble) for part in (x, raw[..., 0], raw[..., 1]))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exact = np.exp(-s) * (x - t) if inverse else np.exp(s) * x + t
        fits = np.abs(exact) < 0.999 * np.finfo(dtype).max
        # Sums and differences of the size of 1e30 lose what is smaller: compare to their scale.
        size = np.abs(exact) + (np.exp(-s) * np.abs(t) if inverse else np.abs(t))
        close = np.abs(y.numpy() - exact) <= 1e-3 * size + np.finfo(dtype).tiny
    assert np.all(np.isfinite(y.numpy()[fits]))
    assert np.all(close[fits & np.isfinite(size)])
    np.testing.assert_array_equal(log_det, (-s if inverse else s).astype(dtype))


@SETTINGS
@hypothesis.given(data=st.data())
def test_bounded_affine_is_finite(data):
    shape = data.draw(st.sampled_from(SHAPES), label="shape")
    inverse = data.draw(st.booleans(), label="inverse")
    x = numbers(data, shape, POINTS, "float32")
    raw = numbers(data, (*shape, 2), RAW, "float32")

    def run(x, raw):
        return getattr(Affine.new(raw, max_log_scale=3.0), direction(inverse))(x)

    y, log_det, gradients = pass_with_gradients(run, [x, raw])
    assert_finite(y, log_det, gradients)
    assert np.all(np.abs(log_det) <= 3.0)


@pytest.mark.parametrize("draw", [numbers, one_number_each], ids=["mixed", "all_alike"])
@SETTINGS
@hypothesis.given(data=st.data())
def test_spline_is_finite(draw, data):
    """Slopes stay above a minimum, so every result fits; a bin may still be all but closed."""
    dtype = data.draw(st.sampled_from(["float32", "float64"]), label="dtype")
    shape = data.draw(st.sampled_from(SHAPES), label="shape")
    kwargs = data.draw(st.sampled_from(SPLINES), label="kwargs")
    inverse = data.draw(st.booleans(), label="inverse")
    size = RationalQuadraticSpline.params_size(**kwargs)
    x = numbers(data, shape, POINTS, dtype)
    raw = draw(data, (*shape, size), RAW[1:-1], dtype)

    def run(x, raw):
        return getattr(RationalQuadraticSpline.new(raw, **kwargs), direction(inverse))(x)

    y, log_det, gradients = pass_with_gradients(run, [x, raw])
    assert y.shape == log_det.shape == shape
    assert_finite(y, log_det, gradients)
    if kwargs["tails"] == "identity":
        outside = np.abs(x) > 3.0
        np.testing.assert_array_equal(y.numpy()[outside], x.numpy()[outside])
        np.testing.assert_array_equal(log_det.numpy()[outside], 0.0)
        assert np.all(np.abs(y.numpy()[~outside]) <= 3.0 * (1 + 1e-5))


@SETTINGS
@hypothesis.given(data=st.data())
def test_spline_of_the_largest_parameters_never_gives_nan(data):
    """A learned slope of 1e30 at an end carries x = 1e30 out of float32: infinity, not NaN."""
    dtype = data.draw(st.sampled_from(["float32", "float64"]), label="dtype")
    kwargs = data.draw(st.sampled_from(SPLINES), label="kwargs")
    inverse = data.draw(st.booleans(), label="inverse")
    size = RationalQuadraticSpline.params_size(**kwargs)
    x = numbers(data, (4, 3), POINTS, dtype)
    raw = numbers(data, (4, 3, size), RAW, dtype)

    def run(x, raw):
        return getattr(RationalQuadraticSpline.new(raw, **kwargs), direction(inverse))(x)

    y, log_det, gradients = pass_with_gradients(run, [x, raw])
    assert_no_nan(y, log_det, gradients)
    assert_finite(log_det)
    if kwargs["tails"] == "identity":
        assert_finite(y)


@SETTINGS
@hypothesis.given(data=st.data())
def test_spline_stays_monotone(data):
    kwargs = data.draw(st.sampled_from(SPLINES), label="kwargs")
    inverse = data.draw(st.booleans(), label="inverse")
    size = RationalQuadraticSpline.params_size(**kwargs)
    raw = numbers(data, (1, size), RAW[1:-1], "float64")
    x = tf.constant(np.linspace(-4.0, 4.0, 401)[:, np.newaxis])
    y, _ = getattr(RationalQuadraticSpline.new(raw, **kwargs), direction(inverse))(x)
    assert np.all(np.diff(y[:, 0]) >= -1e-12 * np.abs(y[1:, 0]).clip(1.0))


# --- Couplings -------------------------------------------------------------------------------


# Other forms of these transformers are above, by themselves.
@pytest.mark.parametrize(
    "transformer,kwargs",
    [(Affine, {}), (RationalQuadraticSpline, {"num_bins": 4, "bound": 3.0})],
    ids=["affine", "spline"],
)
@SETTINGS
@hypothesis.given(data=st.data())
def test_coupling_never_gives_nan(transformer, kwargs, data):
    """The conditioner is linear with weights of the pool, so raw parameters are extreme, too."""
    batch = data.draw(st.sampled_from([(), (1,), (4,), (2, 3), (0,)]), label="batch")
    mask = data.draw(
        st.lists(st.booleans(), min_size=2, max_size=5).filter(lambda m: 0 < sum(m) < len(m)),
        label="mask",
    )
    inverse = data.draw(st.booleans(), label="inverse")
    num_outputs = (len(mask) - sum(mask)) * transformer.params_size(**kwargs)
    x = numbers(data, (*batch, len(mask)), POINTS[1:-1], "float32")
    w = numbers(data, (sum(mask), num_outputs), [-50.0, -1.0, 0.0, 1.0, 50.0], "float32")
    b = numbers(data, (num_outputs,), RAW, "float32")

    def run(x, w, b):
        bijector = Coupling(lambda x_a: x_a @ w + b, transformer, kwargs, mask=mask)
        return getattr(bijector, direction(inverse))(x)

    y, log_det, gradients = pass_with_gradients(run, [x, w, b])
    assert y.shape == x.shape and log_det.shape == batch
    if transformer is Affine:
        # Value and log-det; the sum over coordinates of a gradient may meet inf - inf.
        assert_no_nan(y, log_det)
        return
    assert_finite(y, log_det, gradients)
