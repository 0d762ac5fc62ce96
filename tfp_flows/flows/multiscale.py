"""RealNVP for images: affine couplings at several scales."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import ActNorm, Affine, Squeeze
from tfp_flows.distributions import Flow
from tfp_flows.flows import _image_recipe, _recipe
from tfp_flows.layers import ConvNet

tfb = tfp.bijectors


def multiscale(
    event_shape: Sequence[int],
    *,
    context_size: int = 0,
    num_scales: int = 2,
    num_layers: int = 3,
    hidden_channels: Sequence[int] | None = None,
    hidden_units: Sequence[int] | None = None,
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 3.0,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y_B = exp(s(y_A)) x_B + t(y_A), of checkerboards, then of channels, at each scale: RealNVP.

    In each scale there are couplings over checkerboards, `Squeeze`, and couplings over channels;
    then half of the channels leave, and the last coupling conditions them on those that stay. The
    last scale has one checkerboard more, and no channels. Choose it for small images when `glow` is
    too slow. Density and samples cost one network evaluation a layer each; both are exact. Support:
    all of R^D: give images of whole numbers to it in `tfp_flows.distributions.Dequantized`.

    An `ActNorm` before each coupling takes the place of the paper's batch normalisation.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), arXiv:1605.08803.

    Args:
      event_shape: `(H, W, C)`; H and W can be halved once for every scale but one.
      context_size: C, or 0 for an unconditional flow.
      num_scales: how many.
      num_layers: couplings of each kind in a scale.
      hidden_channels: widths, all the same, one for each residual block of each network; (32, 32)
        by default.
      hidden_units: another name of `hidden_channels`.
      activation: of the networks.
      max_log_scale: bound on |s|, or `None` (see `Affine.new`).
      base: any TFP distribution over vectors of H W C; a standard normal by default. `MultiScale`
        says which of its coordinates stands for what.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution of images, at the start its base with coordinates in another order.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or sides that cannot be halved.
    """
    dtype = _recipe.float_dtype(dtype)
    hidden_channels = _image_recipe.widths(hidden_channels, hidden_units, (32, 32))
    num_scales = _checks.integer_at_least(num_scales, 1, "num_scales")
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    shape = _image_recipe.image_shape(event_shape, num_scales - 1)
    if shape[0] * shape[1] < 2 * 4 ** (num_scales - 1):
        raise ValueError(
            "`event_shape` must leave at least two pixels to the checkerboards of the last scale. "
            f"Received: event_shape={event_shape!r}, num_scales={num_scales}"
        )
    layer_seeds = iter(_recipe.seeds(seed, num_scales * (2 * num_layers + 1)))

    def layer(shape: tuple[int, ...], mask: str | list[Any]) -> list[tfb.Bijector]:
        coupling = _recipe.coupling(
            shape,
            mask,
            Affine,
            {"max_log_scale": max_log_scale},
            context_size=context_size,
            seed=next(layer_seeds),
            dtype=dtype,
            network=ConvNet,
            hidden_channels=hidden_channels,
            activation=activation,
        )
        return [ActNorm(shape[2], dtype=dtype), coupling]

    scales = []
    for scale in range(num_scales):
        is_last, parts = scale == num_scales - 1, []
        for i in range(num_layers + is_last):
            parts += layer(shape, _image_recipe.BOARDS[i % 2])
        if not is_last:
            parts.append(tfb.Invert(Squeeze()))
            shape = _image_recipe.squeezed(shape)
            for i in reversed(range(num_layers)):
                # The last one's A are the channels that stay.
                parts += layer(shape, _image_recipe.channels(shape, first=i % 2 == 0))
            shape = _image_recipe.kept(shape)
        scales.append(tfb.Chain(parts))
    return _image_recipe.flow(scales, event_shape, base, dtype, "multiscale")
