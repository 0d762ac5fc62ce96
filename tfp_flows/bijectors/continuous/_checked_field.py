"""A vector field as the continuous bijector calls it: velocities of a checked shape."""

import keras
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.bijectors._networks import check_network


class CheckedField:
    """f(t, z) or f(t, z, context=c), of shape `[N, D]` as z is.

    Args:
      field: f, any callable.
      context_size: C, or 0 if f takes no context.
      name: that of the bijector, for messages.

    Raises:
      TypeError: if `field` is not callable.
      ValueError: if it is an unbuilt layer.
    """

    def __init__(self, field, context_size, name):
        check_network(field, "field(t, z) or field(t, z, context=c)", "field")
        self._field = field
        self._context_size = context_size
        self._name = name
        self.is_layer = isinstance(field, keras.Layer)

    def __call__(self, t, z, context=None, **kwargs):
        """Returns a velocity for each row of `z`.

        Args:
          t: float scalar `Tensor`, or `[N, 1]` if the field takes it.
          z: float `Tensor` `[N, D]`.
          context: float `Tensor` `[N, C]`; not looked at when the field takes none.
          **kwargs: for a field that is a Keras layer, as `training`.

        Raises:
          ValueError: if the field gives another shape than that of `z`.
        """
        kwargs = kwargs if self.is_layer else {}
        if self._context_size:
            kwargs["context"] = context
        f = tf.convert_to_tensor(self._field(t, z, **kwargs))
        if f.shape.rank != 2 or not f.shape.is_compatible_with(z.shape):
            raise ValueError(
                f"`field` of `{self._name}` must give a velocity of the shape {tuple(z.shape)} of "
                f"z. Received: shape {tuple(f.shape)}"
            )
        return tf.cast(f, z.dtype)

    def probe(self, t, event_size, dtype):
        """Calls the field once, so that a misfit is found when the bijector is made."""
        dtypes = [dtype] if dtype else [tf.float32, tf.float64]
        for each in dtypes:
            rows = tf.zeros([2, event_size], each)
            context = tf.zeros([2, *_checks.context_shape(self._context_size)], each)
            try:
                self(tf.cast(t, each), rows, context, training=False)
                return
            except (TypeError, tf.errors.InvalidArgumentError):
                # What a function captures may be of another dtype.
                if each == dtypes[-1]:
                    raise
