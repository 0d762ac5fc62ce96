"""The divergence of a vector field: exact, or estimated by a random projection."""

from collections.abc import Callable

import tensorflow as tf


def exact_divergence(
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], t: tf.Tensor, z: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    r"""$\text{tr} \, J = \sum_i J_{ii}$, $|J|^2 = \sum_{ij} J_{ij}^2$

    The exact divergence of a vector field f, and the squared Frobenius norm of its Jacobian J.

    Cost: one gradient of f for each of the D coordinates.

    Args:
      function: callable, `(t, z) -> f`. It treats each row by itself.
      t: float scalar `Tensor`.
      z: float `Tensor` `[N, D]`.

    Returns:
      f(t, z) `[N, D]`, the divergence `[N]`, and the squared norm `[N]`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> f, divergence, square = tfpf.math.exact_divergence(
      ...     lambda t, z: z**2, tf.constant(0.0), tf.constant([[1.0, 2.0]]))
      >>> f.numpy(), divergence.numpy(), square.numpy()  # J has the diagonal (2, 4)
      (array([[1., 4.]], dtype=float32), array([6.], dtype=float32), array([20.], dtype=float32))

    See also: `tfpf.math.hutchinson_divergence`.
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        f = function(t, z)
        # One product for each part: tiling the rows to [D N, D] was measured to be slower.
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
    r"""$\text{tr} \, J \approx e^\top J e$, $|J|^2 \approx |e^\top J|^2$

    Unbiased estimates of the divergence of a vector field, and of the squared norm of its Jacobian.

    The noise e has zero mean and unit covariance. With random signs the variance of the divergence
    is least: the sum of $J_{ij} (J_{ij} + J_{ji})$ over all $i \ne j$.

    Cost: one gradient of f.

    Source: Hutchinson (1989), A stochastic estimator of the trace of the influence matrix.

    Args:
      function: callable, `(t, z) -> f`. It treats each row by itself.
      t: float scalar `Tensor`.
      z: float `Tensor` `[N, D]`.
      noise: float `Tensor` `[N, D]`, e.

    Returns:
      f(t, z) `[N, D]`, and the estimates of the divergence `[N]` and of the squared norm `[N]`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> signs = tf.constant([[1.0, -1.0]])
      >>> f, divergence, square = tfpf.math.hutchinson_divergence(
      ...     lambda t, z: z**2, tf.constant(0.0), tf.constant([[1.0, 2.0]]), signs)
      >>> divergence.numpy()  # exact, since J is diagonal
      array([6.], dtype=float32)

    See also: `tfpf.math.exact_divergence`, `tfpf.bijectors.HutchinsonNoise`.
    """
    with tf.GradientTape() as tape:
        tape.watch(z)
        f = function(t, z)
    unconnected = tf.UnconnectedGradients.ZERO
    row = tape.gradient(f, z, output_gradients=noise, unconnected_gradients=unconnected)
    return f, tf.reduce_sum(row * noise, axis=-1), tf.reduce_sum(row**2, axis=-1)
