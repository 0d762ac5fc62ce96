"""Gram-Schmidt orthonormalization, with gradients that stay finite."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import tensorflow as tf


def orthonormal_columns(matrix: tf.Tensor) -> tf.Tensor:
    """$A = Q R$

    Returns Q of a QR decomposition in which the diagonal of R is positive, as by Gram-Schmidt.

    The gradient of Q is dL/dA = (G + Q copyltu(-G^T Q)) R^-T for G = dL/dQ, where copyltu mirrors
    the lower triangle. Where the columns of A are linearly dependent, Q jumps, and R has no
    inverse. For the gradient, numbers on the diagonal of R are therefore at least 10 machine
    epsilons of the largest number of R. The gradient is then large, not infinite or NaN.

    Args:
      matrix: float `Tensor` `[..., D, M]`, M at most D.

    Returns:
      Q, of the same shape.
    """

    @tf.custom_gradient
    def orthonormal(matrix: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
        q, r = tf.linalg.qr(matrix)
        # With these signs, and no others, Q is a smooth function of the matrix.
        diagonal = tf.linalg.diag_part(r)
        sign = tf.where(diagonal < 0.0, -tf.ones_like(diagonal), tf.ones_like(diagonal))
        q, r = q * sign[..., tf.newaxis, :], r * sign[..., tf.newaxis]

        def gradient(of_q: tf.Tensor) -> tf.Tensor:
            roundings = 10.0 * ml_dtypes.finfo(r.dtype.as_numpy_dtype).eps
            least = roundings * tf.reduce_max(tf.abs(r), axis=[-2, -1])
            # A matrix of zeros has no largest number to compare with.
            least = tf.maximum(least, tf.constant(1e-12, r.dtype))[..., tf.newaxis]
            safe = tf.linalg.set_diag(r, tf.maximum(tf.linalg.diag_part(r), least))
            lower = tf.linalg.band_part(-tf.matmul(of_q, q, transpose_a=True), -1, 0)
            strict = tf.linalg.set_diag(lower, tf.zeros_like(least + diagonal))
            middle = of_q + tf.matmul(q, lower + tf.linalg.matrix_transpose(strict))
            # The gradient X solves X R^T = B, so R X^T = B^T.
            solved = tf.linalg.triangular_solve(safe, tf.linalg.matrix_transpose(middle), False)
            return tf.linalg.matrix_transpose(solved)

        return q, gradient

    return orthonormal(tf.convert_to_tensor(matrix))
