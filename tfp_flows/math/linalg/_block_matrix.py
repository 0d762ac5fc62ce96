"""Block-triangular matrices with positive diagonal blocks, and products in the log domain."""

import ml_dtypes
import numpy as np
import tensorflow as tf


def block_matrix(
    raw: tf.Tensor, log_gains: tf.Tensor, num_blocks: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """$W = e^g V / |V|$

    A block-triangular matrix W, with a norm of each row that is learned.

    V equals exp(raw) on the diagonal blocks, raw below them, and zero above. |V| is the norm of
    each row.

    Args:
      raw: float `Tensor` `[D H, D K]`.
      log_gains: float `Tensor` `[D H]`, g: the logarithms of the norms of the rows.
      num_blocks: the number of blocks, D.

    Returns:
      `(W, log_blocks)`: W is `[D H, D K]`, and `log_blocks`, `[D, H, K]`, the logarithms of its
      diagonal blocks.
    """
    size = num_blocks
    num_out, num_in = raw.shape[0] // size, raw.shape[1] // size
    raw = tf.reshape(raw, [size, num_out, size, num_in])
    # `tf.einsum` with a repeated index has no gradient.
    log_blocks = tf.stack([raw[i, :, i, :] for i in range(size)])
    below = np.tril(np.ones([size, size]), -1)[:, np.newaxis, :, np.newaxis]
    rows = raw * tf.constant(below, raw.dtype)
    # Rows are normalized, so each may be scaled first: its largest number becomes about 1.
    # Otherwise exp(raw) or its square could overflow, or a whole row underflow.
    largest = tf.math.log(tf.reduce_max(tf.abs(rows), axis=[-2, -1]))
    top = tf.stop_gradient(tf.maximum(tf.reduce_max(log_blocks, axis=-1), largest))
    log_blocks -= top[..., tf.newaxis]
    diagonal = tf.eye(size, dtype=raw.dtype)[:, tf.newaxis, :, tf.newaxis]
    # Without the bound, rows of zeros below the diagonal could give 0 * inf, which is NaN.
    rows *= tf.exp(-tf.maximum(top, -80.0))[..., tf.newaxis, tf.newaxis]
    rows += diagonal * tf.exp(log_blocks)[:, :, tf.newaxis, :]
    log_norms = 0.5 * tf.math.log(tf.reduce_sum(tf.square(rows), axis=[-2, -1]))
    log_factors = tf.reshape(log_gains, [size, num_out]) - log_norms
    rows *= tf.exp(log_factors)[..., tf.newaxis, tf.newaxis]
    matrix = tf.reshape(rows, [size * num_out, size * num_in])
    return matrix, log_blocks + log_factors[..., tf.newaxis]


def log_matvec(log_matrix: tf.Tensor, log_vector: tf.Tensor) -> tf.Tensor:
    """Returns log(A v), `[N, D, H]`, from the logarithms of A `[D, H, K]` and v `[N, D, K]`.

    This takes one product of matrices instead of a `logsumexp` over `[N, D, H, K]`.
    """
    top = tf.stop_gradient(tf.reduce_max(log_vector, axis=-1, keepdims=True))
    row_top = tf.stop_gradient(tf.reduce_max(log_matrix, axis=-1))
    scaled = tf.exp(log_matrix - row_top[..., tf.newaxis])
    product = tf.einsum("dhk,ndk->ndh", scaled, tf.exp(log_vector - top))
    # Where the largest of A and the largest of v belong to different k, all terms may underflow.
    tiny = ml_dtypes.finfo(product.dtype.as_numpy_dtype).tiny
    product = tf.maximum(product, tf.constant(tiny, product.dtype))
    return tf.math.log(product) + row_top + top


def log_tanh_slope(z: tf.Tensor) -> tf.Tensor:
    """Returns log(1 - tanh(z)^2), but at least -2000, where the slope is zero in every dtype."""
    # Without the bound, an infinite logarithm would become NaN in the next product.
    size = tf.minimum(tf.abs(z), 1e3)
    return 2.0 * (np.log(2.0) - size - tf.math.log1p(tf.exp(-2.0 * size)))
