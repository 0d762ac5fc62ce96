"""What recipes of autoregressive layers have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Autoregressive
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import MADE

tfb = tfp.bijectors


def flow(
    event_shape: int | Sequence[int],
    transformer: type[tfb.Bijector],
    transformer_kwargs: dict[str, Any],
    *,
    base: tfp.distributions.Distribution | None,
    dtype: DTypeLike | tf.DType,
    name: str,
    invert: bool = False,
    **options: Any,
) -> Flow:
    """The distribution of vectors with `autoregressive_layers`.

    Args:
      event_shape: D or `(D,)`.
      transformer: see `autoregressive_layers`.
      transformer_kwargs: see `autoregressive_layers`.
      base: a TFP distribution over vectors of size D, or `None` for a standard normal.
      dtype: float32 or float64.
      name: Python `str`.
      invert: whether to invert each layer, so that samples are fast instead of densities.
      **options: further keywords of `autoregressive_layers`.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    layers = autoregressive_layers(size, transformer, transformer_kwargs, dtype=dtype, **options)
    if invert:
        layers = [tfb.Invert(layer) for layer in layers]
    return _recipe.flow(layers, size, base, dtype, name)


def autoregressive_layers(
    size: int,
    transformer: type[tfb.Bijector],
    transformer_kwargs: dict[str, Any],
    *,
    num_layers: int,
    context_size: int,
    seed: int | None,
    dtype: str,
    network: Callable[..., keras.Layer] = MADE,
    invert_transformer: bool = False,
    raw_scale: float = 1.0,
    solver: str = "sequential",
    **network_kwargs: Any,
) -> list[tfb.Bijector]:
    """A list of `Autoregressive` layers in alternating order, each with its own network.

    Args:
      size: D.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      num_layers: number of layers.
      context_size: C, or 0.
      seed: Python `int` or `None`; the seeds of the networks follow from it.
      dtype: float dtype.
      network: a class of conditioners, `MADE` or one with the same first two arguments.
      invert_transformer: see `Autoregressive`.
      raw_scale: see `Autoregressive`.
      solver: see `Autoregressive`.
      **network_kwargs: further keywords of `network`.

    Raises:
      ValueError: if a size is below its minimum, or the solver is unknown.
    """
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    layers = []
    for i, layer_seed in enumerate(_recipe.seeds(seed, num_layers)):
        conditioner = network(
            size,
            transformer.params_size(**transformer_kwargs),
            order="reverse" if i % 2 else None,
            context_size=context_size,
            seed=layer_seed,
            dtype=_recipe.network_policy(dtype),
            **_recipe.bias_at_full_rate(network, raw_scale),
            **network_kwargs,
        )
        _recipe.build(conditioner, size, context_size)
        layers.append(
            Autoregressive(
                conditioner,
                transformer,
                transformer_kwargs,
                invert_transformer=invert_transformer,
                raw_scale=raw_scale,
                solver=solver,
                context_size=context_size,
            )
        )
    return layers
