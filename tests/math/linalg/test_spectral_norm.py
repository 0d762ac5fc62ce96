"""Bounds of spectral norms: above, close, at extremes, and their gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import convolution_norm_bound, spectral_norm_bound

rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (6, 40), (40, 6), (30, 30)])
def test_bound_is_above_and_close(shape):
    matrix = rng.normal(size=shape)
    exact = np.linalg.norm(matrix, 2)
    for dtype, rounding in (("float64", 1e-13), ("float32", 1e-6)):
        bound = spectral_norm_bound(tf.constant(matrix, dtype))
        assert exact * (1 - rounding) <= bound <= exact * 1.005


def test_bound_where_all_singular_values_are_equal():
    matrix, _ = np.linalg.qr(rng.normal(size=[50, 50]))
    np.testing.assert_allclose(spectral_norm_bound(tf.constant(matrix)), 50 ** (1 / 128))
    # One squaring: q = 2.
    np.testing.assert_allclose(spectral_norm_bound(tf.constant(matrix), 1), 50 ** (1 / 8))


@pytest.mark.parametrize("scale", [0.0, 1e-25, 1e-10, 1e10, 1e25])
def test_any_size_in_float32(scale):
    matrix = tf.constant(scale * rng.normal(size=[5, 4]), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        bound = spectral_norm_bound(matrix)
        scaled = matrix * (0.9 / tf.maximum(bound, 0.9))
    np.testing.assert_allclose(bound, np.linalg.norm(matrix, 2), rtol=1e-4, atol=1e-29)
    assert np.isfinite(tape.gradient(scaled, matrix)).all()


def convolution_matrix(kernel, height, width):
    size = height * width * kernel.shape[2]
    basis = np.eye(size).reshape(size, height, width, kernel.shape[2])
    return tf.nn.conv2d(basis, kernel, 1, "SAME").numpy().reshape(size, -1)


@pytest.mark.parametrize(
    ("kernel_shape", "image_shape"),
    [
        ((3, 3, 2, 5), (6, 5)),
        ((3, 3, 4, 1), (7, 7)),
        ((2, 4, 2, 2), (5, 6)),
        ((1, 1, 3, 4), (3, 3)),
    ],
)
def test_bound_of_a_convolution(kernel_shape, image_shape):
    kernel = rng.normal(size=kernel_shape)
    exact = np.linalg.norm(convolution_matrix(kernel, *image_shape), 2)
    bound = convolution_norm_bound(tf.constant(kernel), image_shape)
    assert exact * (1 - 1e-13) <= bound <= 1.15 * exact


def test_bound_is_of_images_that_do_not_wrap_around():
    """A wave of three places misses the largest eigenvalue, 2 + sqrt 2 along each axis."""
    differences = np.array([-1.0, 2.0, -1.0])
    kernel = np.outer(differences, differences)[:, :, np.newaxis, np.newaxis]
    bound = convolution_norm_bound(tf.constant(kernel), (3, 3))
    assert (2.0 + 2.0**0.5) ** 2 <= bound <= 4.0**2


def test_bound_of_a_convolution_is_close_for_large_images():
    kernel = tf.constant(rng.normal(size=[3, 3, 1, 1]))
    exact = np.linalg.norm(convolution_matrix(kernel.numpy(), 20, 20), 2)
    assert exact <= convolution_norm_bound(kernel, (20, 20)) <= 1.03 * exact


def test_no_bound_by_the_reshaped_kernel():
    """What Keras's `SpectralNormalization` takes for the norm."""
    kernel = np.ones([3, 3, 2, 2])
    exact = np.linalg.norm(convolution_matrix(kernel, 8, 8), 2)
    assert exact > 1.5 * np.linalg.norm(kernel.reshape(-1, 2), 2)
    assert convolution_norm_bound(tf.constant(kernel), (8, 8)) >= exact


@pytest.mark.parametrize(
    ("bound", "shape"),
    [
        (spectral_norm_bound, (4, 6)),
        (lambda kernel: convolution_norm_bound(kernel, (4, 5)), (3, 3, 2, 3)),
    ],
    ids=["matrix", "convolution"],
)
def test_gradients_are_those_of_finite_differences(bound, shape):
    weight, direction = (tf.constant(rng.normal(size=shape)) for _ in range(2))

    @tf.function(jit_compile=True, autograph=False)
    def derivative(weight):
        with tf.GradientTape() as tape:
            tape.watch(weight)
            value = bound(weight)
        return tf.reduce_sum(tape.gradient(value, weight) * direction)

    numeric = (bound(weight + 1e-6 * direction) - bound(weight - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(derivative(weight), numeric, rtol=1e-7, atol=1e-8)
