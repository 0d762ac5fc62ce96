"""How large the steps of a solver with an error estimate are."""

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf

from tfp_flows.math.ode.runge_kutta import weighted_sum

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


class StepSize:
    """h <- h clip(0.9 worst^(-1/5), 0.2, 10), worst the largest error in units of the tolerance.

    The tolerance of an element is `atol + rtol max(|z before|, |z after|)`; rows that are given up
    do not count. Source: Hairer, Norsett and Wanner (1993), Solving ordinary differential
    equations I, section II.4.

    Args:
      rtol: non-negative float; ten machine epsilons of the dtype at least.
      atol: positive float; likewise.
      start: float, t_0.
      stop: float, t_1.
      dtype: of the state.
    """

    def __init__(
        self, rtol: float, atol: float, start: float, stop: float, dtype: tf.DType
    ) -> None:
        self._eps = eps = float(ml_dtypes.finfo(dtype.as_numpy_dtype).eps)
        self._rtol, self._atol = max(rtol, 10.0 * eps), max(atol, 10.0 * eps)
        # t + h must differ from t.
        self.smallest = 16.0 * eps * max(abs(start), abs(stop), abs(stop - start))
        self.length = tf.constant(abs(stop - start), dtype)
        self._start, self._direction = tf.constant(start, dtype), 1.0 if stop > start else -1.0

    def ratios(
        self, errors: Sequence[tf.Tensor], before: Sequence[tf.Tensor], after: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """The largest |error| of each row in units of the tolerance, `[N]`; infinite for NaN."""
        found = []
        for error, z, following in zip(errors, before, after, strict=True):
            size = tf.maximum(tf.abs(z), tf.abs(following))
            ratio = tf.abs(error) / (self._atol + self._rtol * size)
            # `reduce_max` may pass over a NaN.
            ratio = tf.where(tf.math.is_finite(ratio), ratio, tf.constant(np.inf, ratio.dtype))
            found.append(tf.reduce_max(ratio, axis=list(range(1, ratio.shape.rank))))
        return tf.reduce_max(tf.stack(found), axis=0)

    def roundings(
        self, moves: Sequence[tf.Tensor], before: Sequence[tf.Tensor], after: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """At most what roundings of a step's error are, in units of the tolerance, `[N]`."""
        return 8.0 * self._eps * self.ratios(moves, before, after)

    def of_quadratures(
        self,
        errors: Sequence[tf.Tensor],
        before: Sequence[tf.Tensor],
        after: Sequence[tf.Tensor],
        num_rows: tf.Tensor,
    ) -> tf.Tensor:
        """The largest error of a quadrature in units of the tolerance, a scalar.

        It is a sum over N rows, with a tolerance `N atol + rtol max |q|` for all of a tensor: that
        of its elements alone would take more steps, for those near zero.
        """
        found = [tf.zeros([], self.length.dtype)]
        for error, q, following in zip(errors, before, after, strict=True):
            size = tf.maximum(tf.reduce_max(tf.abs(q)), tf.reduce_max(tf.abs(following)))
            ratio = tf.reduce_max(tf.abs(error)) / (num_rows * self._atol + self._rtol * size)
            # Of a row that is given up: smaller steps would not help.
            found.append(tf.where(tf.math.is_finite(ratio), ratio, tf.zeros_like(ratio)))
        return tf.reduce_max(tf.stack(found))

    def first(
        self,
        function: Callable[..., Any],
        state: Sequence[tf.Tensor],
        slopes: Sequence[tf.Tensor],
        alive: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A step that Euler's method would take with an error of a hundredth of the tolerance.

        Returns:
          `(h, alive)`: a scalar, and which of these rows have finite slopes, `[N]`.
        """
        per_row = self.ratios(slopes, state, state)
        alive &= tf.math.is_finite(per_row)
        slope = largest(per_row, alive)
        h = 0.01 / (slope + 1.0 / self.length)
        there = weighted_sum(state, self._direction * h, (1.0,), [slopes])
        others = function(self._start + self._direction * h, there)[0]
        changes = [b - a for a, b in zip(slopes, others, strict=True)]
        bend = self.ratios(changes, state, state) / h
        bend = largest(bend, alive & tf.math.is_finite(bend))
        h = tf.pow(0.01 / (tf.maximum(slope, bend) + 1e-10 / self.length), 0.2)
        return tf.clip_by_value(h, self.smallest, self.length), alive

    def alone(self, per_row: tf.Tensor) -> tf.Tensor:
        """How many steps of its own size a row would take for one with this error, `[N]`."""
        return tf.pow(per_row, 0.2) / _SAFETY

    def following(self, h: tf.Tensor, worst: tf.Tensor) -> tf.Tensor:
        """The size of the step after one of size h with the error `worst`."""
        factor = _SAFETY * tf.pow(tf.maximum(worst, 1e-10), -0.2)
        return tf.maximum(h * tf.clip_by_value(factor, _SHRINK, _GROW), self.smallest)


def largest(ratios: tf.Tensor, alive: tf.Tensor) -> tf.Tensor:
    """The largest ratio of the rows that are alive, or zero."""
    return tf.reduce_max(tf.where(alive, ratios, tf.zeros_like(ratios)))
