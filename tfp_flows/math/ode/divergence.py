"""The divergence of a vector field: exact, or estimated by a random projection."""

from collections.abc import Callable

import tensorflow as tf


def exact_divergence(
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], t: tf.Tensor, z: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """f(t, z), tr J = sum_i df_i/dz_i and |J|^2 = sum_ij (df_i/dz_j)^2, by D products a^T J.

    Args:
      function: callable, `(t, z) -> f`, that treats each row by itself.
      t: float scalar `Tensor`.
      z: float `Tensor` `[N, D]`.

    Returns:
      Tensors `[N, D]`, `[N]` and `[N]`.
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        f = function(t, z)
        # Apart, not tiled to [D N, D]: that was measured slower.
        parts = tf.unstack(f, axis=-1)
    divergence, square = tf.zeros_like(z[:, 0]), tf.zeros_like(z[:, 0])
    for i, part in enumerate(parts):
        row = tape.gradient(part, z, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        divergence += row[:, i]
        square += tf.reduce_sum(row**2, axis=-1)
    return f, divergence, square


def hutchinson_divergence(
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    t: tf.Tensor,
    z: tf.Tensor,
    noise: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """f(t, z), and the estimates e^T J e of tr J and |e^T J|^2 of |J|^2, by one product e^T J.

    Unbiased for any e with zero mean and unit covariance; with random signs the variance is
    least, sum_(i != j) of J_ij (J_ij + J_ji).

    Source: Hutchinson (1989), A stochastic estimator of the trace of the influence matrix.

    Args:
      function: callable, `(t, z) -> f`, that treats each row by itself.
      t: float scalar `Tensor`.
      z: float `Tensor` `[N, D]`.
      noise: float `Tensor` `[N, D]`, e.

    Returns:
      Tensors `[N, D]`, `[N]` and `[N]`.
    """
    with tf.GradientTape() as tape:
        tape.watch(z)
        f = function(t, z)
    unconnected = tf.UnconnectedGradients.ZERO
    row = tape.gradient(f, z, output_gradients=noise, unconnected_gradients=unconnected)
    return f, tf.reduce_sum(row * noise, axis=-1), tf.reduce_sum(row**2, axis=-1)
