"""Turns blocks of pixels, or of steps, into channels, as in RealNVP, Glow and WaveGlow."""

import tensorflow as tf
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors.flow_bijector import FlowBijector


class Squeeze(FlowBijector):
    r"""$y_{i, j, (r f + s) C + k} = x_{i f + r, \, j f + s, \, k}$

    Space to depth: turns blocks of f x f pixels into channels.

    `forward` makes images smaller and deeper, and `inverse` undoes this. A flow needs `forward` on
    the way from data to base, so it holds `tfb.Invert(Squeeze())`. Both directions only move
    numbers, and the log-det is zero. With `event_ndims=2` the events are time series, with blocks
    of f steps: $y_{i, r C + k} = x_{i f + r, k}$.

    Shapes: for images, `x` is `[..., H, W, C]` (NHWC) and `y` is `[..., H / f, W / f, f^2 C]`. For
    time series, `x` is `[..., T, C]` and `y` is `[..., T / f, f C]`. Domain: all reals.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), RealNVP, arXiv:1605.08803, sec. 3.6; for time
    series, Prenger, Valle and Catanzaro (2019), WaveGlow, arXiv:1811.00002.

    Args:
      factor: f, a Python `int` of at least two.
      event_ndims: 3 for images, 2 for time series.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if `factor` is not an integer.
      ValueError: if `factor` is below two, or `event_ndims` is another number. When called: if f
        does not divide height and width, or the number of steps; in `inverse`, if the block size
        does not divide the number of channels.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> squeeze = tfpf.bijectors.Squeeze()
      >>> image = np.arange(16.0).reshape(4, 4, 1)
      >>> y = squeeze.forward(image)
      >>> y.shape
      TensorShape([2, 2, 4])
      >>> y[0, 0].numpy()  # the block of the upper left corner
      array([0., 1., 4., 5.])

    See also: `tfpf.bijectors.MultiScale`, `tfpf.flows.glow`.
    """

    def __init__(
        self,
        factor: int = 2,
        event_ndims: int = 3,
        validate_args: bool = False,
        name: str = "squeeze",
    ) -> None:
        parameters = dict(locals())
        self._factor = _checks.integer_at_least(factor, 2, "factor")
        self._event_ndims = _checks.one_of(event_ndims, (2, 3), "event_ndims")
        # How many numbers of one channel a block has.
        self._block = self._factor ** (event_ndims - 1)
        super().__init__(
            forward_min_event_ndims=event_ndims,
            is_constant_jacobian=True,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def factor(self) -> int:
        """The factor f, the side of a block."""
        return self._factor

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        f = self._factor
        *sides, channels = self._squeezed(x.shape)
        batch_shape = ps.shape(x)[: -self._event_ndims]
        pairs = [size for side in sides for size in (side, f)]
        blocks = tf.reshape(x, ps.concat([batch_shape, pairs, [channels // self._block]], 0))
        # From [H, f, W, f, C] to [H, W, f, f, C].
        y = self._transposed(blocks, [*range(0, len(pairs), 2), *range(1, len(pairs), 2)])
        y = tf.reshape(y, ps.concat([batch_shape, [*sides, channels]], 0))
        return y, tf.zeros(batch_shape, x.dtype)

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        f = self._factor
        *sides, channels = self._unsqueezed(y.shape)
        count = len(sides)
        batch_shape = ps.shape(y)[: -self._event_ndims]
        blocks = [*(side // f for side in sides), *[f] * count, channels]
        x = tf.reshape(y, ps.concat([batch_shape, blocks], 0))
        x = self._transposed(x, [axis for i in range(count) for axis in (i, i + count)])
        x = tf.reshape(x, ps.concat([batch_shape, [*sides, channels]], 0))
        return x, tf.zeros(batch_shape, y.dtype)

    def _transposed(self, blocks: tf.Tensor, axes: list[int]) -> tf.Tensor:
        """Transposes the axes of an event, all but that of channels, into the order `axes`."""
        first = ps.rank(blocks) - len(axes) - 1
        axes = [*range(first), *(first + axis for axis in axes), first + len(axes)]
        return blocks if axes == sorted(axes) else tf.transpose(blocks, axes)

    def _squeezed(self, shape: tf.TensorShape) -> list[int]:
        """Returns the event shape that `forward` gives for an event of this shape."""
        *sides, channels = self._event(shape)
        if any(side % self._factor for side in sides):
            raise ValueError(
                f"`{self.name}` takes {self._kind()[0]} multiples of {self._factor} "
                f"(`factor`). Received: shape {shape}"
            )
        return [*(side // self._factor for side in sides), channels * self._block]

    def _unsqueezed(self, shape: tf.TensorShape) -> list[int]:
        """Returns the event shape that `inverse` gives for an event of this shape."""
        *sides, channels = self._event(shape)
        if channels % self._block:
            raise ValueError(
                f"`inverse` of `{self.name}` takes {self._kind()[1]} whose number of channels is a "
                f"multiple of {self._block} (`factor`{' squared' * (self._event_ndims == 3)}). "
                f"Received: shape {shape}"
            )
        return [*(side * self._factor for side in sides), channels // self._block]

    def _kind(self) -> tuple[str, str, str]:
        if self._event_ndims == 3:
            return "images whose height and width are", "images", "height, width"
        return "series whose numbers of steps are", "series", "steps"

    def _event(self, shape: tf.TensorShape) -> list[int]:
        n = self._event_ndims
        if shape.rank is None or shape.rank < n or not shape[-n:].is_fully_defined():
            raise ValueError(
                f"`{self.name}` takes {self._kind()[1]} [..., {self._kind()[2]}, channels] of "
                f"known size. Received: shape {shape}"
            )
        return shape[-n:].as_list()

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return shape[: -self._event_ndims].concatenate(self._squeezed(shape))

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return shape[: -self._event_ndims].concatenate(self._unsqueezed(shape))

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._scaled(shape, self._factor, 1, 1, self._block)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._scaled(shape, 1, self._block, self._factor, 1)

    def _scaled(
        self,
        shape: tf.Tensor,
        side_divisor: int,
        channel_divisor: int,
        side_factor: int,
        channel_factor: int,
    ) -> tf.Tensor:
        count = self._event_ndims - 1
        event = shape[-self._event_ndims :] // [*[side_divisor] * count, channel_divisor]
        event = event * [*[side_factor] * count, channel_factor]
        return ps.concat([shape[: -self._event_ndims], event], axis=0)
