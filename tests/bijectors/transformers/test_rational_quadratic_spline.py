"""The spline transformer: raw parameters, identity, saturation, errors, TFP's contract."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import RationalQuadraticSpline

tfb = tfp.bijectors
TAILS = ["identity", "linear"]


def _raw(num_bins=8, tails="identity", scale=1.0, batch=(64, 3), dtype=np.float32, seed=0):
    size = RationalQuadraticSpline.params_size(num_bins, tails=tails)
    return (scale * np.random.default_rng(seed).normal(size=(*batch, size))).astype(dtype)


@pytest.mark.parametrize(
    "num_bins,tails,size", [(8, "identity", 23), (8, "linear", 25), (1, "identity", 2)]
)
def test_params_size_takes_the_keywords_of_new(num_bins, tails, size):
    kwargs = {
        "num_bins": num_bins,
        "tails": tails,
        "bound": 3.0,
        "min_bin_width": 1e-2,
        "min_bin_height": 1e-2,
        "min_slope": 1e-2,
    }
    assert RationalQuadraticSpline.params_size(**kwargs) == size
    bijector = RationalQuadraticSpline.new(tf.zeros([2, size]), **kwargs)
    assert bijector.bin_widths.shape == [2, num_bins]


@pytest.mark.parametrize(("tails", "dtype"), [("identity", np.float32), ("linear", np.float64)])
def test_zero_parameters_are_the_identity(tails, dtype):
    x = np.linspace(-7.0, 7.0, 113, dtype=dtype)[:, None]
    raw = 0 * _raw(tails=tails, batch=(1,), dtype=dtype)
    bijector = RationalQuadraticSpline.new(raw, tails=tails)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(bijector.forward(x), x, rtol=0, atol=10 * eps)
    np.testing.assert_allclose(bijector.inverse(x), x, rtol=0, atol=10 * eps)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), 0 * x, atol=10 * eps)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(x), 0 * x, atol=10 * eps)


def test_agrees_with_tfp():
    raw = _raw(dtype=np.float64, batch=(3,))
    ours = RationalQuadraticSpline.new(raw)
    theirs = tfb.RationalQuadraticSpline(
        ours.bin_widths, ours.bin_heights, ours.knot_slopes, range_min=ours.range_min
    )
    x = 3.0 * np.random.default_rng(1).normal(size=(50, 3))
    for method in ("forward", "inverse", "forward_log_det_jacobian", "inverse_log_det_jacobian"):
        np.testing.assert_allclose(getattr(ours, method)(x), getattr(theirs, method)(x), atol=1e-10)


@pytest.mark.parametrize(
    ("num_bins", "tails", "scale"),
    [(8, "identity", 1.0), (8, "linear", 3.0), (32, "identity", 3.0), (32, "linear", 1.0)],
)
def test_round_trip(num_bins, tails, scale):
    x = 2.0 * np.random.default_rng(2).normal(size=(2000, 3))
    for dtype, tolerance in ((np.float32, 1e-5), (np.float64, 1e-10)):
        raw = _raw(num_bins, tails, scale, batch=(2000, 3), dtype=dtype)
        bijector = RationalQuadraticSpline.new(raw, num_bins, tails=tails)
        y = tf.identity(bijector.forward(x.astype(dtype)))
        slope = np.exp(bijector.forward_log_det_jacobian(x.astype(dtype)))
        error = np.abs(bijector.inverse(y) - x.astype(dtype))
        # y is known to half a unit in its last place, so x to that divided by the slope.
        assert np.all(error <= tolerance * np.maximum(1.0, 1.0 / slope))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("tails", TAILS)
def test_saturated_parameters_are_finite(tails, inverse):
    """Of 50 and of 1e30; compiled where there is most arithmetic."""
    sizes = np.repeat(np.float32([50.0, 1e30]), 32)[:, np.newaxis, np.newaxis]
    raw = tf.constant(sizes * np.sign(_raw(tails=tails)))
    x = tf.constant(3.0 * np.random.default_rng(3).normal(size=(64, 3)), tf.float32)

    def run(raw, x):
        with tf.GradientTape() as tape:
            tape.watch([raw, x])
            bijector = RationalQuadraticSpline.new(raw, tails=tails)
            if inverse:
                value, log_det = bijector._inverse_and_log_det(x)
            else:
                value, log_det = bijector._forward_and_log_det(x)
            loss = tf.reduce_sum(value) + tf.reduce_sum(log_det)
        return value, log_det, *tape.gradient(loss, [raw, x])

    assert all(np.isfinite(out).all() for out in run(raw, x))
    if tails == "linear" and inverse:
        compiled = tf.function(run, jit_compile=True, autograph=False)
        assert all(np.isfinite(out).all() for out in compiled(raw, x))


@pytest.mark.parametrize("inverse", [False, True])
def test_gradient_of_raw_parameters_agrees_with_finite_differences(inverse):
    raw = _raw(4, "linear", batch=(3,), dtype=np.float64)
    x = np.array([-6.0, 0.37, 2.9])

    def loss(raw):
        bijector = RationalQuadraticSpline.new(raw, 4, tails="linear")
        run = bijector._inverse_and_log_det if inverse else bijector._forward_and_log_det
        value, log_det = run(tf.constant(x))
        return tf.reduce_sum(tf.sin(value) + log_det, axis=-1)

    # One point for each entry of its parameters and each side, all in one call.
    steps = 1e-6 * np.eye(raw.size).reshape(-1, *raw.shape)
    numeric = (loss(raw + steps) - loss(raw - steps)) / 2e-6
    tensor = tf.constant(raw)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        out = loss(tensor)
    gradient = tape.gradient(out, tensor)
    np.testing.assert_allclose(np.ravel(gradient), numeric, rtol=1e-5, atol=1e-7)


def test_scalar_input_and_rank_one_parameters():
    raw = _raw(batch=(), dtype=np.float64)
    bijector = RationalQuadraticSpline.new(raw)
    x = np.linspace(-6.0, 6.0, 9)
    y = bijector.forward(x)
    one = RationalQuadraticSpline.new(raw).forward(tf.constant(x[3]))
    assert one.shape == [] and y.shape == [9]
    np.testing.assert_allclose(one, y[3], atol=1e-12)
    assert RationalQuadraticSpline.new(raw).inverse_log_det_jacobian(one).shape == []


def test_scalar_slopes_serve_all_knots():
    sizes = tf.constant([0.5, 0.3, 1.2])
    x = tf.constant([-2.0, -0.7, 0.1, 0.9])
    got = RationalQuadraticSpline(sizes, sizes[::-1], 0.7).forward(x)
    want = RationalQuadraticSpline(sizes, sizes[::-1], [0.7, 0.7]).forward(x)
    np.testing.assert_array_equal(got, want)


def test_scalar_slopes_in_a_differentiated_loop_under_xla():
    """XLA cannot differentiate every operation in the body of a loop."""
    sizes = tf.constant([0.5, 0.3, 1.2], tf.float64)
    x = tf.constant([-2.0, -0.7, 0.1, 0.9], tf.float64)

    def twice(slopes, x):
        def step(i, x):
            return i + 1, RationalQuadraticSpline(sizes, sizes[::-1], slopes).forward(x)

        with tf.GradientTape() as tape:
            tape.watch(slopes)
            _, y = tf.while_loop(lambda i, x: i < 2, step, (0, x), maximum_iterations=2)
        return y, tape.gradient(y, slopes)

    compiled = tf.function(twice, jit_compile=True, autograph=False)
    y, gradient = compiled(tf.constant(0.7, tf.float64), x)
    expected, of_each = twice(tf.constant([0.7, 0.7], tf.float64), x)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, tf.reduce_sum(of_each), rtol=1e-12)


def test_variables_receive_gradients_and_are_tracked():
    raw = [tf.Variable([0.4, 0.6, 1.0]), tf.Variable([1.0, 0.4, 0.6]), tf.Variable([0.5, 2.0])]
    bijector = RationalQuadraticSpline(*raw)
    assert len(bijector.trainable_variables) == 3
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(bijector.inverse(tf.constant([0.1, -0.3])))
    assert all(np.abs(g).sum() > 0 for g in tape.gradient(loss, raw))


@pytest.mark.parametrize(
    "kwargs,match",
    [
        ({"num_bins": 0}, "num_bins"),
        ({"bound": 0.0}, "bound"),
        ({"tails": "circular"}, "tails"),
        ({"min_bin_width": 0.0}, "min_bin_width"),
        ({"min_bin_width": 0.125}, "min_bin_width"),
        ({"min_bin_height": 0.2}, "min_bin_height"),
        ({"min_slope": 1.0}, "min_slope"),
        ({"tails": "linear"}, "25 numbers.*23"),
    ],
)
def test_new_refuses_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match + r"(.|\n)*"):
        RationalQuadraticSpline.new(tf.zeros([2, 23]), **kwargs)


@pytest.mark.parametrize(
    "shapes", [([3], [4], [2]), ([3], [3], [3]), ([], [], []), ([0], [0], [1])]
)
def test_constructor_refuses_sizes_that_do_not_fit(shapes):
    with pytest.raises(ValueError, match="Received"):
        RationalQuadraticSpline(*(tf.ones(shape) for shape in shapes))


@pytest.mark.parametrize(
    "arguments,match",
    [
        (([1.0, -1.0], [1.0, 1.0], [1.0]), "bin_widths"),
        (([1.0, 1.0], [1.0, 1.0], [0.0]), "knot_slopes"),
        (([1.0, 1.0], [1.0, 2.0], [1.0]), "same sum"),
    ],
)
def test_validate_args_refuses_bad_values(arguments, match):
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        RationalQuadraticSpline(*arguments, validate_args=True)
    variables = [tf.Variable(a) for a in arguments]
    bijector = RationalQuadraticSpline(*variables, validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        bijector.forward(tf.zeros([]))


def test_validate_args_accepts_unequal_sums_with_linear_tails():
    bijector = RationalQuadraticSpline([1.0, 1.0], [1.0, 2.0], [1.0, 2.0, 3.0], validate_args=True)
    np.testing.assert_allclose(bijector.forward(3.0), 2.0 + 3.0 * 2.0)
