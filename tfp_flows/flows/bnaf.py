"""B-NAF: each layer is one block-masked network."""

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
    r"""$u_i = \exp(s_i) x_i + f_i(x_{\le i})$

    B-NAF: each layer is one block-masked network, whose i-th output increases in the i-th input.

    The equation goes from data to base. Layers take the coordinates in alternating order.

    Choose it to estimate densities with few weights. A density costs one network evaluation per
    layer. A sample costs D root searches per layer; every layer maps onto all of $R^D$, so that a
    root exists. Both are exact. Support: all of $R^D$.

    Source: De Cao, Titov and Aziz (2019), arXiv:1904.04676.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of layers, each with one network.
      hidden_units: units per coordinate in each hidden layer of a network.
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that is close to its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.bnaf(2, num_layers=2, hidden_units=(4,))
      >>> print(flow.log_prob(tf.zeros([5, 2])).shape)
      (5,)

    See also: `tfpf.bijectors.BlockAutoregressive`, `tfpf.flows.naf`.
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
