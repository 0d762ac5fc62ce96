"""Upper bounds of spectral norms by repeated squaring of the Gram matrix."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.math._replace_gradient import replace_gradient


def spectral_norm_bound(matrix: tf.Tensor, num_squarings: int = 5) -> tf.Tensor:
    """sigma(W) <= |(W^T W)^q|_F^(1 / (2 q)), with q = 2^num_squarings.

    The right side is the norm of all singular values to the power 4 q, so that the bound is at most
    r^(1 / (4 q)) times too large for rank r: 3.9 % for r = 128 where all of them are equal, next
    to nothing where one stands out. It needs no state and holds in every call, up to rounding. It
    has derivatives of every order, also at W = 0.

    Source: Delattre et al. (2023), arXiv:2305.16173, algorithm 1.

    Args:
      matrix: float `Tensor` `[..., m, n]`, finite.
      num_squarings: Python `int`; each costs a product of matrices of the smaller size.

    Returns:
      Float `Tensor` `[...]`.
    """
    matrix, size = _to_unit_size(matrix, axes=(-2, -1))
    if matrix.shape[-2] < matrix.shape[-1]:
        matrix = tf.linalg.matrix_transpose(matrix)
    gram = tf.matmul(tf.linalg.matrix_transpose(matrix), matrix)
    return size * tf.exp(0.5 * _log_radius_bound(gram, num_squarings))


def convolution_norm_bound(
    kernel: tf.Tensor, image_shape: Sequence[int], num_squarings: int = 5
) -> tf.Tensor:
    """sigma(A) <= max_f sigma(W(f)), where A convolves images by W, whose spectrum is W(f).

    A has stride one and pads with zeros ("same"). It is a part of the circular convolution of an
    image of H + k_h - 1 times W + k_w - 1 pixels: to cut off and to fill with zeros does not raise
    the norm. Circular convolutions are block-diagonal in Fourier space, with a block W(f), channels
    by channels, for each frequency, and each block is bounded as `spectral_norm_bound` says.
    (Reshaping the kernel to a matrix, as is often done, bounds nothing.)

    Cost: one product of matrices of 2 min(C, C') a squaring for each of the (H + k_h)(W + k_w) / 2
    frequencies, whatever the number of images. So one of the two numbers of channels should be
    small, or the kernel 1 x 1.

    Source: Sedghi, Gupta and Long (2019), arXiv:1805.10408; Delattre et al. (2023),
    arXiv:2305.16173.

    Args:
      kernel: float `Tensor` `[k_h, k_w, C, C']`, finite.
      image_shape: a pair of Python integers, H and W.
      num_squarings: Python `int`.

    Returns:
      Float scalar.
    """
    k_h, k_w, num_in, num_out = kernel.shape
    if k_h == k_w == 1:
        return spectral_norm_bound(kernel[0, 0], num_squarings)
    kernel, size = _to_unit_size(kernel, axes=None)
    flat = tf.reshape(kernel, [k_h * k_w, num_in * num_out])
    cosine, sine = (
        tf.reshape(tf.matmul(tf.constant(wave, kernel.dtype), flat), [-1, num_in, num_out])
        for wave in _waves((k_h, k_w), image_shape)
    )
    if num_in < num_out:
        cosine, sine = tf.linalg.matrix_transpose(cosine), tf.linalg.matrix_transpose(sine)
    # The complex matrix C + i S as a real one: the same singular values, each twice.
    block = tf.concat(
        [tf.concat([cosine, -sine], axis=-1), tf.concat([sine, cosine], axis=-1)], axis=-2
    )
    gram = tf.matmul(tf.linalg.matrix_transpose(block), block)
    log_radius = tf.reduce_max(_log_radius_bound(gram, num_squarings))
    return size * tf.exp(0.5 * log_radius)


def _to_unit_size(tensor: tf.Tensor, axes: tuple[int, ...] | None) -> tuple[tf.Tensor, tf.Tensor]:
    """The tensor over its largest entry, and that entry: no power of it overflows then."""
    size = tf.reduce_max(tf.abs(tensor), axis=axes, keepdims=True)
    # A constant for the gradient, which is right all the same: the norm is homogeneous.
    size = tf.stop_gradient(tf.maximum(size, tensor.dtype.as_numpy_dtype(1e-30)))
    return tensor / size, size[..., 0, 0] if axes else tf.reshape(size, [])


def _log_radius_bound(gram: tf.Tensor, num_squarings: int) -> tf.Tensor:
    """log |G^q|_F / q, with q = 2^num_squarings, for symmetric matrices G.

    Its gradient is G^(2q-1) / tr(G^(2q)), the product of all the powers on the way: one product of
    matrices for each, where automatic differentiation would take two and as many normalisations.
    """
    tiny = gram.dtype.as_numpy_dtype(1e-30)
    power = gram
    total, product = tf.zeros(gram.shape[:-2], gram.dtype), None
    for i in range(num_squarings + 1):
        if i > 0:
            power = tf.matmul(power, power)
        square = tf.reduce_sum(power**2, axis=(-2, -1))
        # The bound of a matrix of zeros is next to zero, and its gradient finite.
        norm = tf.sqrt(tf.maximum(square, tiny))
        power /= norm[..., tf.newaxis, tf.newaxis]
        total += tf.math.log(norm) / 2**i
        product = power if product is None else tf.matmul(product, power)
    trace = tf.reduce_sum(product * gram, axis=(-2, -1), keepdims=True)
    return replace_gradient(total, gram, product / tf.maximum(trace, tiny))


def _waves(
    kernel_shape: Sequence[int], image_shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of 2 pi f.p for frequencies f and places p in the kernel: `[F, k_h k_w]`."""
    period = [n + k - 1 for n, k in zip(image_shape, kernel_shape, strict=True)]
    # The block at -f is the conjugate of that at f.
    rows, columns = np.meshgrid(np.arange(period[0] // 2 + 1), np.arange(period[1]), indexing="ij")
    places = np.indices(kernel_shape).reshape(2, -1)
    phase = (
        np.outer(rows.ravel() / period[0], places[0])
        + np.outer(columns.ravel() / period[1], places[1])
    ) * (2.0 * np.pi)
    return np.cos(phase), np.sin(phase)
