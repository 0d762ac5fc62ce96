"""The base class of transformers whose inverse has no closed form."""

import abc
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.transformers import _batch_last
from tfp_flows.math.solvers.find_root import find_root


class Monotone(FlowBijector):
    """$y = f(x)$

    An elementwise, strictly increasing function; `find_root` computes its inverse.

    A subclass lists its parameters (`_parameters_by_unit`) and makes f from them (`_map`), in the
    layout of `_batch_last`. Each pass calls `_map` once, so that the steps of the search do not
    repeat what depends on the parameters alone.
    """

    _increases = True

    @abc.abstractmethod
    def _parameters_by_unit(self) -> list[tf.Tensor]:
        """Returns the parameters of f, a list of `Tensor`s `[..., D, K]` or `[K]`, any K."""

    @abc.abstractmethod
    def _map(self, *parameters: tf.Tensor) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """Returns f as a function from x to `(f(x), log f'(x))`, elementwise.

        The parameters have shape `[..., K, N]`, and x has shape `[..., N]`.
        """

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def kernel(x: tf.Tensor, *parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self._map(*parameters)(x)

        return _batch_last.apply(kernel, x, self._parameters_by_unit())

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def kernel(y: tf.Tensor, *parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self._solve(self._map(*parameters), y)

        return _batch_last.apply(kernel, y, self._parameters_by_unit())

    def _solve(
        self, value_and_log_slope: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], y: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        r"""Returns x with f(x) = y, and $\log dx/dy$."""

        def value_and_slope(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value, log_slope = value_and_log_slope(x)
            # An infinite slope has no gradient: 0 * inf would be NaN.
            overflows = log_slope > math.log(log_slope.dtype.max)
            return value, tf.exp(tf.where(overflows, tf.constant(np.inf, y.dtype), log_slope))

        radius = 1.0 + 0.5 * tf.abs(y)
        result = find_root(value_and_slope, y, lower=y - radius, upper=y + radius)
        x = result.root
        if self.validate_args:
            message = f"`{self.name}` found no x for some y."
            converged = tf.debugging.assert_equal(
                result.converged, tf.ones_like(result.converged), message=message
            )
            with tf.control_dependencies([converged]):
                x = tf.identity(x)
        # Where x is beyond the dtype, take the slope at the largest number.
        largest = tf.constant(self.dtype.max, self.dtype)
        near = tf.clip_by_value(x, -largest, largest)
        # A NaN here would spread to the gradients of parameters that other elements share.
        is_lost = tf.math.is_nan(x)
        log_slope = value_and_log_slope(tf.where(is_lost, tf.zeros_like(x), near))[1]
        return x, tf.where(is_lost, x, -log_slope)
