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
    r"""$x = \mathrm{ActNorm}(W z),\ z_A = u_A,\ z_B = \exp(s(u_A)) u_B + t(u_A)$

    Glow: affine couplings of channels and 1x1 convolutions, for images at several scales.

    The equation is one step, and W acts on the channels of each pixel. A scale is a `Squeeze` and
    `num_layers` steps. After each scale but the last, half of the channels leave, conditioned on
    those that stay.

    Choose it for images. `tfpf.flows.neural_spline` is the same with splines, and fits more shapes.
    A density or a sample costs one network evaluation per step; both are exact. Support: all of
    $R^D$. For images of whole numbers wrap it in `tfpf.distributions.Dequantized`.

    Source: Kingma and Dhariwal (2018), arXiv:1807.03039.

    Args:
      event_shape: `(H, W, C)`; H and W are multiples of `2 ** num_scales`.
      context_size: C, or 0 for an unconditional flow.
      num_scales: number of scales, L in the paper.
      num_layers: number of steps in each scale, K in the paper.
      hidden_channels: equal widths, one for each residual block of each network; (32, 32) by
        default.
      hidden_units: another name for `hidden_channels`.
      activation: activation function of the networks, a Keras name or a callable.
      max_log_scale: bound on $|s|$, or `None` for no bound (see `Affine`).
      base: any TFP distribution over vectors of size H W C; a standard normal by default.
        `MultiScale` describes the order of its coordinates.
      seed: Python `int` that fixes the initial weights of the networks and the rotations with which
        W starts.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` over images. At the start it is its base with rotated channels.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or H or W does not fit `num_scales`.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.glow((4, 4, 1), num_scales=1, num_layers=1, hidden_channels=(4,))
      >>> print(flow.sample(3, seed=1).shape)
      (3, 4, 4, 1)

    See also: `tfpf.flows.multiscale`, `tfpf.bijectors.InvertibleConv1x1`, `tfpf.bijectors.ActNorm`.
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
