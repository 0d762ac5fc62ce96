"""RealNVP: affine couplings."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import MLP


def real_nvp(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 8,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 2.0,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y_B = exp(s(y_A)) x_B + t(y_A), layer upon layer, every other coordinate in turn: RealNVP.

    Choose it when density and samples must both be fast and the shape is not too intricate;
    `neural_spline` fits more with as many networks. Density and samples cost one network
    evaluation a layer each; both are exact. Support: all of R^D, D of at least two.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), arXiv:1605.08803.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: couplings.
      hidden_units: widths of the hidden layers of each network.
      activation: of the networks.
      max_log_scale: bound on |s|, or `None` (see `Affine.new`).
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
    bijectors = []
    for i, layer_seed in enumerate(_recipe.seeds(seed, num_layers)):
        coupling = _recipe.coupling(
            (size,),
            [j % 2 == i % 2 for j in range(size)],
            Affine,
            {"max_log_scale": max_log_scale},
            raw_scale=_recipe.raw_scale(hidden_units, gain=2.5),
            network=MLP,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            seed=layer_seed,
            dtype=dtype,
        )
        bijectors.append(coupling)
    return _recipe.flow(bijectors, size, base, dtype, "real_nvp")
