"""What recipes of residual blocks have in common."""

from typing import Any

import tensorflow_probability as tfp

from tfp_flows import _checks
from tfp_flows.bijectors import Residual
from tfp_flows.flows import _recipe
from tfp_flows.layers import LipschitzMLP

tfb = tfp.bijectors


def blocks(
    size: int,
    context_size: int,
    num_layers: int,
    network_kwargs: dict[str, Any],
    kwargs: dict[str, Any],
    seed: int | None,
    dtype: str,
) -> list[tfb.Bijector]:
    """Residual bijectors from data to base, with densities in their fast direction.

    Args:
      size: D.
      context_size: C, or 0.
      num_layers: number of blocks.
      network_kwargs: `dict` of further keywords of `LipschitzMLP`.
      kwargs: `dict` of further keywords of `Residual`.
      seed: Python `int` or `None`; the seeds of the blocks follow from it.
      dtype: float dtype.
    """
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    bijectors = []
    for layer_seed in _recipe.seeds(seed, num_layers):
        network = LipschitzMLP(
            size, context_size=context_size, seed=layer_seed, dtype=dtype, **network_kwargs
        )
        _recipe.build(network, size, context_size)
        block = Residual(network, context_size=context_size, seed=layer_seed, **kwargs)
        bijectors.append(tfb.Invert(block))
    return bijectors
