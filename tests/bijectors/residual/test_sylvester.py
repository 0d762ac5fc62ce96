"""The Sylvester bijector against its formula, in each of its forms."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors import Planar, Sylvester

FORMS = [
    {"form": "orthogonal"},
    {"form": "householder", "num_reflections": 3},
    {"form": "triangular", "permutation": (2, 0, 3, 1)},
]
each_form = pytest.mark.parametrize("kwargs", FORMS, ids=lambda kwargs: kwargs["form"])
KWARGS = {"event_size": 4, "num_units": 2}


def raw(kwargs, shape=(), seed=0):
    size = Sylvester.params_size(**KWARGS, **kwargs)
    return tf.constant(np.random.default_rng(seed).normal(size=[*shape, size]))


def frame(kwargs, numbers):
    """Q, by another way."""
    if kwargs["form"] == "orthogonal":
        a, b = (numbers.reshape(4, 2) + np.eye(4, 2)).T
        a /= np.linalg.norm(a)
        b -= (a @ b) * a
        return np.stack([a, b / np.linalg.norm(b)], axis=1)
    if kwargs["form"] == "householder":
        q = np.eye(4)
        for v in numbers.reshape(3, 4) + np.eye(3, 4):
            q = q @ (np.eye(4) - 2.0 * np.outer(v, v) / (v @ v))
        return q[:, :2]
    return np.eye(4)[:, [2, 0]]


@each_form
def test_is_the_formula(kwargs):
    params = raw(kwargs)
    numbers, (r11, r12, t12, r22, t11, t22, b1, b2) = params[:-8].numpy(), params[-8:].numpy()
    t11, t22 = 1.0 + t11, 1.0 + t22
    # r t is exp(asinh(r t)) - 1 in the end.
    r11, r22 = ((np.exp(np.arcsinh(r * t)) - 1.0) / t for r, t in ((r11, t11), (r22, t22)))
    r, t = np.array([[r11, r12], [0.0, r22]]), np.array([[t11, t12], [0.0, t22]])
    q = frame(kwargs, numbers)
    x = np.random.default_rng(1).normal(size=[5, 4])
    z = x @ q @ t.T + np.array([b1, b2])
    y = x + np.tanh(z) @ r.T @ q.T
    slope = 1.0 - np.tanh(z) ** 2
    _, log_det = np.linalg.slogdet(np.eye(2) + slope[:, np.newaxis] * (t @ r))
    bijector = Sylvester(params, **KWARGS, **kwargs)
    np.testing.assert_allclose(bijector.forward(x), y, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x, 1), log_det, atol=1e-12)


@each_form
def test_zero_is_the_identity_and_no_saddle(kwargs):
    params = tf.zeros([Sylvester.params_size(**KWARGS, **kwargs)], tf.float64)
    x = tf.constant(np.random.default_rng(1).normal(size=[5, 4]))
    with tf.GradientTape() as tape:
        tape.watch(params)
        y, log_det = Sylvester.new(params, **KWARGS, **kwargs)._forward_and_log_det(x)
        loss = tf.reduce_sum(tf.square(y)) - tf.reduce_sum(log_det)
    np.testing.assert_allclose(y, x, rtol=1e-15)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-15)
    # Of R on the diagonal and above.
    assert (np.abs(tape.gradient(loss, params).numpy()[[-8, -7, -5]]) > 1e-3).all()


@pytest.mark.parametrize(
    ("kwargs", "dtype"),
    [*((kwargs, "float32") for kwargs in FORMS), (FORMS[0], "float64")],
    ids=lambda value: value["form"] if isinstance(value, dict) else value,
)
def test_saturated_numbers_stay_invertible(kwargs, dtype):
    """Random signs: log-dets finite, values and gradients without NaN."""
    size = np.repeat([50.0, 1e30], 25)[:, np.newaxis, np.newaxis]
    params = tf.constant(size * np.sign(raw(kwargs, (50, 1))), dtype)
    x = tf.constant([[0.0] * 4, [1.0, -0.5, 0.3, 2.0], [1e30, -1e30, 0.0, 3.0]], dtype)
    bijector = Sylvester(params, **KWARGS, **kwargs)
    for run in (bijector._forward_and_log_det, bijector._inverse_and_log_det):
        with tf.GradientTape() as tape:
            tape.watch([params, x])
            y, log_det = run(x)
        assert y.shape == [50, 3, 4] and np.isfinite(log_det).all() and not np.isnan(y).any()
        # In float32 the square of 1e30 overflows.
        assert dtype == "float32" or np.isfinite(y).all()
        for gradient in tape.gradient(log_det, [params, x]):
            assert not np.isnan(gradient).any()


@each_form
def test_points_near_the_end_of_the_dtype_move_as_in_float64(kwargs):
    """Products of such vectors with Q are beyond float32, whichever the signs in Q are."""
    signs = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 4), axis=-1).reshape(-1, 4)
    x = (np.finfo("float32").max * signs).astype("float32")
    params = raw(kwargs)
    narrow = Sylvester(tf.cast(params, tf.float32), **KWARGS, **kwargs)
    wide = Sylvester(params, **KWARGS, **kwargs)
    for name in ("_forward_and_log_det", "_inverse_and_log_det"):
        y, log_det = getattr(narrow, name)(tf.constant(x))
        expected, expected_log_det = getattr(wide, name)(tf.constant(x, tf.float64))
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        np.testing.assert_allclose(log_det, expected_log_det, atol=1e-6)


@each_form
def test_batches_of_parameters(kwargs):
    params = raw(kwargs, (3,))
    x = np.random.default_rng(1).normal(size=[6, 1, 4])
    bijector = Sylvester.new(params, **KWARGS, **kwargs)
    assert bijector.experimental_batch_shape(x_event_ndims=1) == [3]
    y, log_det = bijector.forward(x), bijector.forward_log_det_jacobian(x, 1)
    assert y.shape == [6, 3, 4] and log_det.shape == [6, 3]
    np.testing.assert_allclose(bijector[2].forward(x[:, 0]), y[:, 2], rtol=1e-12, atol=1e-12)
    back = bijector.inverse(tf.identity(y))
    np.testing.assert_allclose(back, np.broadcast_to(x, [6, 3, 4]), rtol=1e-8, atol=1e-8)


def test_one_unit_is_a_planar_layer():
    """Q = w / |w|, T = |w| and R = |u| for parallel u and w."""
    w, u, b = np.array([1.2, -0.5]), 0.7, 0.3
    norm = np.linalg.norm(w)
    planar = Planar(tf.constant(np.concatenate([w - 0.5**0.5, u * w / norm, [b]])))
    direction = w / norm - np.array([1.0, 0.0])
    sylvester = Sylvester(tf.constant([*direction, u, norm - 1.0, b]), 2, 1)
    x = np.random.default_rng(0).normal(size=[5, 2])
    np.testing.assert_allclose(sylvester.forward(x), planar.forward(x), rtol=1e-13)
    np.testing.assert_allclose(
        sylvester.forward_log_det_jacobian(x, 1), planar.forward_log_det_jacobian(x, 1), atol=1e-13
    )


def test_defaults_of_sizes():
    assert Sylvester.params_size(3) == 3 * 3 + 3 * 5
    assert Sylvester.params_size(20) == 20 * 16 + 16 * 18
    assert Sylvester.params_size(20, 2, "householder") == 2 * 20 + 2 * 4
    assert Sylvester.params_size(20, 2, "triangular") == 2 * 4


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"num_units": 4}, "`num_units` must be at most D = 3"),
        ({"num_units": 0}, "`num_units`"),
        ({"form": "round"}, "`form`"),
        ({"num_reflections": 2}, "`num_reflections`"),
        ({"permutation": (0, 1, 2)}, "`permutation`"),
        ({"form": "triangular", "permutation": (0, 1, 1)}, "`permutation`"),
        ({"num_units": 2}, "`params`"),
    ],
)
def test_bad_arguments(kwargs, named):
    with pytest.raises(ValueError, match=f"{named}.*Received: "):
        Sylvester(tf.zeros([24]), 3, **kwargs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_matrix_of_low_rank_has_finite_values_and_gradients(dtype):
    """Raw numbers of minus the identity make a matrix of zeros, of which QR has no gradient."""
    raw = np.zeros(Sylvester.params_size(3, 2))
    raw[:6] = -np.eye(3, 2).ravel()
    raw[6:] = np.linspace(-1.0, 1.0, raw.size - 6)
    params, x = tf.constant(raw, dtype), tf.ones([4, 3], dtype)
    with tf.GradientTape() as tape:
        tape.watch([params, x])
        bijector = Sylvester.new(params, event_size=3, num_units=2)
        y, log_det = bijector._forward_and_log_det(x)
        loss = tf.reduce_sum(tf.asinh(y)) + tf.reduce_sum(log_det)
    for result in (y, log_det, *tape.gradient(loss, [params, x])):
        assert np.all(np.isfinite(result))
