"""What recipes of layers that move whole vectors have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Amortized
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import MLP


def flow(
    event_shape: int | Sequence[int],
    transformer: type[tfp.bijectors.Bijector],
    start: Callable[..., tuple[dict[str, Any], np.ndarray]],
    *,
    num_layers: int,
    base: tfp.distributions.Distribution | None,
    seed: int | None,
    dtype: DTypeLike | tf.DType,
    name: str,
    **options: Any,
) -> Flow:
    """The distribution of vectors with layers f(x; h), where h is a variable or follows a context.

    Args:
      event_shape: D or `(D,)`.
      transformer: a class such as `Planar`, with `params_size` and `new`.
      start: `start(i, size, rng)` returns the keywords of the transformer of the i-th layer, a
        `dict`, and its initial h, an array `[P]`.
      num_layers: number of layers.
      base: a TFP distribution over vectors of size D, or `None` for a standard normal.
      seed: Python `int` or `None`; the seeds of the layers follow from it.
      dtype: float32 or float64.
      name: Python `str`.
      **options: further keywords of `vector_layer`.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    bijectors = []
    for i, layer_seed in enumerate(_recipe.seeds(seed, num_layers)):
        transformer_kwargs, params = start(i, size, np.random.default_rng(layer_seed))
        bijectors.append(
            vector_layer(
                transformer, transformer_kwargs, params, seed=layer_seed, dtype=dtype, **options
            )
        )
    return _recipe.flow(bijectors, size, base, dtype, name)


def vector_layer(
    transformer: type[tfp.bijectors.Bijector],
    transformer_kwargs: dict[str, Any],
    start: np.ndarray,
    *,
    context_size: int,
    hidden_units: Sequence[int],
    activation: str | Callable[..., tf.Tensor],
    seed: int | None,
    dtype: str,
) -> tfp.bijectors.Bijector:
    """A bijector of whole vectors: f(x; h) with a variable h, or f(x; h + g(c)) with a context c.

    Args:
      transformer: a class such as `Planar`, with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      start: array `[P]`, the initial h.
      context_size: C, or 0.
      hidden_units: widths of the network g, an `MLP` that starts with zeros.
      activation: activation function of the network.
      seed: Python `int` or `None`, for the network.
      dtype: float dtype.

    Raises:
      ValueError: if a size is below its minimum, or a graph is being traced.
    """
    _recipe.check_eager()
    size = transformer.params_size(**transformer_kwargs)
    # Created even without a context, so that wrong widths are always refused.
    policy = _recipe.network_policy(dtype)
    network = MLP(size, hidden_units, activation, seed=seed, dtype=policy)
    params = tf.Variable(start, dtype=dtype, name="params")
    if _checks.flat_context_size(context_size) == 0:
        return transformer.new(params, **transformer_kwargs)
    _recipe.build(network, context_size, 0)
    return Amortized(network, transformer, transformer_kwargs, params, context_size=context_size)
