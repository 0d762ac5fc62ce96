"""Blocks of pixels as channels: the step between the scales of RealNVP and Glow."""

import tensorflow as tf
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import checks
from tfp_flows.bijectors.flow_bijector import FlowBijector


class Squeeze(FlowBijector):
    """y[i, j, (r f + s) C + k] = x[i f + r, j f + s, k]: space to depth, in blocks of f x f.

    `forward` makes images smaller and deeper, `inverse` undoes it; on the way from data to base it
    is `forward` that is wanted, so that a flow holds `tfb.Invert(Squeeze())`. Both only move
    numbers, and `log |det dy/dx| = 0`.

    Shapes: `x` is `[..., H, W, C]` (NHWC), `y` is `[..., H / f, W / f, f^2 C]`. Domain: all reals.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), RealNVP, arXiv:1605.08803, sec. 3.6.

    Args:
      factor: f, a Python `int` of at least two.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if `factor` is not an integer.
      ValueError: if it is below two; when called, if it does not divide height and width, or f^2
        not the number of channels on the way back.
    """

    def __init__(self, factor=2, validate_args=False, name="squeeze"):
        parameters = dict(locals())
        self._factor = checks.integer_at_least(factor, 2, "factor")
        super().__init__(
            forward_min_event_ndims=3,
            is_constant_jacobian=True,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def factor(self):
        """f."""
        return self._factor

    def _forward_and_log_det(self, x):
        x = tf.convert_to_tensor(x)
        f = self._factor
        height, width, channels = self._squeezed(x.shape)
        batch_shape = ps.shape(x)[:-3]
        blocks = tf.reshape(x, ps.concat([batch_shape, [height, f, width, f, channels // f**2]], 0))
        y = tf.transpose(blocks, _transposition(ps.rank(x)))
        y = tf.reshape(y, ps.concat([batch_shape, [height, width, channels]], 0))
        return y, tf.zeros(batch_shape, x.dtype)

    def _inverse_and_log_det(self, y):
        y = tf.convert_to_tensor(y)
        f = self._factor
        height, width, channels = self._unsqueezed(y.shape)
        batch_shape = ps.shape(y)[:-3]
        blocks = [height // f, width // f, f, f, channels]
        x = tf.reshape(y, ps.concat([batch_shape, blocks], 0))
        x = tf.transpose(x, _transposition(ps.rank(y)))
        x = tf.reshape(x, ps.concat([batch_shape, [height, width, channels]], 0))
        return x, tf.zeros(batch_shape, y.dtype)

    def _squeezed(self, shape):
        """The event shape of `forward` of an image."""
        f = self._factor
        height, width, channels = self._event(shape)
        if height % f or width % f:
            raise ValueError(
                f"`{self.name}` takes images whose height and width are multiples of {f} "
                f"(`factor`). Received: a shape of {shape}"
            )
        return height // f, width // f, channels * f**2

    def _unsqueezed(self, shape):
        """The event shape of `inverse` of an image."""
        f = self._factor
        height, width, channels = self._event(shape)
        if channels % f**2:
            raise ValueError(
                f"`{self.name}` takes back images whose channels are a multiple of {f**2} "
                f"(`factor` squared). Received: a shape of {shape}"
            )
        return height * f, width * f, channels // f**2

    def _event(self, shape):
        if shape.rank is None or shape.rank < 3 or not shape[-3:].is_fully_defined():
            raise ValueError(
                f"`{self.name}` takes images [..., height, width, channels] of known size. "
                f"Received: a shape of {shape}"
            )
        return shape[-3:].as_list()

    def _forward_event_shape(self, shape):
        return shape[:-3].concatenate(self._squeezed(shape))

    def _inverse_event_shape(self, shape):
        return shape[:-3].concatenate(self._unsqueezed(shape))

    def _forward_event_shape_tensor(self, shape):
        f = self._factor
        return ps.concat([shape[:-3], shape[-3:] // [f, f, 1] * [1, 1, f**2]], axis=0)

    def _inverse_event_shape_tensor(self, shape):
        f = self._factor
        return ps.concat([shape[:-3], shape[-3:] // [1, 1, f**2] * [f, f, 1]], axis=0)


def _transposition(rank):
    """Of the axes [..., H, f, W, f, C] of an image of the rank; its own inverse."""
    first = rank - 3
    return [*range(first), first, first + 2, first + 1, first + 3, first + 4]
