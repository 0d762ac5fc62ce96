"""Sylvester flows: layers that move a vector along several directions at once."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Sylvester
from tfp_flows.distributions import Flow
from tfp_flows.flows import _vector_recipe


def sylvester(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 4,
    num_units: int | None = None,
    form: str = "orthogonal",
    num_reflections: int | None = None,
    hidden_units: Sequence[int] = (64,),
    activation: str | Callable[..., tf.Tensor] = "relu",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y = x + Q R tanh(T Q^T x + b), layer upon layer.

    Choose it where `planar` would be chosen, in more dimensions: a layer bends along M directions
    at once. Samples and *their* densities are closed forms, O(D M) a layer; with a context, the
    network of each layer gives D M + M (M + 2) numbers (without the D M for "triangular"). The
    density of a point from elsewhere costs M root searches a layer. Both are exact.
    Support: all of R^D.

    Source: van den Berg et al. (2018), arXiv:1803.05649.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: Sylvester layers.
      num_units: M, at most D; the smaller of D and 16 when it is `None`.
      form: of Q: `"orthogonal"`, `"householder"`, or `"triangular"`, where layers take the
        coordinates in turn as they are and reversed.
      num_reflections: of the form `"householder"`; M when it is `None`.
      hidden_units: widths of the network of each layer that computes its numbers from the
        context; not used without one.
      activation: of these networks.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the Qs, the bs and the networks.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum or above its maximum, or another form.
    """

    def start(i: int, size: int, rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
        reverse = form == "triangular" and i % 2
        kwargs = {
            "event_size": size,
            "num_units": num_units,
            "form": form,
            "num_reflections": num_reflections,
            "permutation": tuple(range(size))[::-1] if reverse else None,
        }
        # T starts as the identity, R as zero.
        num_raw = Sylvester.params_size(**kwargs)
        width = min(size, 16) if num_units is None else num_units
        core = width * (width + 2)
        frame, places = rng.normal(size=num_raw - core), rng.normal(size=width)
        return kwargs, np.concatenate([frame, np.zeros(core - width), places])

    return _vector_recipe.flow(
        event_shape,
        Sylvester,
        start,
        num_layers=num_layers,
        context_size=context_size,
        hidden_units=hidden_units,
        activation=activation,
        base=base,
        seed=seed,
        dtype=dtype,
        name="sylvester",
    )
