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
    r"""$x_i = \exp(s) \, y_i + f_i(y_{\le i})$

    A bijector of images (MintNet), where f is a network of masked convolutions.

    i runs over the numbers of an image, by rows, columns and channels. $f_i$ increases in $y_i$, so
    dx/dy is triangular with a positive diagonal. The log-det, in nats, is the sum of its
    logarithms. It is exact.

    Shapes: `x` is `[..., H, W, C]`; `forward_min_event_ndims` is 3. Domain: all reals, onto all
    reals.

    Cost: `inverse` (data to base, the density) is parallel, with one evaluation of f. `forward`
    (sampling) sweeps over all numbers at once. In each sweep every number solves its own equation
    while the others are fixed. Newton's steps mostly take ten to thirty evaluations of f. If they
    do not converge, root searches over the few units of each number take over. Then D = H W C
    sweeps always suffice. Derivatives use the implicit function theorem, with as many gradients of
    f, and are of first order only. `tfb.Invert` swaps the two directions.

    Source: Song, Meng and Ermon (2019), MintNet: building invertible neural networks with masked
    convolutions, arXiv:1907.07945. Its iteration,
    $y_i \leftarrow y_i - \alpha (x_i(y) - x_i) / (dx_i/dy_i)$, gives the first sweeps here if
    $\alpha = 1$.

    Args:
      network: a built `tfp_flows.layers.MaskedConvNet`, which holds f and s; or an object with its
        `image_shape`, `context_size` and `prepared`.
      reverse: Python `bool`. If `True`, the last number comes first: the images are rotated by half
        a turn, and their channels reversed.
      context: float `Tensor` `[..., context_size]`, bound (see `tfp_flows.condition`).
      dtype: float dtype; the default is that of the network.
      validate_args: Python `bool`. If `True`, an x without a y is an error, not NaN.
      name: Python `str`.

    Raises:
      TypeError: if `network` is something else.
      ValueError: if `network` is not built. When called: if the images have another shape.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> network = tfpf.layers.MaskedConvNet(hidden_units=(2,))
      >>> network.build([None, 4, 4, 1])
      >>> convolution = tfpf.bijectors.MaskedConvolution(network)
      >>> x, log_det = convolution.inverse_and_log_det(tf.zeros([5, 4, 4, 1]))
      >>> x.shape, log_det.shape
      (TensorShape([5, 4, 4, 1]), TensorShape([5]))

    See also: `tfpf.flows.mintnet`, `tfpf.layers.MaskedConvNet`.
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
                "`network` must be a `tfp_flows.layers.MaskedConvNet`. "
                f"Received: network={network!r}"
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
        """The network that holds f and s."""
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
        """Returns `x` in order as `[N, H, W, C]`, the layers and s, and the full shape of `x`."""
        x = self._broadcast_with_context(self._in_order(x), event_ndims=3)
        shape = ps.shape(x)
        layers = self._network.prepared(self._context_rows(shape[:-3], self._network))
        return tf.reshape(x, [-1, *self._network.image_shape]), layers, shape

    def _in_order(self, x: tf.Tensor) -> tf.Tensor:
        """Maps from the order of the image to that of the network, or back."""
        return tf.reverse(x, axis=[-3, -2, -1]) if self._reverse else x
