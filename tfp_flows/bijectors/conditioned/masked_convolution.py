"""The masked convolutions of MintNet: a triangular Jacobian with a positive diagonal."""

from typing import Any

import keras
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows.bijectors._networks import check_network, dtype_of, layer_variables
from tfp_flows.bijectors._takes_context import TakesContext
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.math.solvers._masked_network import masked_network, solve_masked_network


class MaskedConvolution(TakesContext, FlowBijector):
    """x_i = exp(s) y_i + f_i(y_<=i), where f is a network of masked convolutions.

    i goes over the numbers of an image, by rows, columns and channels. f_i increases in y_i, so
    that dx/dy is triangular with a positive diagonal, whose logarithms sum up to the log-det, in
    nats: exact, by one evaluation of f.

    `inverse` (data to base, the density) is parallel: that evaluation. `forward` (sampling) sweeps
    over all numbers at once, each of which solves its own equation with the others held: mostly
    some ten to thirty evaluations of f, for Newton's steps; root searches over the few units of
    each number take over where these do not converge, and then D = H W C sweeps are enough,
    whatever the weights are. Derivatives are those of the implicit function, by as many gradients
    of f, of first order only. `tfb.Invert` swaps the two.

    Shapes: `x` is `[..., H, W, C]`; `forward_min_event_ndims=3`. Domain: all reals, onto all reals.

    Source: Song, Meng and Ermon (2019), MintNet: building invertible neural networks with masked
    convolutions, arXiv:1907.07945, whose iteration, y <- y - alpha (x(y) - x) / (dx/dy)_ii, is
    the first sweeps, with alpha = 1.

    Args:
      network: a built `tfp_flows.layers.MaskedConvNet`, which has f and s; or what has its
        `image_shape`, `context_size` and `prepared`.
      reverse: Python `bool`. With it the last number comes first: all of the above holds for
        images turned by half a turn, with channels in reverse.
      context: float `Tensor` `[..., context_size]`, bound (see `tfp_flows.condition`).
      dtype: float dtype; that of the network by default.
      validate_args: Python `bool`. With it an x without a y is an error, else y is NaN there.
      name: Python `str`.

    Raises:
      TypeError: if `network` is something else.
      ValueError: if it is not built; when called, for images of another shape.
    """

    def __init__(
        self,
        network: keras.Layer,
        reverse: bool = False,
        context: ArrayLike | None = None,
        dtype: tf.DType | str | None = None,
        validate_args: bool = False,
        name: str = "masked_convolution",
    ) -> None:
        parameters = dict(locals())
        if not hasattr(network, "prepared") or not hasattr(network, "image_shape"):
            raise TypeError(
                f"`network` must be a `tfp_flows.layers.MaskedConvNet`. Received: {network!r}"
            )
        check_network(network, "network(x) or network(x, context=c)", "network")
        self._network, self._reverse = network, bool(reverse)
        self._layer_variables = layer_variables(network)
        dtype = dtype_of(network, dtype)
        self._bind_context(context, network.context_size, dtype, name)
        super().__init__(
            event_shape=network.image_shape,
            forward_min_event_ndims=3,
            dtype=dtype,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    @property
    def network(self) -> keras.Layer:
        """What has f and s."""
        return self._network

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, network, shape = self._images(y)
        x, log_slopes = masked_network(*network, images)
        log_det = tf.reduce_sum(log_slopes, axis=[1, 2, 3])
        return self._in_order(tf.reshape(x, shape)), tf.reshape(log_det, shape[:-3])

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, network, shape = self._images(x)
        y = solve_masked_network(*network, images)
        if self.validate_args:
            y = tf.debugging.assert_all_finite(y, f"`{self.name}` found no y for some x.")
        log_det = -tf.reduce_sum(masked_network(*network, y)[1], axis=[1, 2, 3])
        return self._in_order(tf.reshape(y, shape)), tf.reshape(log_det, shape[:-3])

    def _images(self, x: tf.Tensor) -> tuple[tf.Tensor, tuple[Any, Any], Any]:
        """`x` in order as `[N, H, W, C]`, the layers and s, and the full shape of `x`."""
        x = self._broadcast_with_context(self._in_order(x), event_ndims=3)
        shape = ps.shape(x)
        layers = self._network.prepared(self._context_rows(shape[:-3], self._network))
        return tf.reshape(x, [-1, *self._network.image_shape]), layers, shape

    def _in_order(self, x: tf.Tensor) -> tf.Tensor:
        """From the order of the image to that of the network, or back."""
        return tf.reverse(x, axis=[-3, -2, -1]) if self._reverse else x
