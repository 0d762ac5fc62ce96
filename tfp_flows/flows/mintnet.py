"""MintNet: masked convolutions, in alternating order, at several scales."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks, _widths
from tfp_flows.bijectors import ActNorm, MaskedConvolution, Squeeze
from tfp_flows.distributions import Flow
from tfp_flows.flows import _image_recipe, _recipe
from tfp_flows.layers import MaskedConvNet

tfb = tfp.bijectors


def mintnet(
    event_shape: Sequence[int],
    *,
    context_size: int = 0,
    num_scales: int = 2,
    num_layers: int = 4,
    hidden_channels: Sequence[int] | None = None,
    hidden_units: Sequence[int] | None = None,
    kernel_size: int = 3,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$u_i = \exp(s) x_i + f_i(x_{\le i})$

    MintNet: masked convolutions in alternating order, for images at several scales.

    The equation goes from data to base. Each scale has `num_layers` masked convolutions, each after
    an `ActNorm`; every second one has the reverse order. A `Squeeze` comes between scales. As in
    the paper, no channels leave.

    Choose it for images when densities matter most and samples may be slow. Every layer transforms
    every number, given all earlier numbers within reach of the kernels. A density costs one network
    evaluation per layer. A sample costs some tens of evaluations and root searches in small
    networks per layer, and D = H W C of them in the worst case (see `MaskedConvolution`). Both are
    exact. Support: all of $R^D$. For images of whole numbers wrap it in
    `tfpf.distributions.Dequantized`.

    Source: Song, Meng and Ermon (2019), MintNet, arXiv:1907.07945.

    Args:
      event_shape: `(H, W, C)`; H and W are multiples of `2 ** (num_scales - 1)`.
      context_size: C, or 0 for an unconditional flow.
      num_scales: number of scales.
      num_layers: number of masked convolutions in each scale.
      hidden_channels: widths of the hidden layers of each network; (32, 32) by default. Each is
        rounded up to a multiple, at least the double, of the number of channels at its scale.
      hidden_units: another name for `hidden_channels`.
      kernel_size: width of the kernels, an odd number.
      base: any TFP distribution over vectors of size H W C; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` over images. At the start it is close to its base with coordinates
      in another order.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or H or W does not fit `num_scales`.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.mintnet((2, 2, 1), num_scales=1, num_layers=1, hidden_channels=(2,))
      >>> print(flow.log_prob(tf.zeros([3, 2, 2, 1])).shape)
      (3,)

    See also: `tfpf.layers.MaskedConvNet`, `tfpf.flows.bnaf`.
    """
    dtype = _recipe.float_dtype(dtype)
    num_scales = _checks.integer_at_least(num_scales, 1, "num_scales")
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    widths = _image_recipe.widths(
        hidden_channels, hidden_units, (32, 32), _widths.at_least_one_layer
    )
    shape = _image_recipe.image_shape(event_shape, num_scales - 1)
    layer_seeds = iter(_recipe.seeds(seed, num_scales * num_layers))
    parts = []
    for scale in range(num_scales):
        if scale:
            parts.append(tfb.Invert(Squeeze()))
            shape = _image_recipe.squeezed(shape)
        for i in range(num_layers):
            network = MaskedConvNet(
                [max(2, -(-width // shape[2])) for width in widths],
                kernel_size,
                context_size,
                seed=next(layer_seeds),
                dtype=dtype,
            )
            _recipe.build(network, shape, context_size)
            layer = MaskedConvolution(network, reverse=i % 2 == 1)
            parts += [ActNorm(shape[2], dtype=dtype), layer]
    return _image_recipe.flow([tfb.Chain(parts)], event_shape, base, dtype, "mintnet")
