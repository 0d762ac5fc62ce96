"""Residual flows: invertible residual networks, trained with an unbiased log-determinant."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _widths
from tfp_flows.bijectors import ActNorm, Residual
from tfp_flows.distributions import Flow
from tfp_flows.flows import _image_recipe, _recipe, _residual_recipe
from tfp_flows.layers import LipschitzConvNet

tfb = tfp.bijectors


def residual(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 10,
    num_scales: int | None = None,
    hidden_units: Sequence[int] | None = None,
    hidden_channels: Sequence[int] | None = None,
    activation: str = "lip_swish",
    coefficient: float = 0.9,
    num_terms: int = 2,
    survival: float | None = None,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$u = x + g(x),\ \mathrm{Lip}(g) \le k$

    Residual flow: a stack of invertible residual networks, trained by Russian roulette.

    The equation goes from data to base. Every coordinate is transformed given all others.

    Choose it for smooth densities of data whose coordinates have no order, when samples may be
    slow. A training step estimates the log-determinants without bias. It takes about `num_terms` +
    survival / (1 - survival) gradients of a network per layer, whatever D is.

    Cost: up to D = 64 a density takes D gradients per layer and is exact. For larger D it is a
    series up to a tolerance (see `Residual`). A sample takes one fixed point per layer, about
    $15 / \log(1 / k)$ network evaluations in float32. Support: all of $R^D$. From data to base a
    layer stretches by at most $1 + k$ and shrinks to no less than $1 - k$.

    For images `[H, W, C]` the blocks are convolutions (`LipschitzConvNet`): `num_layers` in each of
    `num_scales` scales, each after an `ActNorm`. Half of the channels leave between scales.

    For a reverse KL divergence use `tfpf.distributions.Flow(base, tfb.Invert(flow.bijector))`,
    whose samples are fast.

    Source: Chen et al. (2019), Residual flows for invertible generative modeling, arXiv:1906.02735.

    Args:
      event_shape: D or `(D,)`; or `(H, W, C)`, where H and W are multiples of `2 ** num_scales`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of residual blocks; for images, in each scale.
      num_scales: number of scales, only for images; 2 by default.
      hidden_units: widths of the hidden layers of each network; (128, 128) by default.
      hidden_channels: another name for `hidden_units`, only for images.
      activation: one of the activations of `LipschitzMLP`.
      coefficient: k, the bound of the Lipschitz constant of each block, in (0, 1).
      num_terms: number of terms of the series that training always computes.
      survival: probability of each further term; by default the larger of $k^{1.5}$ and 0.5.
      base: any TFP distribution over vectors of size D, or H W C for images; a standard normal by
        default.
      seed: Python `int` that fixes the initial weights and the draws in training.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow`. At the start it equals its base; for images the coordinates are
      in another order.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, a coefficient or probability is outside (0, 1),
        the activation is not known to be 1-Lipschitz, or an argument that is only for images is
        given for vectors.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.residual(2, num_layers=2, hidden_units=(8,))
      >>> flow.log_prob([[0.0, 0.0]]).numpy()  # at the start, the density of the base
      array([-1.838], dtype=float32)

    See also: `tfpf.flows.iresnet`, `tfpf.layers.LipschitzMLP`.
    """
    dtype = _recipe.float_dtype(dtype)
    log_det: dict[str, Any] = {
        "log_det": "russian_roulette",
        "num_terms": num_terms,
        "survival": survival,
    }
    if _image_recipe.is_image(event_shape):
        widths = _image_recipe.widths(hidden_channels, hidden_units, (128, 128), _widths.widths)

        def step(shape: tuple[int, ...], seed: int | None) -> list[tfb.Bijector]:
            network = LipschitzConvNet(
                widths,
                (3, *[1] * (len(widths) - 1), 3) if widths else (3,),
                activation,
                coefficient,
                context_size=context_size,
                seed=seed,
                dtype=dtype,
            )
            _recipe.build(network, shape, context_size)
            block = Residual(
                network, event_ndims=3, context_size=context_size, seed=seed, **log_det
            )
            return [ActNorm(shape[2], dtype=dtype), tfb.Invert(block)]

        num_scales = 2 if num_scales is None else num_scales
        scales = _image_recipe.scales_of_steps(event_shape, num_scales, num_layers, step, seed)
        return _image_recipe.flow(scales, event_shape, base, dtype, "residual")
    size = _recipe.vector_size(event_shape)
    _image_recipe.refuse_for_vectors(hidden_channels=hidden_channels, num_scales=num_scales)
    hidden_units = (128, 128) if hidden_units is None else hidden_units
    bijectors = _residual_recipe.blocks(
        size,
        context_size,
        num_layers,
        {"hidden_units": hidden_units, "activation": activation, "coefficient": coefficient},
        log_det,
        seed,
        dtype,
    )
    return _recipe.flow(bijectors, size, base, dtype, "residual")
