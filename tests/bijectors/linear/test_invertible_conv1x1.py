"""Glow's 1x1 convolution, against TensorFlow's own and a Jacobian over the whole image."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.bijectors import Affine, HouseholderLinear, InvertibleConv1x1, LULinear, QRLinear

tfd = tfp.distributions

RNG = np.random.default_rng(0)
FORMS = {
    "lu": lambda: None,
    "qr": lambda: QRLinear(3, seed=1, dtype="float64"),
    "householder": lambda: HouseholderLinear(3, 3, seed=1, dtype="float64"),
}
each_form = pytest.mark.parametrize("form", FORMS)


def matrix_of(bijector, size):
    """W, whose columns are the images of the unit vectors."""
    return bijector.inverse(tf.eye(size, dtype=bijector.dtype)[:, None, None]).numpy()[:, 0, 0].T


@pytest.mark.parametrize("size", [1, 2, 3, 12])
def test_starts_as_a_random_orthogonal_matrix(size):
    w, other = (matrix_of(InvertibleConv1x1(size, seed=s, dtype="float64"), size) for s in (1, 2))
    np.testing.assert_allclose(w @ w.T, np.eye(size), atol=1e-12)
    assert size == 1 or np.abs(w - other).max() > 0.1
    again = matrix_of(InvertibleConv1x1(size, seed=1, dtype="float64"), size)
    np.testing.assert_array_equal(again, w)


def test_starts_are_uniform_up_to_signs():
    starts = [matrix_of(InvertibleConv1x1(2, seed=s, dtype="float64"), 2) for s in range(200)]
    # |cos| of a uniform angle has mean 2 / pi and second moment 1/2: four standard errors.
    error = np.sqrt((0.5 - (2 / np.pi) ** 2) / 200)
    np.testing.assert_allclose(np.mean(np.abs(starts), axis=0), 2 / np.pi, atol=4 * error)
    # As many rotations as reflections.
    assert abs(np.mean(np.linalg.det(starts))) < 4 / np.sqrt(200)


@each_form
def test_is_a_convolution(form):
    bijector = InvertibleConv1x1(3, FORMS[form](), seed=1, dtype="float64")
    perturb(bijector.variables)
    y = tf.constant(RNG.normal(size=[2, 4, 5, 3]))
    kernel = tf.constant(matrix_of(bijector, 3).T[None, None])
    x = tf.nn.conv2d(y, kernel, strides=1, padding="SAME")
    np.testing.assert_allclose(bijector.inverse(y), x, atol=1e-12)
    np.testing.assert_allclose(bijector.forward(x), y, atol=1e-11)


@each_form
def test_log_det_is_that_of_the_whole_image(form):
    bijector = InvertibleConv1x1(3, FORMS[form](), seed=1, dtype="float64")
    perturb(bijector.variables)
    flat = tf.constant(RNG.normal(size=[1, 2 * 4 * 3]))
    with tf.GradientTape() as tape:
        tape.watch(flat)
        x = tf.reshape(bijector.inverse(tf.reshape(flat, [1, 2, 4, 3])), [1, -1])
    expected = np.linalg.slogdet(tape.batch_jacobian(x, flat))[1]
    assert form == "householder" or abs(expected[0]) > 1.0
    y = tf.reshape(flat, [1, 2, 4, 3])
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(y, 3), expected, atol=1e-10)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(y, 3), -expected, atol=1e-10)


def test_batches_of_images():
    bijector = InvertibleConv1x1(2)
    for batch in ((), (3,), (2, 3)):
        y = tf.zeros([*batch, 4, 4, 2])
        assert bijector.inverse(y).shape == y.shape
        assert bijector.inverse_log_det_jacobian(tf.identity(y), 3).shape == batch


def test_xla_agrees_in_both_directions():
    bijector = InvertibleConv1x1(3, seed=1, dtype="float64")
    perturb(bijector.variables)
    y = tf.constant(RNG.normal(size=[2, 4, 4, 3]))
    for run in (bijector._forward_and_log_det, bijector._inverse_and_log_det):
        for a, b in zip(
            tf.function(run, jit_compile=True, autograph=False)(y), run(y), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@each_form
def test_is_saved(form, tmp_path):
    base = tfd.Independent(tfd.Normal(np.zeros([2, 2, 3]), 1.0), 3)
    bijector = InvertibleConv1x1(3, FORMS[form](), dtype="float64")
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, bijector))
    perturb(bijector.variables)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = tf.constant(RNG.normal(size=[4, 2, 2, 3]))
    expected = model.distribution.log_prob(x)
    np.testing.assert_array_equal(loaded.distribution.log_prob(x), expected)
    assert len(loaded.trainable_variables) == len(model.trainable_variables)


# --- Refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value,error", [(0, ValueError), (-2, ValueError), (2.0, TypeError)])
def test_num_channels(value, error):
    with pytest.raises(error, match="`num_channels` must be an integer of at least 1. Received: "):
        InvertibleConv1x1(value)


def test_linear_of_another_kind():
    with pytest.raises(TypeError, match="`linear` must be a linear bijector .*Received: linear="):
        InvertibleConv1x1(2, "qr")
    for linear in (LULinear(3), Affine(tf.zeros([2]))):
        with pytest.raises(ValueError, match="`linear` must be a linear map .*2 channels.*Receiv"):
            InvertibleConv1x1(2, linear)


@pytest.mark.parametrize("method", ["forward", "inverse"])
def test_images_of_other_channels(method):
    with pytest.raises(ValueError, match=r"`invertible_conv1x1` acts on events of 4 .*Received: "):
        getattr(InvertibleConv1x1(4), method)(tf.zeros([2, 2, 3]))
