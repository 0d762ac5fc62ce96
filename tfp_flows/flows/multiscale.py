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
    r"""$y_A = x_A,\ y_B = \exp(s(y_A)) x_B + t(y_A)$

    RealNVP for images: affine couplings over checkerboards and channels at several scales.

    From data to base, a scale has couplings over checkerboards, a `Squeeze`, and couplings over
    channels. Then half of the channels leave; the last coupling conditions them on those that stay.
    The last scale has one more coupling over checkerboards, and none over channels. An `ActNorm`
    before each coupling replaces the batch normalization of the paper.

    Choose it for small images when `tfpf.flows.glow` is too slow. A density or a sample costs one
    network evaluation per layer; both are exact. Support: all of $R^D$. For images of whole numbers
    wrap it in `tfpf.distributions.Dequantized`.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), arXiv:1605.08803.

    Args:
      event_shape: `(H, W, C)`; H and W are multiples of `2 ** (num_scales - 1)`.
      context_size: C, or 0 for an unconditional flow.
      num_scales: number of scales.
      num_layers: number of couplings of each kind in a scale.
      hidden_channels: equal widths, one for each residual block of each network; (32, 32) by
        default.
      hidden_units: another name for `hidden_channels`.
      activation: activation function of the networks, a Keras name or a callable.
      max_log_scale: bound on $|s|$, or `None` for no bound (see `Affine`).
      base: any TFP distribution over vectors of size H W C; a standard normal by default.
        `MultiScale` describes the order of its coordinates.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` over images. At the start it is its base with coordinates in
      another order.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or H or W does not fit `num_scales`.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.multiscale((4, 4, 1), num_scales=1, num_layers=1, hidden_channels=(4,))
      >>> print(flow.sample(3, seed=1).shape)
      (3, 4, 4, 1)

    See also: `tfpf.bijectors.MultiScale`, `tfpf.bijectors.Squeeze`, `tfpf.flows.real_nvp`.
    """
    dtype = _recipe.float_dtype(dtype)
    hidden_channels = _image_recipe.widths(hidden_channels, hidden_units, (32, 32))
    num_scales = _checks.integer_at_least(num_scales, 1, "num_scales")
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    shape = _image_recipe.image_shape(event_shape, num_scales - 1)
    if shape[0] * shape[1] < 2 * 4 ** (num_scales - 1):
        raise ValueError(
            "`event_shape` must leave at least two pixels for the checkerboards of the last scale. "
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
                # Part A of the last coupling is the channels that stay.
                parts += layer(shape, _image_recipe.channels(shape, first=i % 2 == 0))
            shape = _image_recipe.kept(shape)
        scales.append(tfb.Chain(parts))
    return _image_recipe.flow(scales, event_shape, base, dtype, "multiscale")
