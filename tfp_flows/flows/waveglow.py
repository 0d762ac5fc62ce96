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
    r"""$x = W z,\ z_A = u_A,\ z_B = \exp(s(u_A)) u_B + t(u_A)$

    WaveGlow: affine couplings and mixed channels in blocks of time, for series at several scales.

    `Squeeze` turns blocks of `factor` steps into channels, and W mixes the channels of a block. s
    and t come from gated, dilated convolutions over time (`WaveNet`), which see as far ahead as
    back. After each scale but the last, `num_leaving` channels leave.

    Choose it for audio given a spectrogram. Densities and samples are both parallel, cost one
    network evaluation per layer, and are exact. Support: all of $R^{T C}$.

    The shapes of the weights depend only on T / frames, not on T. So the weights of a flow of short
    series can be assigned to one of long series.

    Source: Prenger, Valle and Catanzaro (2019), arXiv:1811.00002. Their networks have eight
    convolutions of 512 channels, and share one upsampling of the spectrogram; here each network has
    its own.

    Args:
      event_shape: `(T, C)`; `factor` divides T.
      context_size: size of a context vector; `(frames, channels)` of a spectrogram, where frames
        divides T / factor; or 0 for an unconditional flow.
      factor: number of steps that become channels, at least two.
      num_scales: number of scales; channels leave after each but the last.
      num_layers: number of steps in each scale.
      num_leaving: number of channels that leave after each scale but the last.
      hidden_channels: equal widths, one for each gated convolution of each network.
      kernel_size: number of taps of a convolution, odd.
      dilations: steps between the taps, one for each convolution; 1, 2, 4, ... by default.
      activation: activation function after the sum of all gated convolutions; the paper has none.
      max_log_scale: bound on $|s|$, or `None` for no bound (see `Affine`).
      base: any TFP distribution over vectors of size T C; a standard normal by default.
        `MultiScale` describes the order of its coordinates.
      seed: Python `int` that fixes the initial weights of the networks and the rotations with which
        W starts.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` over series. At the start it is its base with rotated channels.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, `factor` does not divide T, frames does not divide
        T / factor, or there are too few channels to split.

    Example:
      >>> import tfp_flows as tfpf
      >>> small = {"factor": 4, "num_scales": 1, "num_layers": 1, "hidden_channels": (4,)}
      >>> flow = tfpf.flows.waveglow((16, 1), **small)
      >>> print(flow.sample(3, seed=1).shape)
      (3, 16, 1)

    See also: `tfpf.flows.glow`, `tfpf.flows.wavenet`, `tfpf.layers.WaveNet`.
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
            f"`event_shape` must leave at least two channels for the last scale: of {channels} "
            f"channels in blocks of {factor} steps (`factor`), {num_leaving} (`num_leaving`) leave "
            f"after each of {num_scales} scales (`num_scales`) but the last, and {num_last} stay. "
            f"Received: event_shape={event_shape!r}"
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
