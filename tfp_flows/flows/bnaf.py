"""B-NAF: one block-masked network a layer."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import BlockAutoregressive
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe


def bnaf(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 3,
    hidden_units: Sequence[int] = (8, 8),
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """u_i = exp(s_i) x_i + f_i(x_<=i), layer upon layer, in alternating order: B-NAF.

    Choose it to estimate densities with few weights. The density costs one network evaluation a
    layer; samples cost D root searches a layer, and reach every target. Both are exact.
    Support: all of R^D.

    Source: De Cao, Titov and Aziz (2019), arXiv:1904.04676.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: networks.
      hidden_units: units of the hidden layers of each, for each coordinate.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution, near its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    bijectors = []
    for i, layer_seed in enumerate(_recipe.seeds(seed, num_layers)):
        layer = BlockAutoregressive(
            size,
            hidden_units,
            reverse=i % 2 == 1,
            context_size=context_size,
            seed=layer_seed,
            dtype=dtype,
        )
        bijectors.append(layer)
    return _recipe.flow(bijectors, size, base, dtype, "bnaf")
