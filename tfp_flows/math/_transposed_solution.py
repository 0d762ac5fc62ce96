"""The linear system behind the derivatives of an implicit function."""

import tensorflow as tf

from tfp_flows.math._first_derivatives_only import first_derivatives_only


def transposed_solution(function, z, u, solve, solve_back, parts, name):
    """v = u + J^T v, J = dg/dz at z: the cotangent of g(z) in z = g(z), from that of z.

    Linear in u, and so differentiated, by w = u' + J w, which is what forward mode asks for. All
    the rest stands still: a derivative by what z depends on raises `LookupError`.

    Args:
      function: callable, g, of one shape.
      z: float `Tensor`, the solution.
      u: float `Tensor` of its shape.
      solve: callable, `solve(transposed, u)` with `transposed`, `v -> J^T v`: v, however found.
      solve_back: likewise, with `w -> J w`.
      parts: list of float `Tensor`s that depend on all that z depends on, as g(z) does.
      name: Python `str`, of the solver, for the message.

    Returns:
      float `Tensor` of the shape of z.
    """
    z = tf.stop_gradient(z)
    # Persistent, so that g is evaluated once and not in each step.
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        value = function(z)

    def transposed(v):
        gradient = tape.gradient(value, z, v, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.ensure_shape(gradient, z.shape)

    @tf.custom_gradient
    def linear(u):
        v = tf.stop_gradient(solve(transposed, tf.stop_gradient(u)))

        def gradient(w):
            return transposed_solution(transposed, v, w, solve_back, solve, parts, name)

        return v, gradient

    return first_derivatives_only(linear(u), parts, name)
