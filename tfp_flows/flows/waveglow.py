"""WaveGlow: Glow over time, conditioned on a spectrogram."""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Affine, InvertibleConv1x1, MultiScale, Squeeze
from tfp_flows.distributions import Flow
from tfp_flows.flows import _image_recipe, _recipe, _series_recipe
from tfp_flows.layers import WaveNet

tfb = tfp.bijectors


def waveglow(
    event_shape: Sequence[int],
    *,
    context_size: int | tuple[int, ...] = 0,
    factor: int = 8,
    num_scales: int = 3,
    num_layers: int = 4,
    num_leaving: int = 2,
    hidden_channels: Sequence[int] = (32, 32, 32, 32),
    kernel_size: int = 3,
    dilations: Sequence[int] | None = None,
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 3.0,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """x = W z in blocks of time, z_A = u_A, z_B = exp(s(u_A)) u_B + t(u_A), in scales: WaveGlow.

    Blocks of `factor` steps become channels (`Squeeze`); s and t come from gated, dilated
    convolutions over time (`WaveNet`) that see as far ahead as back; after each scale but the last
    some channels leave early. Choose it for audio given a spectrogram: density and samples are both
    parallel, and cost one network evaluation a layer; both are exact. Support: all of
    R^(T x C).

    Weights do not depend on T if T / frames is the same: those of a flow of short series can be
    assigned to one of long series.

    Source: Prenger, Valle and Catanzaro (2019), arXiv:1811.00002, with eight convolutions of 512
    channels in each network; networks share one upsampling there, and have one each here.

    Args:
      event_shape: `(T, C)`; `factor` divides T.
      context_size: C of a vector, `(frames, channels)` of a spectrogram, whose frames divide
        T / factor, or 0 for an unconditional flow.
      factor: how many steps become channels, at least two.
      num_scales: how often a part of the channels leaves, plus one.
      num_layers: steps in each scale.
      num_leaving: channels that leave at the end of each scale but the last.
      hidden_channels: widths, all the same, one for each gated convolution of each network.
      kernel_size: taps of a convolution, an odd number.
      dilations: steps between the taps, one for each convolution; 1, 2, 4, ... by default.
      activation: of the sum of all gated convolutions; the paper has none.
      max_log_scale: bound on |s|, or `None` (see `Affine.new`).
      base: any TFP distribution over vectors of T C; a standard normal by default. `MultiScale`
        says which of its coordinates stands for what.
      seed: Python `int`, of the networks' weights and the rotations that W starts as.
      dtype: float32 or float64.

    Returns:
      A distribution of series, at the start its base with channels turned.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, a `factor` that does not divide T, frames that do
        not divide T / factor, or too few channels to split.
    """
    dtype = _recipe.float_dtype(dtype)
    factor = _checks.integer_at_least(factor, 2, "factor")
    num_scales = _checks.integer_at_least(num_scales, 1, "num_scales")
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    num_leaving = _checks.integer_at_least(num_leaving, 1, "num_leaving")
    steps, channels = _series_recipe.series_shape(event_shape, factor)
    steps, channels = steps // factor, channels * factor
    num_last = channels - (num_scales - 1) * num_leaving
    if num_last < 2:
        raise ValueError(
            f"`event_shape` must have enough channels to split in two: {channels} in blocks of "
            f"{factor} steps, less {num_leaving} (`num_leaving`) after each of {num_scales} scales "
            f"but the last, leave {num_last}. Received: event_shape={event_shape!r}"
        )
    seeds = iter(_recipe.seeds(seed, num_scales * num_layers))

    def step(shape: tuple[int, ...], seed: int | None) -> list[tfb.Bijector]:
        coupling = _recipe.coupling(
            shape,
            _image_recipe.channels(shape),
            Affine,
            {"max_log_scale": max_log_scale},
            context_size=context_size,
            seed=seed,
            dtype=dtype,
            network=WaveNet,
            hidden_channels=hidden_channels,
            kernel_size=kernel_size,
            dilations=dilations,
            activation=activation,
        )
        return [InvertibleConv1x1(shape[-1], seed=seed, dtype=dtype, event_ndims=2), coupling]

    scales = []
    for scale in range(num_scales):
        parts = [] if scale else [tfb.Invert(Squeeze(factor, event_ndims=2))]
        for _ in range(num_layers):
            parts += step((steps, channels - scale * num_leaving), next(seeds))
        scales.append(tfb.Chain(parts))
    bijector = MultiScale(scales, event_shape, num_leaving)
    return _recipe.flow([bijector], math.prod(event_shape), base, dtype, "waveglow")
