"""Coupling: which half is which, how often the conditioner runs, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import mlp, perturb

from tfp_flows.bijectors import Affine, Coupling, RationalQuadraticSpline

tfb = tfp.bijectors

RNG = np.random.default_rng(0)
SPLINE = {"num_bins": 4, "bound": 3.0}


def to_half(count):
    """A conditioner for `count` coordinates: shift sum(x_A), log-scale half of it."""

    def conditioner(x_a):
        total = tf.reduce_sum(x_a, axis=-1, keepdims=True)
        return tf.stack([tf.tile(total, [1, count]), tf.tile(total / 2.0, [1, count])], axis=-1)

    return conditioner


def counted(conditioner):
    calls = []

    def wrapped(x, **kwargs):
        calls.append(x.shape)
        return conditioner(x, **kwargs)

    return wrapped, calls


# --- Masks -----------------------------------------------------------------------------------


def test_word_for_events_of_unknown_size_is_refused():
    bijector = Coupling(to_half(2), mask="alternate")
    forward = tf.function(bijector.forward, input_signature=[tf.TensorSpec([5, None])])
    with pytest.raises(ValueError, match="known size. Received: shape"):
        forward(tf.zeros([5, 4]))


@pytest.mark.parametrize(
    "mask,size,identity",
    [
        (None, 4, [0, 1]),
        ("halves", 4, [0, 1]),
        ("halves", 5, [0, 1, 2]),
        ("alternate", 5, [0, 2, 4]),
        ("alternate", 2, [0]),
        ((True, False, False), 3, [0]),
        ((False, False, True), 3, [2]),
        ((False, True, False, True), 4, [1, 3]),
        ([1, 0, 0, 1], 4, [0, 3]),
        (np.array([False, True, True]), 3, [1, 2]),
    ],
)
def test_identity_half_stays_and_the_other_is_transformed(mask, size, identity):
    bijector = Coupling(to_half(size - len(identity)), mask=mask, dtype="float64")
    x = RNG.normal(size=[5, size])
    other = [i for i in range(size) if i not in identity]
    total = x[:, identity].sum(-1, keepdims=True)
    expected = x.copy()
    expected[:, other] = np.exp(total / 2) * x[:, other] + total
    y = bijector.forward(x)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_array_equal(y.numpy()[:, identity], x[:, identity])
    log_det = len(other) * total[:, 0] / 2
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x), log_det, rtol=1e-12)
    np.testing.assert_allclose(bijector.inverse(tf.identity(y)), x, rtol=1e-10, atol=1e-12)


def test_random_mask_follows_the_seed():
    def identity_half(seed):
        bijector = Coupling(to_half(4), mask="random", seed=seed, dtype="float64")
        x = np.ones([1, 9])
        y = bijector.forward(x).numpy()
        np.testing.assert_array_equal(bijector.forward(tf.identity(x)), y)
        return tuple(np.flatnonzero(y[0] == 1.0))

    halves = [identity_half(seed) for seed in range(5)]
    assert all(len(half) == 5 for half in halves)
    assert len(set(halves)) > 1
    assert halves == [identity_half(seed) for seed in range(5)]


def test_words_serve_events_of_any_size():
    bijector = Coupling(lambda x: tf.zeros([x.shape[0], 2, 2]), mask="halves")
    for size in (4, 5):
        assert bijector.forward(tf.ones([3, size])).shape == [3, size]
    assert bijector.mask == "halves"


def test_mask_is_kept_as_booleans():
    bijector = Coupling(mlp(2, 2, "float32"), mask=np.array([1, 0, 1]))
    assert bijector.mask == (True, False, True)
    assert bijector.copy().mask == bijector.mask


@pytest.mark.parametrize(
    "mask,received",
    [
        ((True, True), "at least one coordinate on either side"),
        ((False, False, False), "at least one coordinate on either side"),
        ((True,), "at least one coordinate on either side"),
        ((), "at least one coordinate on either side"),
        ((0, 1, 2), "be booleans of shape"),
        ((0.5, 1.0), "be booleans of shape"),
        ([[[[True, False]]]], "be booleans of shape"),
        (1, "be booleans of shape"),
        ("even", "one of 'halves', 'alternate', 'random'"),
    ],
)
def test_mask_that_is_none(mask, received):
    with pytest.raises(ValueError, match=f"`mask` must .*{received}.*Received: mask="):
        Coupling(to_half(1), mask=mask)


def test_words_need_two_coordinates():
    bijector = Coupling(to_half(1), mask="halves")
    with pytest.raises(ValueError, match="an event needs at least two"):
        bijector.forward(tf.ones([3, 1]))


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_events_of_another_size(method):
    bijector = Coupling(mlp(2, 2, "float32"), mask=(True, True, False))
    with pytest.raises(ValueError, match=r"`coupling` acts on events of 3 .*Received: .*\(5, 4\)"):
        getattr(bijector, method)(tf.zeros([5, 4]))


# --- The conditioner -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_conditioner_runs_once_in_each_direction(method):
    conditioner, calls = counted(to_half(2))
    bijector = Coupling(conditioner, mask="halves")
    x = tf.constant(RNG.normal(size=[5, 4]), tf.float32)
    assert not calls
    getattr(bijector, method)(x)
    assert calls == [[5, 2]]
    log_det = f"{method}_log_det_jacobian"
    getattr(bijector, log_det)(x)
    assert len(calls) <= 2


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_conditioner_sees_rows_whatever_the_rank(shape):
    conditioner, calls = counted(to_half(2))
    bijector = Coupling(conditioner, mask="halves")
    assert bijector.forward(tf.ones(shape)).shape == shape
    assert calls == [[int(np.prod(shape[:-1])), 2]]


def test_flat_and_shaped_raw_parameters_are_alike():
    flat = Coupling(lambda x: tf.reshape(to_half(2)(x), [-1, 4]), mask="halves")
    shaped = Coupling(to_half(2), mask="halves")
    x = RNG.normal(size=[5, 4]).astype("float32")
    np.testing.assert_array_equal(flat.forward(x), shaped.forward(x))


@pytest.mark.parametrize("conditioner", [None, 1.0, "mlp", [0.0]])
def test_conditioner_that_cannot_be_called(conditioner):
    with pytest.raises(TypeError, match="`conditioner` must be callable as .*Received: condition"):
        Coupling(conditioner, mask=(True, False))


def test_conditioner_that_is_not_built():
    with pytest.raises(ValueError, match="`conditioner` must be built .*Received: conditioner=<De"):
        Coupling(keras.layers.Dense(2), mask=(True, False))


@pytest.mark.parametrize("num_outputs,shape", [(3, r"\(2, 3\)"), (8, r"\(2, 8\)")])
def test_conditioner_that_does_not_fit_the_transformer(num_outputs, shape):
    with pytest.raises(ValueError) as info:
        Coupling(mlp(1, num_outputs, "float32"), mask=(True, False, False))
    message = str(info.value)
    assert "`coupling` must give 2 numbers (`Affine.params_size`) for each of 2" in message
    assert "[N, 2, 2] or [N, 4]" in message and f"Received: shape (2, {num_outputs})" in message


@pytest.mark.parametrize("outputs", [tf.zeros([2]), tf.zeros([2, 2, 1]), tf.zeros([1, 2, 2, 2])])
def test_conditioner_of_another_rank_or_transposed(outputs):
    with pytest.raises(ValueError, match=r"must give 2 numbers.*Received: shape"):
        Coupling(lambda x: outputs, mask=(True, False, False))


def test_conditioner_by_a_word_is_checked_at_the_first_call():
    bijector = Coupling(mlp(2, 3, "float32"), mask="halves")
    with pytest.raises(ValueError, match=r"\[N, 2, 2\] or \[N, 4\]. Received: shape \(5, 3\)"):
        bijector.forward(tf.zeros([5, 4]))


def test_validate_args_finds_rows_that_depend_on_each_other():
    def conditioner(x_a):
        mean = tf.reduce_mean(x_a, axis=0, keepdims=True)
        return tf.concat([x_a - mean, x_a], axis=-1)

    with pytest.raises(ValueError, match="must compute each row on its own. Received: .*`mixing`"):
        Coupling(conditioner, mask=(True, False), validate_args=True, name="mixing")
    Coupling(conditioner, mask=(True, False))


def test_validate_args_leaves_the_weights_as_they_were():
    network = mlp(1, 2, "float32")
    perturb(v.value for v in network.variables)
    before = [weight.numpy() for weight in network.weights]
    Coupling(network, mask=(True, False), validate_args=True)
    for weight, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


# --- The transformer -------------------------------------------------------------------------


@pytest.mark.parametrize("transformer", [None, "affine", tfb.Scale, Affine(0.0), np.exp])
def test_transformer_that_is_no_class_of_one(transformer):
    with pytest.raises(TypeError, match="`transformer` must be a class with .*Received: transform"):
        Coupling(to_half(1), transformer, mask=(True, False))


def test_keywords_that_the_transformer_does_not_know():
    with pytest.raises(TypeError, match="keywords of `Affine`.*Received: .*'num_bins': 3"):
        Coupling(to_half(1), Affine, {"num_bins": 3}, mask=(True, False))


@pytest.mark.parametrize("word", [(True, False), "halves"])
def test_values_that_the_transformer_refuses(word):
    for kwargs, name in (({"num_bins": 0}, "num_bins"), ({"bound": -1.0}, "bound")):
        with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}="):
            Coupling(mlp(1, 23, "float32"), RationalQuadraticSpline, kwargs, mask=word)


def test_assertions_of_the_transformer_run():
    kwargs = {"num_bins": 2, "validate_args": True}
    nan = tf.fill([3, 1, RationalQuadraticSpline.params_size(**kwargs)], np.float32(np.nan))
    bijector = Coupling(lambda x_a: nan[: len(x_a)], RationalQuadraticSpline, kwargs, mask="halves")
    with pytest.raises(tf.errors.InvalidArgumentError, match="`bin_widths` must be positive"):
        bijector.forward(tf.ones([3, 2]))


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_assertions_about_variables_of_the_transformer_run(method):
    """They hold when it is made, and no longer when it is called."""
    ones = tf.Variable([1.0, 1.0])
    spline = RationalQuadraticSpline(ones, ones, tf.Variable([1.0]), validate_args=True)

    class Shared:
        params_size = staticmethod(lambda: 1)
        new = staticmethod(lambda params: spline)

    bijector = Coupling(lambda x_a: x_a, Shared, mask=(True, False))
    x = tf.constant([[0.1, 0.2]])
    getattr(bijector, method)(x)
    ones.assign([-1.0, 3.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="`bin_widths` must be positive"):
        getattr(bijector, method)(tf.identity(x))


def test_raw_numbers_are_scaled():
    def scaled(x_a):
        return 0.25 * conditioner(x_a)

    conditioner, x = to_half(1), RNG.normal(size=[3, 2])
    bijector = Coupling(conditioner, mask=(True, False), raw_scale=0.25, dtype=tf.float64)
    expected = Coupling(scaled, mask=(True, False), dtype=tf.float64)
    assert bijector.raw_scale == 0.25
    for method in ("forward", "inverse"):
        np.testing.assert_allclose(
            getattr(bijector, method)(x), getattr(expected, method)(x), rtol=1e-14
        )


@pytest.mark.parametrize("raw_scale", [0.0, -1.0, np.nan, "large"])
def test_raw_scale_that_is_none(raw_scale):
    with pytest.raises((ValueError, TypeError), match="`raw_scale` must be .*Received: raw_scale="):
        Coupling(to_half(1), mask=(True, False), raw_scale=raw_scale)


def test_properties_are_the_arguments():
    network = mlp(1, 11, "float32")
    bijector = Coupling(network, RationalQuadraticSpline, SPLINE, mask=(True, False))
    assert bijector.conditioner is network
    assert bijector.transformer is RationalQuadraticSpline
    assert bijector.transformer_kwargs == SPLINE
    assert (bijector.context_size, bijector.context) == (0, None)
    bijector.transformer_kwargs["bound"] = 9.0
    assert bijector.transformer_kwargs == SPLINE


# --- The transformer of the identity half ----------------------------------------------------


def test_identity_half_has_parameters_of_its_own():
    params = tf.Variable([[1.0, 0.5], [-1.0, 0.0]])
    bijector = Coupling(
        to_half(1), mask=(True, False, True), identity_transformer=Affine, identity_params=params
    )
    assert {id(v) for v in bijector.trainable_variables} == {id(params)}
    x = RNG.normal(size=[4, 3]).astype("float32")
    y = bijector.forward(x).numpy()
    expected = np.exp([0.5, 0.0]) * x[:, [0, 2]] + [1.0, -1.0]
    np.testing.assert_allclose(y[:, [0, 2]], expected, rtol=1e-5)
    # The conditioner sees what has become of the identity half.
    total = expected.sum(-1)
    np.testing.assert_allclose(y[:, 1], np.exp(total / 2) * x[:, 1] + total, rtol=1e-4)
    np.testing.assert_allclose(
        bijector.forward_log_det_jacobian(x), total / 2 + 0.5, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_of_the_identity_half_are_made_as_zeros(dtype):
    bijector = Coupling(
        mlp(2, 2, dtype),
        mask=(True, False, True),
        identity_transformer=RationalQuadraticSpline,
        identity_transformer_kwargs=SPLINE,
    )
    params = bijector.parameters["identity_params"]
    assert params.shape == [2, 11] and params.dtype == dtype and not np.any(params)
    assert any(variable is params for variable in bijector.trainable_variables)
    x = RNG.normal(size=[4, 3]).astype(dtype)
    np.testing.assert_allclose(bijector.forward(x), x, atol=1e-5)


@pytest.mark.parametrize("mask", [None, "halves", "random"])
def test_identity_transformer_needs_booleans(mask):
    with pytest.raises(ValueError, match="`mask` must be .* when `identity_transformer` is given"):
        Coupling(to_half(2), mask=mask, identity_transformer=Affine)


def test_parameters_of_the_identity_half_that_do_not_fit():
    with pytest.raises(ValueError, match=r"`params` must have 2 numbers.*\(1, 3\)"):
        Coupling(
            to_half(1),
            mask=(True, False),
            identity_transformer=Affine,
            identity_params=tf.zeros([1, 3]),
        )


# --- The context -----------------------------------------------------------------------------


def with_context(x, context):
    return tf.concat([x, context[:, :1]], axis=-1)


def test_bound_context_reaches_the_conditioner():
    bijector = Coupling(
        with_context, mask=(True, False), context_size=2, context=[[0.5, 9.0], [-0.5, 9.0]]
    )
    y = bijector.forward(tf.constant([1.0, 2.0]))
    expected = [[1.0, np.exp(0.5) * 2.0 + 1.0], [1.0, np.exp(-0.5) * 2.0 + 1.0]]
    np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("value,error", [(-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_context_size(value, error):
    with pytest.raises(error, match="`context_size` must be an integer of at least 0. Received: "):
        Coupling(to_half(1), mask=(True, False), context_size=value)


def test_context_that_does_not_fit():
    with pytest.raises(ValueError, match=r"`coupling` takes no `context`.*Received: .*\(4, 2\)"):
        Coupling(to_half(1), mask=(True, False), context=tf.zeros([4, 2]))
    for shape in ([4, 3], [], [2, 1]):
        with pytest.raises(ValueError, match=r"shape \[..., 2\] for .*Received: context of"):
            Coupling(with_context, mask=(True, False), context_size=2, context=tf.zeros(shape))


@pytest.mark.parametrize("method", ["forward", "inverse", "forward_log_det_jacobian"])
def test_context_that_is_missing(method):
    bijector = Coupling(with_context, mask=(True, False), context_size=2)
    with pytest.raises(ValueError, match=r"needs a context .*\[..., 2\].*Received: context=None"):
        getattr(bijector, method)(tf.zeros([3, 2]))


def test_tfp_transformer_whose_log_det_is_a_scalar():
    class Shift:
        params_size = staticmethod(lambda: 1)
        new = staticmethod(lambda params: tfp.bijectors.Shift(params[..., 0]))

    conditioner = mlp(1, 2, "float32")
    perturb([variable.value for variable in conditioner.variables])
    coupling = Coupling(conditioner, Shift, mask=[True, False, False])
    x = tf.constant(np.random.default_rng(0).normal(size=[4, 3]), coupling.dtype)
    y = coupling.forward(x)
    np.testing.assert_allclose(y[:, 1:], x[:, 1:] + conditioner(x[:, :1]), rtol=1e-6)
    np.testing.assert_array_equal(coupling.forward_log_det_jacobian(x, 1), np.zeros(4))
    np.testing.assert_allclose(coupling.inverse(tf.identity(y)), x, rtol=1e-5)
