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
    """u_i = exp(s) x_i + f_i(x_<=i), f masked convolutions, in alternating order: MintNet.

    Choose it where densities of images matter most and samples may be slow: every number is
    transformed in each layer, given all before it that the kernels reach. A density costs one
    network evaluation a layer; a sample some tens of them and of root searches over small
    networks, D = H W C at the worst (see `MaskedConvolution`). Both are exact. Support: all of R^D:
    give images of whole numbers to it in `tfp_flows.distributions.Dequantized`.

    Each scale has `num_layers` masked convolutions, every second one in the reversed order, and an
    `ActNorm` before each; `Squeeze` stands between scales, and as in the paper all channels go on.

    Source: Song, Meng and Ermon (2019), MintNet, arXiv:1907.07945.

    Args:
      event_shape: `(H, W, C)`; H and W can be halved once for every scale but one.
      context_size: size of the context, or 0 for an unconditional flow.
      num_scales: how many.
      num_layers: masked convolutions in each scale.
      hidden_channels: widths of the hidden layers of each network, rounded up to a multiple, of at
        least two, of the image's channels at that scale; (32, 32) by default.
      hidden_units: another name of `hidden_channels`.
      kernel_size: width of the kernels, an odd number.
      base: any TFP distribution over vectors of H W C; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution of images, close to its base at the start, with coordinates in another order.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or sides that cannot be halved.
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
