"""Layers of recipes that have a linear layer after each."""

from collections.abc import Callable

import numpy as np
import tensorflow_probability as tfp

from tfp_flows import _checks
from tfp_flows.bijectors import LULinear
from tfp_flows.flows import _recipe

tfb = tfp.bijectors


def permutations(size: int, layer_seeds: list[int | None]) -> list[np.ndarray]:
    """Random permutations, one for each layer; the last one undoes the others.

    So a flow whose layers start as the identity starts as its base, whatever that is.
    """
    drawn, composed = [], np.arange(size)
    for seed in layer_seeds[:-1]:
        drawn.append(np.random.default_rng(seed).permutation(size))
        composed = composed[drawn[-1]]
    return [*drawn, np.argsort(composed)]


def with_linear_layers(
    size: int, num_layers: int, seed: int | None, dtype: str, layer: Callable[..., tfb.Bijector]
) -> list[tfb.Bijector]:
    """Layers, each followed by an `LULinear` with a random permutation.

    Args:
      size: D.
      num_layers: number of layers.
      seed: Python `int` or `None`.
      dtype: float dtype.
      layer: `layer(i, seed)` returns the i-th layer.

    Returns:
      A list of bijectors, from data to base.
    """
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    layer_seeds = _recipe.seeds(seed, num_layers)
    bijectors = []
    for i, permutation in enumerate(permutations(size, layer_seeds)):
        bijectors += [layer(i, layer_seeds[i]), LULinear(size, permutation, dtype=dtype)]
    return bijectors
