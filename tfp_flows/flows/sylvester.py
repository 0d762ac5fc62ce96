"""Sylvester flows: each layer moves a vector along several directions at once."""

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
    r"""$y = x + Q R \tanh(T Q^\top x + b)$

    Sylvester flow: each layer moves a vector along M directions at once.

    Choose it for the tasks of `tfpf.flows.planar` in more dimensions. Samples and their own
    densities are closed forms, O(D M) per layer. The density of any other point costs M root
    searches per layer. Both are exact. With a context, the network of each layer computes D M + M
    (M + 2) numbers, or M (M + 2) for "triangular". Support: all of $R^D$.

    Source: van den Berg et al. (2018), arXiv:1803.05649.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of Sylvester layers.
      num_units: M, at most D; by default the smaller of D and 16.
      form: form of Q: "orthogonal", "householder" or "triangular". Layers of the last take the
        coordinates in alternating order.
      num_reflections: number of reflections of "householder"; M by default.
      hidden_units: widths of the network of each layer that computes its parameters from the
        context; not used without one.
      activation: activation function of the networks, a Keras name or a callable.
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial Q and b and the weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum or above its maximum, or the form is unknown.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.sylvester(4, num_layers=2, num_units=2)
      >>> x, log_prob = flow.experimental_sample_and_log_prob(5, seed=1)
      >>> print(x.shape, log_prob.shape)
      (5, 4) (5,)

    See also: `tfpf.bijectors.Sylvester`, `tfpf.VariationalModel`.
    """

    def start(i: int, size: int, rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
        reverse = form == "triangular" and i % 2
        kwargs: dict[str, Any] = {
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
