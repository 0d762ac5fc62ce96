"""MAF: affine autoregressive layers whose densities are parallel."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _autoregressive_recipe, _recipe


def maf(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 5,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 2.0,
    solver: str = "sequential",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y_i = exp(s_i(y_<i)) x_i + t_i(y_<i), layer upon layer, in alternating order: MAF.

    Choose it to estimate densities, where its layers bend more than couplings do. The density costs
    one network evaluation a layer, samples about three, D steps one after the other; both are
    exact. Support: all of R^D.

    Source: Papamakarios, Pavlakou and Murray (2017), arXiv:1705.07057.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: autoregressive layers.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: of the networks.
      max_log_scale: bound on |s|, or `None` (see `Affine.new`).
      solver: of the slow direction, "sequential" or "jacobi" (see `Autoregressive`).
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or an unknown solver.
    """
    return _autoregressive_recipe.flow(
        event_shape,
        Affine,
        {"max_log_scale": max_log_scale},
        raw_scale=_recipe.raw_scale(hidden_units, gain=5.0),
        num_layers=num_layers,
        hidden_units=hidden_units,
        activation=activation,
        solver=solver,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="maf",
    )
