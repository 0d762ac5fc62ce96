"""Upper bounds of spectral norms by repeated squaring of the Gram matrix."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.math._replace_gradient import replace_gradient


def spectral_norm_bound(matrix: tf.Tensor, num_squarings: int = 5) -> tf.Tensor:
    r"""$\sigma(W) \le |(W^\top W)^q|_F^{1 / (2 q)}$, $q = 2^k$

    An upper bound of the largest singular value of a matrix, by k squarings.

    The right side is the 4 q-norm of the vector of all singular values. For a matrix of rank r it
    is at most $r^{1 / (4 q)}$ times too large. With the default, that is 3.9 % for r = 128 if all
    singular values are equal, and next to nothing if one is much larger than the others. The bound
    needs no state and holds in every call, up to rounding. It has derivatives of every order, also
    at W = 0.

    Source: Delattre et al. (2023), arXiv:2305.16173, algorithm 1.

    Args:
      matrix: float `Tensor` `[..., m, n]`, finite.
      num_squarings: Python `int`, k. Each squaring is one product of square matrices, of the
        smaller of the sizes m and n.

    Returns:
      A float `Tensor` `[...]`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> matrix = tf.constant([[0.0, 4.0], [3.0, 0.0]])  # singular values 4 and 3
      >>> float(tfpf.math.spectral_norm_bound(matrix))
      4.00

    See also: `tfpf.math.convolution_norm_bound`, `tfpf.layers.LipschitzMLP`.
    """
    matrix, size = _to_unit_size(matrix, axes=(-2, -1))
    if matrix.shape[-2] < matrix.shape[-1]:
        matrix = tf.linalg.matrix_transpose(matrix)
    gram = tf.matmul(tf.linalg.matrix_transpose(matrix), matrix)
    return size * tf.exp(0.5 * _log_radius_bound(gram, num_squarings))


def convolution_norm_bound(
    kernel: tf.Tensor, image_shape: Sequence[int], num_squarings: int = 5
) -> tf.Tensor:
    r"""$\sigma(A) \le \max_f \sigma(W(f))$

    An upper bound of the norm of a convolution A, which has the kernel W with the spectrum W(f).

    A has stride one and pads with zeros ("same"). It is a part of the circular convolution of
    images of $H + k_h - 1$ times $W + k_w - 1$ pixels, and neither cropping nor padding with zeros
    raises the norm. In Fourier space a circular convolution is block-diagonal: for each frequency f
    it has one block W(f), a matrix from channels to channels. Each block is bounded as in
    `tfpf.math.spectral_norm_bound`. (The norm of the kernel reshaped to a matrix, as is often used,
    is no bound.)

    Cost: for each squaring and each of the $(H + k_h)(W + k_w) / 2$ frequencies, one product
    of square matrices of size 2 min(C, C'). It does not depend on the number of images. So one of
    the two numbers of channels should be small, or the kernel 1 x 1.

    Source: Sedghi, Gupta and Long (2019), arXiv:1805.10408; Delattre et al. (2023),
    arXiv:2305.16173.

    Args:
      kernel: float `Tensor` `[k_h, k_w, C, C']`, finite.
      image_shape: a pair of Python integers, H and W.
      num_squarings: Python `int`.

    Returns:
      A float scalar.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> kernel = tf.ones([3, 3, 1, 1])  # its spectrum is at most 9
      >>> float(tfpf.math.convolution_norm_bound(kernel, image_shape=(8, 8)))
      9.05

    See also: `tfpf.layers.LipschitzConvNet`.
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
    # The complex matrix C + i S as a real one. It has the same singular values, each twice.
    block = tf.concat(
        [tf.concat([cosine, -sine], axis=-1), tf.concat([sine, cosine], axis=-1)], axis=-2
    )
    gram = tf.matmul(tf.linalg.matrix_transpose(block), block)
    log_radius = tf.reduce_max(_log_radius_bound(gram, num_squarings))
    return size * tf.exp(0.5 * log_radius)


def _to_unit_size(tensor: tf.Tensor, axes: tuple[int, ...] | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the tensor over its largest entry, so that no power overflows, and that entry."""
    size = tf.reduce_max(tf.abs(tensor), axis=axes, keepdims=True)
    # The gradient takes the size for a constant. It is right all the same, since the norm is
    # homogeneous.
    size = tf.stop_gradient(tf.maximum(size, tensor.dtype.as_numpy_dtype(1e-30)))
    return tensor / size, size[..., 0, 0] if axes else tf.reshape(size, [])


def _log_radius_bound(gram: tf.Tensor, num_squarings: int) -> tf.Tensor:
    """Returns log |G^q|_F / q, with q = 2^num_squarings, for symmetric matrices G.

    The gradient is G^(2q-1) / tr(G^(2q)), where G^(2q-1) is the product of all powers on the way.
    This takes one product of matrices for each power. Automatic differentiation would take two,
    and as many normalizations.
    """
    tiny = gram.dtype.as_numpy_dtype(1e-30)
    power = gram
    total, product = tf.zeros(gram.shape[:-2], gram.dtype), None
    for i in range(num_squarings + 1):
        if i > 0:
            power = tf.matmul(power, power)
        square = tf.reduce_sum(power**2, axis=(-2, -1))
        # For a matrix of zeros the bound is then next to zero, and its gradient finite.
        norm = tf.sqrt(tf.maximum(square, tiny))
        power /= norm[..., tf.newaxis, tf.newaxis]
        total += tf.math.log(norm) / 2**i
        product = power if product is None else tf.matmul(product, power)
    trace = tf.reduce_sum(product * gram, axis=(-2, -1), keepdims=True)
    return replace_gradient(total, gram, product / tf.maximum(trace, tiny))


def _waves(
    kernel_shape: Sequence[int], image_shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns cos and sin of 2 pi f.p, `[F, k_h k_w]`, for frequencies f and kernel places p."""
    period = [n + k - 1 for n, k in zip(image_shape, kernel_shape, strict=True)]
    # Half of the frequencies are enough: the block at -f is the conjugate of the block at f.
    rows, columns = np.meshgrid(np.arange(period[0] // 2 + 1), np.arange(period[1]), indexing="ij")
    places = np.indices(kernel_shape).reshape(2, -1)
    phase = (
        np.outer(rows.ravel() / period[0], places[0])
        + np.outer(columns.ravel() / period[1], places[1])
    ) * (2.0 * np.pi)
    return np.cos(phase), np.sin(phase)
