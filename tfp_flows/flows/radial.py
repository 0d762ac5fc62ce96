"""Radial flows: each layer draws vectors to a point, or pushes them away from it."""

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
    r"""$y = x + \beta (x - x_0) / (\alpha + |x - x_0|)$

    Radial flow: each layer draws vectors to a point $x_0$, or pushes them away from it.

    Choose it for densities with bumps and holes in few dimensions, or with a context as the
    posterior of a variational autoencoder. Samples and the densities of any points are closed forms
    of about 4 D operations per layer, and exact. A layer changes the density around one point only.
    Support: all of $R^D$.

    Source: Rezende and Mohamed (2015), arXiv:1505.05770.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of radial layers.
      hidden_units: widths of the network of each layer that computes its parameters from the
        context; not used without one.
      activation: activation function of the networks, a Keras name or a callable.
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial points $x_0$ and weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.radial(2, num_layers=4)
      >>> flow.log_prob([[0.0, 0.0]]).numpy()  # at the start, the density of the base
      array([-1.838], dtype=float32)

    See also: `tfpf.bijectors.Radial`, `tfpf.flows.planar`.
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
