"""The normal distribution of a latent given by an encoder, and draws from it."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks
from tfp_flows.bijectors._networks import check_network
from tfp_flows.bijectors.transformers.affine import Affine
from tfp_flows.distributions._stateless_seed import stateless_seed
from tfp_flows.math._philox import philox_normal


class LatentPosterior:
    r"""$q(w | x) = \prod_i N(w_i; t_i, \exp(2 s_i)),\ (t, s) = \mathrm{encoder}(x),\ |s| < m$

    The posterior of the latent of a set.

    Args:
      encoder: a callable from `[N, M, D]` to `[N, L, 2]` or `[N, 2 L]`.
      latent_size: L, the size of a latent.
      max_log_scale: m, a positive number.
      noise: the layer that draws standard normal numbers when no seed is given.
      dtype: float dtype of w.

    Raises:
      TypeError: if `encoder` is not callable.
      ValueError: if it is an unbuilt layer, or `max_log_scale` is not positive.
    """

    def __init__(
        self,
        encoder: Callable[..., tf.Tensor],
        latent_size: int,
        max_log_scale: float,
        noise: keras.Layer,
        dtype: tf.DType,
    ) -> None:
        check_network(encoder, "encoder(x)", "encoder")
        self._encoder, self._size, self._noise, self._dtype = encoder, latent_size, noise, dtype
        self._max_log_scale = _checks.positive_number(max_log_scale, "max_log_scale")

    def moments(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """t and s for sets `[..., M, D]`: two tensors `[..., L]`.

        Raises:
          ValueError: if the encoder returns another number of them.
        """
        shape = ps.shape(x)
        rows = tf.reshape(x, ps.concat([[-1], shape[-2:]], axis=0))
        h = self._encoder(rows)
        found, size = tf.TensorShape(getattr(h, "shape", None)), self._size
        flat, pairs = [rows.shape[0], 2 * size], [rows.shape[0], size, 2]
        if not any(found.is_compatible_with(each) for each in (flat, pairs)):
            raise ValueError(
                f"`encoder` must return 2 numbers for each of {size} coordinates of a latent: "
                f"[N, {size}, 2] or [N, {2 * size}]. Received: shape {found}"
            )
        h = tf.reshape(tf.cast(h, self._dtype), ps.concat([shape[:-2], [size, 2]], axis=0))
        affine = Affine.new(h, max_log_scale=self._max_log_scale)
        return affine.shift, affine.log_scale

    def draw(
        self, loc: tf.Tensor, log_scale: tf.Tensor, batch_shape: tf.Tensor, seed: Any
    ) -> tf.Tensor:
        """w, `[*batch_shape, L]`, from a seed, or from the layer of noise if the seed is `None`."""
        shape = ps.concat([batch_shape, [self._size]], axis=0)
        if seed is None:
            e = self._noise(tf.zeros(shape, self._dtype))
        else:
            e = philox_normal(shape, stateless_seed(seed), self._dtype)
        return loc + tf.exp(log_scale) * e
