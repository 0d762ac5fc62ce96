"""What recipes for series in time have in common."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Autoregressive
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import WaveNet

tfb = tfp.bijectors


def series_shape(event_shape: Sequence[int], factor: int = 1) -> tuple[int, int]:
    """`(T, C)` of an `event_shape` whose steps can be joined in blocks of `factor`.

    Raises:
      ValueError: if it has another rank, or `factor` does not divide T.
      TypeError: if it does not hold integers.
    """
    if np.ndim(event_shape) != 1 or len(event_shape) != 2:
        raise ValueError(
            "`event_shape` must be (T, C): the recipe is for series in time. "
            f"Received: event_shape={event_shape!r}"
        )
    steps, channels = (_checks.integer_at_least(size, 1, "event_shape") for size in event_shape)
    if steps % factor:
        raise ValueError(
            f"`event_shape` must have a number of steps that is a multiple of {factor} (`factor`). "
            f"Received: event_shape={event_shape!r}"
        )
    return steps, channels


def autoregressive_flow(
    event_shape: Sequence[int],
    transformer: type[tfb.Bijector],
    transformer_kwargs: dict[str, Any],
    *,
    base: tfp.distributions.Distribution | None,
    dtype: DTypeLike | tf.DType,
    name: str,
    invert: bool = False,
    **options: Any,
) -> Flow:
    """The distribution of series with `autoregressive_layers`.

    Args:
      event_shape: `(T, C)`.
      transformer: see `autoregressive_layers`.
      transformer_kwargs: see `autoregressive_layers`.
      base: a TFP distribution over `[T, C]`, or `None` for a standard normal.
      dtype: float32 or float64.
      name: Python `str`.
      invert: whether to invert each layer, so that samples are fast instead of densities.
      **options: further keywords of `autoregressive_layers`.
    """
    dtype = _recipe.float_dtype(dtype)
    shape = series_shape(event_shape)
    layers = autoregressive_layers(shape, transformer, transformer_kwargs, dtype=dtype, **options)
    if invert:
        layers = [tfb.Invert(layer) for layer in layers]
    return _recipe.flow(layers, shape, base, dtype, name)


def autoregressive_layers(
    shape: tuple[int, ...],
    transformer: type[tfb.Bijector],
    transformer_kwargs: dict[str, Any],
    *,
    num_layers: int,
    context_size: int | tuple[int, ...],
    seed: int | None,
    dtype: str,
    **network_kwargs: Any,
) -> list[tfb.Bijector]:
    """A list of `Autoregressive` layers over time, each with its own causal `WaveNet`.

    Args:
      shape: `(T, C)`.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      num_layers: number of layers.
      context_size: C, `(frames, channels)`, or 0.
      seed: Python `int` or `None`; the seeds of the networks follow from it.
      dtype: float dtype.
      **network_kwargs: further keywords of `WaveNet`.

    Raises:
      ValueError: if a size is below its minimum.
    """
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    layers = []
    for layer_seed in _recipe.seeds(seed, num_layers):
        network = WaveNet(
            shape[1] * transformer.params_size(**transformer_kwargs),
            causal=True,
            context_size=context_size,
            seed=layer_seed,
            dtype=_recipe.network_policy(dtype),
            **network_kwargs,
        )
        _recipe.build(network, shape, context_size)
        layers.append(
            Autoregressive(
                network, transformer, transformer_kwargs, context_size=context_size, event_ndims=2
            )
        )
    return layers
