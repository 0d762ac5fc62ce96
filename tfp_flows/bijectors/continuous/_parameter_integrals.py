"""Integrals that keep the solver's steps small enough for the gradients of a quiet field."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# The fractions of the way from start to stop at which a field is tested for being quiet.
_TIMES = (0.0, 0.13, 0.37, 0.81)


class ParameterIntegrals:
    """integral of s^T df/dw dt, for signs s and all w that the slopes f capture, while f is quiet.

    An adaptive solver chooses its steps by the error of the solution. A field that is zero, such as
    a network with a last layer of zeros, has no error, whatever the steps are. But its gradients
    have one, since the field will change in time once w has moved. If no row moves by more than
    about one, these integrals equal the terms of the gradients up to their signs. Then the solver
    controls their errors as well. Otherwise they are zero and cost nothing.

    Args:
      slopes: callable, `(t, z) -> (f, g)`, f `[N, D]`, g `[N, K]` or `None`.
      rows: float `Tensor` `[N, D]`, z(t_0).
      start: float, t_0.
      stop: float, t_1.
    """

    def __init__(
        self, slopes: Callable[..., Any], rows: tf.Tensor, start: float, stop: float
    ) -> None:
        self._slopes = slopes
        specs = [tf.TensorSpec([], rows.dtype), tf.TensorSpec(rows.shape, rows.dtype)]
        traced = tf.function(slopes, autograph=False).get_concrete_function(*specs)
        captured = [tensor for tensor in traced.captured_inputs if tensor.dtype.is_floating]
        self._sources = [*captured, *traced.trainable_variables]
        self.start = tuple(tf.zeros_like(source) for source in self._sources)
        loudest = tf.zeros([], rows.dtype)
        for fraction in _TIMES if self._sources else ():
            t = tf.constant(start + fraction * (stop - start), rows.dtype)
            for part in traced(t, rows):
                if part is not None:
                    loudest = tf.maximum(loudest, tf.reduce_max(tf.abs(part)))
        self._is_quiet = loudest * abs(stop - start) < 1.0

    def __call__(self, t: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the integrands, a tuple."""
        if not self._sources:
            return ()
        z = tf.stop_gradient(z)

        def integrands() -> tuple[tf.Tensor, ...]:
            with tf.GradientTape() as tape:
                tape.watch(self._sources)
                outputs = [part for part in self._slopes(t, z) if part is not None]
            signs = np.random.default_rng(0)
            cotangents = [
                tf.constant(signs.choice([-1.0, 1.0], part.shape[-1]), part.dtype)
                * tf.ones_like(part)
                for part in outputs
            ]
            unconnected = tf.UnconnectedGradients.ZERO
            found = tape.gradient(outputs, self._sources, cotangents, unconnected)
            return tuple(tf.convert_to_tensor(g) for g in found)

        found = tf.cond(self._is_quiet, integrands, lambda: self.start)
        return tuple(tf.stop_gradient(g) for g in found)
