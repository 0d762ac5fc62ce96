"""Residual flows: invertible residual networks, trained with an unbiased log-determinant."""

from tfp_flows.flows import recipe
from tfp_flows.flows.iresnet import residual_blocks


def residual(
    event_shape,
    *,
    context_size=0,
    num_layers=10,
    hidden_units=(128, 128),
    activation="lip_swish",
    coefficient=0.9,
    num_terms=2,
    survival=None,
    base=None,
    seed=None,
    dtype="float32",
):
    """u = x + g(x), Lip(g) <= k, layer upon layer, trained by Russian roulette: a residual flow.

    Choose it for smooth densities of data whose coordinates have no order, when samples may be
    slow. A training step draws the log-determinants without bias, for about `num_terms` +
    survival / (1 - survival) gradients of a network a layer, whatever D is. Densities cost D
    gradients a layer up to D = 64 and are exact; above, a series to a tolerance (see `Residual`).
    Samples cost a fixed point a layer, about 15 / log(1 / k) networks. Support: all of R^D. A layer
    stretches by 1 + k at most, and shrinks to 1 - k.

    For reverse KL, `distributions.Flow(base, tfb.Invert(flow.bijector))` samples fast instead.

    Source: Chen et al. (2019), Residual flows for invertible generative modeling, arXiv:1906.02735.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: residual blocks.
      hidden_units: widths of the hidden layers of each `LipschitzMLP`.
      activation: one that `LipschitzMLP` takes.
      coefficient: k, the bound of the Lipschitz constant of each block, in (0, 1).
      num_terms: of the series in training, that are always computed.
      survival: the chance that each further one is; the larger of k^1.5 and 0.5 by default.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights and of the draws in training.
      dtype: float dtype.

    Returns:
      A distribution, the identity of its base at the start.

    Raises:
      ValueError: for a size below its minimum, a coefficient or chance outside of (0, 1), or an
        activation that is not known to be 1-Lipschitz.
    """
    size = recipe.vector_size(event_shape)
    bijectors = residual_blocks(
        size,
        context_size,
        num_layers,
        {"hidden_units": hidden_units, "activation": activation, "coefficient": coefficient},
        {"log_det": "russian_roulette", "num_terms": num_terms, "survival": survival},
        seed,
        dtype,
    )
    return recipe.flow(bijectors, size, base, dtype, "residual")
