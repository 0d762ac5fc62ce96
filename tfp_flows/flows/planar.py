"""Planar flows: each layer moves a vector along one direction."""

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
    r"""$y = x + u h(w^\top x + b)$

    Planar flow: each layer moves a vector along one direction.

    Choose it as a variational posterior in few dimensions, or with a context as that of a
    variational autoencoder. Samples and their own densities are closed forms, with 4 D operations
    per layer. The density of any other point costs one root search for a single number per layer.
    Both are exact. A layer bends along one direction only, so that many layers are needed in many
    dimensions; there `tfpf.flows.sylvester` needs fewer. Support: all of $R^D$.

    Source: Rezende and Mohamed (2015), arXiv:1505.05770.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of planar layers.
      nonlinearity: h, "tanh", or "leaky_relu", whose densities are closed forms as well.
      hidden_units: widths of the network of each layer that computes u, w and b from the context;
        not used without one.
      activation: activation function of the networks, a Keras name or a callable.
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial directions w and weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or the nonlinearity is unknown.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.planar(2, num_layers=4)
      >>> x, log_prob = flow.experimental_sample_and_log_prob(5, seed=1)
      >>> print(x.shape, log_prob.shape)
      (5, 2) (5,)

    See also: `tfpf.bijectors.Planar`, `tfpf.flows.radial`, `tfpf.VariationalModel`.
    """

    def start(i: int, size: int, rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
        # Layers start with different w and b, since equal layers would learn the same; u is zero.
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
