"""Residual flows: invertible residual networks, trained with an unbiased log-determinant."""

from collections.abc import Sequence

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
    """u = x + g(x), Lip(g) <= k, layer upon layer, trained by Russian roulette: a residual flow.

    Choose it for smooth densities of data whose coordinates have no order, when samples may be
    slow. A training step draws the log-determinants without bias, for about `num_terms` +
    survival / (1 - survival) gradients of a network a layer, whatever D is. Densities cost D
    gradients a layer up to D = 64 and are exact; above, a series to a tolerance (see `Residual`).
    Samples cost a fixed point a layer, about 15 / log(1 / k) networks. Support: all of R^D. A layer
    stretches by 1 + k at most, and shrinks to 1 - k.

    Of images `[H, W, C]` the blocks are of convolutions (`LipschitzConvNet`), `num_layers` in each
    of `num_scales` scales, each with an `ActNorm`; half of the channels leave between scales.

    For reverse KL, `distributions.Flow(base, tfb.Invert(flow.bijector))` samples fast instead.

    Source: Chen et al. (2019), Residual flows for invertible generative modeling, arXiv:1906.02735.

    Args:
      event_shape: D or `(D,)`; or `(H, W, C)`, whose sides can be halved once for every scale.
      context_size: C, or 0 for an unconditional flow.
      num_layers: residual blocks; of images, in each scale.
      num_scales: of images, for which it is 2 by default; not for vectors.
      hidden_units: widths of the hidden layers of each network; (128, 128) by default.
      hidden_channels: the same of images, for which `hidden_units` is another name; not for
        vectors.
      activation: one that `LipschitzMLP` takes.
      coefficient: k, the bound of the Lipschitz constant of each block, in (0, 1).
      num_terms: of the series in training, that are always computed.
      survival: the chance that each further one is; the larger of k^1.5 and 0.5 by default.
      base: any TFP distribution over vectors of D, for images of H W C; a standard normal by
        default.
      seed: Python `int`, of the networks' weights and of the draws in training.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, a coefficient or chance outside of (0, 1), an
        activation that is not known to be 1-Lipschitz, or an argument that only images have, given
        for vectors.
    """
    dtype = _recipe.float_dtype(dtype)
    log_det = {"log_det": "russian_roulette", "num_terms": num_terms, "survival": survival}
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
