"""The multi-scale architecture of RealNVP and Glow: half of the numbers leave at each scale."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors.flow_bijector import (
    FlowBijector,
    forward_and_log_det,
    inverse_and_log_det,
)


class MultiScale(FlowBijector):
    r"""$x = f_1(x_1), \quad x_l = [f_{l+1}(x_{l+1}), z_l], \quad x_L = z_L$

    A multi-scale bijector of images: half of the channels leave for the base at each scale.

    On the way from data to base, $f_1^{-1}$ maps the image. Then half of the channels, rounded
    down, leave as $z_1$. $f_2^{-1}$ maps the channels that are kept, and so on; $[\cdot, \cdot]$
    above joins channels. The input of `forward`, whose distribution is the base, is one vector
    $z = [z_1, \ldots, z_L]$. Each part is flattened. The finest part comes first and has half of
    all dimensions. `latents` splits the vector into its parts.

    As in Glow, the channels that leave can be conditioned on those that are kept. A `Coupling` at
    the end of $f_l$, whose part A are the kept channels, does this. For example, $z_l$ is then
    normal with a location and a scale that depend on $x_{l+1}$. RealNVP does not do this.

    The log-det is the sum of those of $f_1$ to $f_L$, in nats.

    Time series, `[..., T, C]`, are split in the same way. With `num_leaving` this number of
    channels leaves at each scale instead of half of them, like the early outputs of WaveGlow.

    Shapes: `x` is `[..., H, W, C]` or `[..., T, C]`, and z is a vector of all its numbers, such as
    `[..., H W C]`. `forward_min_event_ndims` is 1. `inverse_min_event_ndims` is 3 for images, and 2
    for time series. Domain: all reals, if it is that of the parts.

    Cost: each direction evaluates each part once, in the same direction.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), RealNVP, arXiv:1605.08803, sec. 3.6; Kingma and
    Dhariwal (2018), Glow, arXiv:1807.03039; for time series, Prenger, Valle and Catanzaro (2019),
    WaveGlow, arXiv:1811.00002.

    Args:
      bijectors: $f_1$ to $f_L$, a list of bijectors of images, from data to base. Their `forward`
        maps base to data, so each may be `tfb.Chain([..., tfb.Invert(Squeeze()), ...])`.
      event_shape: `(H, W, C)` of x, or `(T, C)`.
      num_leaving: a Python `int` of at least one, or `None` for half of the channels, rounded down.
      validate_args: Python `bool`.
      name: Python `str`.

    Raises:
      TypeError: if `bijectors` holds anything that is not a bijector.
      ValueError: if `bijectors` is empty, if `event_shape` has other than two or three sizes, or if
        a scale has too few channels to split.

    Example:
      >>> import tensorflow as tf
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> unsqueeze = tfp.bijectors.Invert(tfpf.bijectors.Squeeze())
      >>> scales = tfpf.bijectors.MultiScale([unsqueeze, unsqueeze], event_shape=(4, 4, 1))
      >>> z = scales.inverse(tf.ones([7, 4, 4, 1]))
      >>> [part.shape for part in scales.latents(z)]
      [TensorShape([7, 2, 2, 2]), TensorShape([7, 1, 1, 8])]

    See also: `tfpf.bijectors.Squeeze`, `tfpf.flows.glow`, `tfpf.flows.multiscale`.
    """

    def __init__(
        self,
        bijectors: Sequence[tfb.Bijector],
        event_shape: Sequence[int],
        num_leaving: int | None = None,
        validate_args: bool = False,
        name: str = "multi_scale",
    ) -> None:
        parameters = dict(locals())
        bijectors = list(bijectors)
        if not all(isinstance(bijector, tfb.Bijector) for bijector in bijectors):
            raise TypeError(
                f"`bijectors` must be a list of TFP bijectors. Received: bijectors={bijectors!r}"
            )
        if not bijectors:
            raise ValueError("`bijectors` must hold at least one bijector. Received: bijectors=[]")
        event_shape = tuple(_checks.integer_at_least(n, 1, "event_shape") for n in event_shape)
        if len(event_shape) not in (2, 3):
            raise ValueError(
                f"`event_shape` must be (H, W, C) or (T, C). Received: event_shape={event_shape}"
            )
        if num_leaving is not None:
            _checks.integer_at_least(num_leaving, 1, "num_leaving")
        self._num_leaving = num_leaving
        self._bijectors = bijectors
        self._image_shape = event_shape
        # Shapes of what f_l^-1 returns, before the split.
        self._shapes: list[tf.TensorShape] = []
        shape = tf.TensorShape(event_shape)
        for bijector in bijectors:
            if self._shapes:
                shape = self._kept(self._shapes[-1])
            self._shapes.append(bijector.inverse_event_shape(shape))
        dtypes = [bijector.dtype for bijector in bijectors if bijector.dtype is not None]
        super().__init__(
            forward_min_event_ndims=1,
            inverse_min_event_ndims=len(event_shape),
            is_constant_jacobian=all(b.is_constant_jacobian for b in bijectors),
            dtype=dtypes[0] if dtypes else None,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def bijectors(self) -> list[tfb.Bijector]:
        """The bijectors $f_1$ to $f_L$, from data to base."""
        return list(self._bijectors)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        def event_ndims(self: Any, x_event_ndims: int) -> list[int]:
            # Further event axes of the vector are further event axes of each image.
            return [x_event_ndims - 1 + self.inverse_min_event_ndims] * len(self._bijectors)

        return {"bijectors": tfp.util.BatchedComponentProperties(event_ndims=event_ndims)}

    def latents(self, z: ArrayLike) -> list[tf.Tensor]:
        """Splits z, a vector `[..., H W C]`, into $z_1$ to $z_L$.

        Returns:
          A list of images `[..., H_l, W_l, C_l]`, or of time series.
        """
        z = tf.convert_to_tensor(z, dtype=self.dtype)
        _checks.event_size(z, self._size(), self.name)
        shapes = [*map(self._leaving, self._shapes[:-1]), self._shapes[-1]]
        parts = tf.split(z, [shape.num_elements() for shape in shapes], axis=-1)
        return [
            tf.reshape(part, ps.concat([ps.shape(z)[:-1], shape], axis=0))
            for part, shape in zip(parts, shapes, strict=True)
        ]

    def _forward_and_log_det(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        *leaving, x = self.latents(z)
        n = len(self._image_shape)
        x, log_det = forward_and_log_det(self._bijectors[-1], x, n)
        for bijector, part in zip(self._bijectors[-2::-1], leaving[::-1], strict=True):
            x = tf.concat([x, _broadcast(part, ps.shape(x)[:-n], n)], axis=-1)
            x, more = forward_and_log_det(bijector, x, n)
            log_det += more
        return x, log_det

    def _inverse_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        n = len(self._image_shape)
        if not x.shape[-n:].is_compatible_with(self._image_shape):
            raise ValueError(
                f"`{self.name}` acts on {'images' if n == 3 else 'series'} of shape "
                f"{self._image_shape}. "
                f"Received: a tensor of shape {x.shape}"
            )
        x, log_det = inverse_and_log_det(self._bijectors[0], x, n)
        parts = []
        for bijector in self._bijectors[1:]:
            num_kept = x.shape[-1] - self._leaving(x.shape)[-1]
            parts.append(x[..., num_kept:])
            x, more = inverse_and_log_det(bijector, x[..., :num_kept], n)
            log_det += more
        batch_shape = ps.shape(x)[:-n]
        parts = [_broadcast(part, batch_shape, n) for part in [*parts, x]]
        flat = [tf.reshape(part, ps.concat([batch_shape, [-1]], axis=0)) for part in parts]
        return tf.concat(flat, axis=-1), log_det

    def _leaving(self, shape: tf.TensorShape) -> tf.TensorShape:
        num_leaving = shape[-1] // 2 if self._num_leaving is None else self._num_leaving
        return tf.TensorShape([*shape[:-1], num_leaving])

    def _kept(self, shape: tf.TensorShape) -> tf.TensorShape:
        num_leaving = self._leaving(shape)[-1]
        if not 0 < num_leaving < shape[-1]:
            raise ValueError(
                f"`event_shape` leaves too few channels to split in two after {len(self._shapes)} "
                f"scales: events of shape {shape}. Received: event_shape={self._image_shape}, "
                f"num_leaving={self._num_leaving}"
            )
        return tf.TensorShape([*shape[:-1], shape[-1] - num_leaving])

    def _size(self) -> int:
        return tf.TensorShape(self._image_shape).num_elements()

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return shape[:-1].concatenate(self._image_shape)

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return shape[: -len(self._image_shape)].concatenate(self._size())

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return ps.concat([shape[:-1], self._image_shape], axis=0)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return ps.concat([shape[: -len(self._image_shape)], [self._size()]], axis=0)


def _broadcast(part: tf.Tensor, batch_shape: Any, event_ndims: int) -> tf.Tensor:
    """Gives a part the batch shape of the kept part, to which a context may have added axes."""
    return tf.broadcast_to(part, ps.concat([batch_shape, ps.shape(part)[-event_ndims:]], axis=0))
