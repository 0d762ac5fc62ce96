"""The step size of a solver with an error estimate."""

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf

from tfp_flows.math.ode.runge_kutta import weighted_sum

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


class StepSize:
    r"""$h \leftarrow h \, clip(0.9 w^{-1/5}, 0.2, 10)$

    Chooses the size h of the next step, where w is the largest error in units of the tolerance.

    The tolerance of an element is `atol + rtol max(|z before|, |z after|)`. Rows that are given up
    do not count.

    Source: Hairer, Norsett and Wanner (1993), Solving ordinary differential equations I, section
    II.4.

    Args:
      rtol: non-negative float, raised to at least ten machine epsilons of the dtype.
      atol: positive float, raised likewise.
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
        """Returns the largest |error| of each row in units of the tolerance, `[N]`.

        A row with a NaN has an infinite error.
        """
        found = []
        for error, z, following in zip(errors, before, after, strict=True):
            size = tf.maximum(tf.abs(z), tf.abs(following))
            ratio = tf.abs(error) / (self._atol + self._rtol * size)
            # `tf.reduce_max` may ignore a NaN.
            ratio = tf.where(tf.math.is_finite(ratio), ratio, tf.constant(np.inf, ratio.dtype))
            found.append(tf.reduce_max(ratio, axis=list(range(1, ratio.shape.rank))))
        return tf.reduce_max(tf.stack(found), axis=0)

    def roundings(
        self, moves: Sequence[tf.Tensor], before: Sequence[tf.Tensor], after: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """Returns a bound of the rounding error of a step, in units of the tolerance, `[N]`."""
        return 8.0 * self._eps * self.ratios(moves, before, after)

    def of_quadratures(
        self,
        errors: Sequence[tf.Tensor],
        before: Sequence[tf.Tensor],
        after: Sequence[tf.Tensor],
        num_rows: tf.Tensor,
    ) -> tf.Tensor:
        """Returns the largest error of the quadratures in units of the tolerance, a scalar.

        A quadrature is a sum over N rows. All elements of a tensor share the tolerance
        `N atol + rtol max |q|`. A tolerance for each element would take more steps, because of
        elements near zero.
        """
        found = [tf.zeros([], self.length.dtype)]
        for error, q, following in zip(errors, before, after, strict=True):
            size = tf.maximum(tf.reduce_max(tf.abs(q)), tf.reduce_max(tf.abs(following)))
            ratio = tf.reduce_max(tf.abs(error)) / (num_rows * self._atol + self._rtol * size)
            # Not finite: a row is given up, and smaller steps would not help.
            found.append(tf.where(tf.math.is_finite(ratio), ratio, tf.zeros_like(ratio)))
        return tf.reduce_max(tf.stack(found))

    def first(
        self,
        function: Callable[..., Any],
        state: Sequence[tf.Tensor],
        slopes: Sequence[tf.Tensor],
        alive: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the size of the first step.

        It is estimated from the slopes at the start and after a step of Euler's method, for an
        error of a hundredth of the tolerance.

        Returns:
          `(h, alive)`: a scalar, and which of the rows that are alive have finite slopes, `[N]`.
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
        """Returns how many steps of its own size a row would need for this step, `[N]`."""
        return tf.pow(per_row, 0.2) / _SAFETY

    def following(self, h: tf.Tensor, worst: tf.Tensor) -> tf.Tensor:
        """Returns the size of the step that follows one of size h with the error `worst`."""
        factor = _SAFETY * tf.pow(tf.maximum(worst, 1e-10), -0.2)
        return tf.maximum(h * tf.clip_by_value(factor, _SHRINK, _GROW), self.smallest)


def largest(ratios: tf.Tensor, alive: tf.Tensor) -> tf.Tensor:
    """Returns the largest ratio among the rows that are alive, or zero."""
    return tf.reduce_max(tf.where(alive, ratios, tf.zeros_like(ratios)))
