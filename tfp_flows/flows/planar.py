"""Planar flows: layers that move a vector along one direction each."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Planar
from tfp_flows.distributions import Flow
from tfp_flows.flows import _vector_recipe


def planar(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 16,
    nonlinearity: str = "tanh",
    hidden_units: Sequence[int] = (64,),
    activation: str | Callable[..., tf.Tensor] = "relu",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y = x + u h(w . x + b), layer upon layer.

    Choose it as a variational posterior of few dimensions, or with a context as that of a
    variational autoencoder: samples and *their* densities are closed forms, 4 D operations a
    layer. The density of a point from elsewhere costs a root search of one number a layer. Both
    are exact. A layer bends along one direction only, so that many are needed in many dimensions;
    there `sylvester` takes fewer. Support: all of R^D.

    Source: Rezende and Mohamed (2015), arXiv:1505.05770.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: planar layers.
      nonlinearity: h, `"tanh"` or `"leaky_relu"`, with which densities are closed forms, too.
      hidden_units: widths of the network of each layer that computes its u, w and b from the
        context; not used without one.
      activation: of these networks.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the directions w and of the networks.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or another nonlinearity.
    """

    def start(i: int, size: int, rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
        # Directions w and places b differ, since layers alike would learn alike; u is zero.
        direction, place = (rng.normal(size=size) - 1.0) / np.sqrt(size), rng.normal(size=1)
        params = np.concatenate([direction, np.zeros(size), place])
        return {"event_size": size, "nonlinearity": nonlinearity}, params

    return _vector_recipe.flow(
        event_shape,
        Planar,
        start,
        num_layers=num_layers,
        context_size=context_size,
        hidden_units=hidden_units,
        activation=activation,
        base=base,
        seed=seed,
        dtype=dtype,
        name="planar",
    )
