"""Glow: invertible 1x1 convolutions between couplings of channels."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _image_recipe, _recipe


def glow(
    event_shape: Sequence[int],
    *,
    context_size: int = 0,
    num_scales: int = 2,
    num_layers: int = 4,
    hidden_channels: Sequence[int] | None = None,
    hidden_units: Sequence[int] | None = None,
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 3.0,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """x = ActNorm(W z) in each pixel, z_A = u_A, z_B = exp(s(u_A)) u_B + t(u_A), in scales: Glow.

    Each scale is `Squeeze` and some such steps; then half of the channels leave, conditioned on
    those that stay. Choose it for images; `neural_spline` is the same with splines, and fits more.
    Density and samples cost one network evaluation a step each; both are exact. Support: all of
    R^D: give images of whole numbers to it in `tfp_flows.distributions.Dequantized`.

    Source: Kingma and Dhariwal (2018), arXiv:1807.03039.

    Args:
      event_shape: `(H, W, C)`; H and W can be halved once for every scale.
      context_size: C, or 0 for an unconditional flow.
      num_scales: L of the paper.
      num_layers: steps in each scale, K of the paper.
      hidden_channels: widths, all the same, one for each residual block of each network; (32, 32)
        by default.
      hidden_units: another name of `hidden_channels`.
      activation: of the networks.
      max_log_scale: bound on |s|, or `None` (see `Affine.new`).
      base: any TFP distribution over vectors of H W C; a standard normal by default. `MultiScale`
        says which of its coordinates stands for what.
      seed: Python `int`, of the networks' weights and the rotations that W starts as.
      dtype: float32 or float64.

    Returns:
      A distribution of images, at the start its base with channels turned.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or sides that cannot be halved.
    """
    dtype = _recipe.float_dtype(dtype)
    scales = _image_recipe.glow_scales(
        event_shape,
        num_scales,
        num_layers,
        transformer=Affine,
        transformer_kwargs={"max_log_scale": max_log_scale},
        context_size=context_size,
        hidden_channels=_image_recipe.widths(hidden_channels, hidden_units, (32, 32)),
        activation=activation,
        seed=seed,
        dtype=dtype,
    )
    return _image_recipe.flow(scales, event_shape, base, dtype, "glow")
