"""NICE: additive couplings and a diagonal scaling of the base."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import MLP


def nice(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 4,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """exp(s) u, then y_B = x_B + t(y_A), layer upon layer: NICE.

    Choose it to read the history, or where volume must be kept: between the two ends of the
    flow only the diagonal s changes it. Density and samples cost one network evaluation a layer
    each; both are exact. Support: all of R^D, D of at least two.

    Source: Dinh, Krueger and Bengio (2015), arXiv:1410.8516.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: couplings; the halves take turns.
      hidden_units: widths of the hidden layers of each network.
      activation: of the networks.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for D below two, or another size below its minimum.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape, minimum=2)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    log_scale = tf.Variable(tf.zeros([size], dtype), name="log_scale")
    bijectors = []
    for i, layer_seed in enumerate(_recipe.seeds(seed, num_layers)):
        coupling = _recipe.coupling(
            (size,),
            _recipe.half(size, first=i % 2 == 0),
            Affine,
            {"log_scale": False},
            network=MLP,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            seed=layer_seed,
            dtype=dtype,
        )
        bijectors.append(coupling)
    # At the base, as in the paper: at the data it would broadcast events of the wrong size.
    bijectors.append(tfp.bijectors.Scale(log_scale=log_scale))
    return _recipe.flow(bijectors, size, base, dtype, "nice")
