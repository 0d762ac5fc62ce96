"""The base class of transformers whose inverse has no closed form."""

import abc

import tensorflow as tf
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.math.find_root import find_root


class Monotone(FlowBijector):
    """y = f(x), elementwise and strictly increasing, with x found by `find_root`.

    A subclass implements `_value_and_log_slope(x)`, which returns `(f(x), log f'(x))`.
    """

    @abc.abstractmethod
    def _value_and_log_slope(self, x):
        """Returns `(f(x), log f'(x))`, elementwise."""

    @classmethod
    def _is_increasing(cls):
        return True

    def _forward_and_log_det(self, x):
        return self._value_and_log_slope(tf.convert_to_tensor(x, dtype=self.dtype))

    def _inverse_and_log_det(self, y):
        y = tf.convert_to_tensor(y, dtype=self.dtype)
        # Each element of a batch of parameters has a root of its own.
        batch_shape = self.experimental_batch_shape_tensor(x_event_ndims=0)
        y = tf.broadcast_to(y, ps.broadcast_shape(ps.shape(y), batch_shape))

        def value_and_slope(x):
            value, log_slope = self._value_and_log_slope(x)
            return value, tf.exp(log_slope)

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
        # Of an x beyond the dtype: the slope at its end.
        largest = tf.constant(self.dtype.max, self.dtype)
        near = tf.clip_by_value(x, -largest, largest)
        return x, -self._value_and_log_slope(near)[1]
