"""What recipes of autoregressive layers do the same way."""

import tensorflow_probability as tfp

from tfp_flows import _checks
from tfp_flows.bijectors import Autoregressive
from tfp_flows.flows import _recipe
from tfp_flows.layers import MADE

tfb = tfp.bijectors


def flow(
    event_shape, transformer, transformer_kwargs, *, base, dtype, name, invert=False, **options
):
    """The distribution of vectors over `autoregressive_layers`.

    Args:
      event_shape: D or `(D,)`.
      transformer: see `autoregressive_layers`.
      transformer_kwargs: likewise.
      base: a TFP distribution over vectors of D, or `None` for a standard normal.
      dtype: float32 or float64.
      name: Python `str`.
      invert: whether each layer is inverted, so that samples are its fast direction.
      **options: further keywords of `autoregressive_layers`.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    layers = autoregressive_layers(size, transformer, transformer_kwargs, dtype=dtype, **options)
    if invert:
        layers = [tfb.Invert(layer) for layer in layers]
    return _recipe.flow(layers, size, base, dtype, name)


def autoregressive_layers(
    size,
    transformer,
    transformer_kwargs,
    *,
    num_layers,
    context_size,
    seed,
    dtype,
    network=MADE,
    invert_transformer=False,
    raw_scale=1.0,
    solver="sequential",
    **network_kwargs,
):
    """A list of `Autoregressive` layers in alternating order, each with a network of its own.

    Args:
      size: D.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      num_layers: how many.
      context_size: C, or 0.
      seed: Python `int` or `None`, from which the networks' seeds follow.
      dtype: float dtype.
      network: a class of conditioners, `MADE` or one with its first two arguments.
      invert_transformer: see `Autoregressive`.
      raw_scale: likewise.
      solver: see `Autoregressive`.
      **network_kwargs: further keywords of `network`.

    Raises:
      ValueError: for a size below its minimum, or an unknown solver.
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
