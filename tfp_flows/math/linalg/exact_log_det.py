"""The log-determinant of I + J from all of J."""

from collections.abc import Callable

import tensorflow as tf

_LARGEST_UNROLLED = 8


def exact_log_det(
    function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """log det(I + J), J = dg/dx, by D gradients of g and an elimination.

    For a contraction g, in any norm, det(I + J) is positive. Differentiable any number of times
    for D up to 8; above that, J is filled in a loop.

    Cost: a gradient of g for each of the D coordinates, and D^3 operations a row.

    Args:
      function: callable, g, from `[N, D]` to `[N, D]`, that treats each row by itself.
      x: float `Tensor` `[N, D]`; D is static.

    Returns:
      g(x), `[N, D]`, and the log-det, `[N]`, in nats; for D up to 8 NaN where a pivot is
      not positive, which shows that g is no contraction; above, log |det|, whose sign is not seen.
    """
    size = x.shape[-1]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        g = function(x)

    def row(i: tf.Tensor) -> tf.Tensor:
        """dg_i/dx."""
        cotangent = tf.broadcast_to(tf.one_hot(i, size, dtype=x.dtype), tf.shape(x))
        return tape.gradient(g, x, cotangent, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    if size <= _LARGEST_UNROLLED:
        jacobian = tf.stack([row(i) for i in range(size)], axis=1)
        return g, _log_det_by_elimination(tf.eye(size, dtype=x.dtype) + jacobian)
    jacobian = tf.map_fn(row, tf.range(size), fn_output_signature=x.dtype)
    matrix = tf.eye(size, dtype=x.dtype) + tf.transpose(jacobian, [1, 0, 2])
    # The sign of the determinant of an orthogonal matrix is not seen here.
    diagonal = tf.linalg.diag_part(tf.linalg.qr(matrix).r)
    return g, tf.reduce_sum(tf.math.log(tf.abs(diagonal)), axis=-1)


def _log_det_by_elimination(matrix: tf.Tensor) -> tf.Tensor:
    """The sum of the logarithms of the pivots.

    No row is exchanged: I + J, with a norm of J below one, has positive pivots and is stable
    without. Under XLA on a CPU this is 2 to 10 times as fast as QR, which has a kernel of its own.
    """
    log_det = 0.0
    for size in range(matrix.shape[-1], 0, -1):
        pivot = matrix[:, :1, :1]
        log_det += tf.math.log(pivot[:, 0, 0])
        if size > 1:
            matrix = matrix[:, 1:, 1:] - matrix[:, 1:, :1] * (matrix[:, :1, 1:] / pivot)
    return log_det
