"""The points of a set, independent given a latent: checks, densities and draws."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows.conditioning import condition, context_size

tfd = tfp.distributions


class LatentPoints:
    r"""$\log p(x | w) = \sum_m \log p(x_m | w)$

    The distribution of sets x `[..., M, D]` given latents w `[..., L]`.

    Args:
      points: $p(x_m | w)$, a TFP distribution over vectors of size D with an unbound context of
        size L.
      latent_size: L, the size of a latent.
      dtype: float dtype of w.

    Raises:
      TypeError: if `points` is not a TFP distribution.
      ValueError: if it is not over vectors, takes another context, has a batch shape or has another
        dtype.
    """

    def __init__(self, points: tfd.Distribution, latent_size: int, dtype: tf.DType) -> None:
        self.size, self._latent_size = vector_size(points, "points"), latent_size
        if context_size(points) != latent_size:
            raise ValueError(
                f"`points` must take a context of size {latent_size}, the size of vectors of "
                f"`prior`. Received: points with context_size={context_size(points)}"
            )
        if points.batch_shape.rank != 0:
            raise ValueError(
                "`points` must have no batch shape, and no bound context. "
                f"Received: points.batch_shape={points.batch_shape}"
            )
        if dtype != points.dtype:
            raise ValueError(
                f"`points` must have the dtype {dtype.name} of `prior`. "
                f"Received: points.dtype={points.dtype.name}"
            )
        self._points = points

    def given(self, w: tf.Tensor) -> tfd.Distribution:
        """The distribution of one point, $p(x_m | w)$, for latents `[..., L]`."""
        return condition(self._points, w)

    def log_prob(self, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        r"""$\log p(x | w)$ for sets `[..., M, D]` and latents `[..., L]` that broadcast."""
        shape = ps.concat([ps.shape(w)[:-1], ps.shape(x)[-2:-1]], axis=0)
        w = tf.broadcast_to(w[..., tf.newaxis, :], ps.concat([shape, [self._latent_size]], axis=0))
        x = tf.broadcast_to(x, ps.concat([shape, [self.size]], axis=0))
        # As rows, each with the latent of its set: `Standardize`, for example, adapts to rows.
        points = self.given(tf.reshape(w, [-1, self._latent_size]))
        log_p = points.log_prob(tf.reshape(x, [-1, self.size]))
        return tf.reduce_sum(tf.reshape(log_p, shape), axis=-1)

    def draw(self, w: tf.Tensor, num_points: int | tf.Tensor, seed: Any) -> tf.Tensor:
        """Points `[..., num_points, D]` given latents `[..., L]`."""
        shape = ps.concat([ps.shape(w)[:-1], [num_points, self._latent_size]], axis=0)
        w = tf.broadcast_to(w[..., tf.newaxis, :], shape)
        return self.given(w).sample(seed=seed)

    def checked_sets(self, x: Any, num_points: int | None, dtype: tf.DType) -> tf.Tensor:
        """`x` as a tensor `[..., M, D]`, or an error; any M fits if `num_points` is `None`."""
        expected = f"[..., {num_points or 'M'}, {self.size}]"
        if isinstance(x, tf.RaggedTensor):
            raise ValueError(
                f"`x` must be sets {expected} of equal size; only separate batches may differ. "
                f"Received: a ragged tensor of shape {x.shape}"
            )
        if tf.is_tensor(x) and x.dtype != dtype or not tf.is_tensor(x) and not _is_array(x):
            raise ValueError(
                f"`x` must be sets {expected} of dtype {dtype.name}. "
                f"Received: {getattr(x, 'dtype', type(x).__name__)!r}"
            )
        x = tf.convert_to_tensor(x, dtype=dtype, name="x")
        shape = tf.TensorShape([num_points, self.size])
        is_known = x.shape.rank is not None
        if is_known and (
            x.shape.rank < 2 or not shape.is_compatible_with(x.shape[-2:]) or x.shape[-2] == 0
        ):
            raise ValueError(
                f"`x` must have shape {expected}, with at least one point. "
                f"Received: x.shape={tuple(x.shape)}"
            )
        return x


def vector_size(distribution: tfd.Distribution, name: str) -> int:
    """The size of the vectors of a distribution.

    Raises:
      TypeError: if it is not a TFP distribution.
      ValueError: if it is not over vectors of a known size.
    """
    if not isinstance(distribution, tfd.Distribution):
        raise TypeError(f"`{name}` must be a TFP distribution. Received: {name}={distribution!r}")
    shape = distribution.event_shape
    if shape.rank != 1 or shape[0] is None:
        raise ValueError(
            f"`{name}` must be a distribution over vectors. Received: {name}.event_shape={shape}"
        )
    return shape[0]


def _is_array(x: Any) -> bool:
    """Whether numpy converts it to an array of numbers, which lists of unequal lengths are not."""
    try:
        return np.asarray(x).dtype.kind in "fiu"
    except ValueError:
        return False
