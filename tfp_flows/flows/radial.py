"""Radial flows: layers that draw a vector to a point, or push it away."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Radial
from tfp_flows.distributions import Flow
from tfp_flows.flows import _vector_recipe


def radial(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 16,
    hidden_units: Sequence[int] = (64,),
    activation: str | Callable[..., tf.Tensor] = "relu",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y = x + beta (x - x_0) / (alpha + |x - x_0|), layer upon layer.

    Choose it for densities of few dimensions with bumps and holes, or with a context as the
    posterior of a variational autoencoder. Samples and densities of any points are closed forms,
    of some 4 D operations a layer, and exact. A layer changes the density around one point only.
    Support: all of R^D.

    Source: Rezende and Mohamed (2015), arXiv:1505.05770.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: radial layers.
      hidden_units: widths of the network of each layer that computes its numbers from the
        context; not used without one.
      activation: of these networks.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the points x_0 and of the networks.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum.
    """

    def start(i: int, size: int, rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
        # alpha = exp(asinh(a)) is sqrt(D), about the distance of the base's points from x_0.
        width = np.sinh(0.5 * np.log(size))
        return {"event_size": size}, np.concatenate([rng.normal(size=size), [width, 0.0]])

    return _vector_recipe.flow(
        event_shape,
        Radial,
        start,
        num_layers=num_layers,
        context_size=context_size,
        hidden_units=hidden_units,
        activation=activation,
        base=base,
        seed=seed,
        dtype=dtype,
        name="radial",
    )
