"""MAF and IAF: affine autoregressive flows, one the inverse of the other."""

from tfp_flows import checks
from tfp_flows.bijectors import Affine, Autoregressive
from tfp_flows.flows import recipe
from tfp_flows.layers import MADE


def maf(
    event_shape,
    *,
    context_size=0,
    num_layers=5,
    hidden_units=(128, 128),
    activation="relu",
    max_log_scale=5.0,
    base=None,
    seed=None,
    dtype="float32",
):
    """y_i = exp(s_i(y_<i)) x_i + t_i(y_<i), layer upon layer, in alternating order: MAF.

    Choose it to estimate densities when samples are few or may be slow. The density costs one
    network evaluation a layer, samples cost D; both are exact. Support: all of R^D.

    Source: Papamakarios, Pavlakou and Murray (2017), arXiv:1705.07057.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: autoregressive layers.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: of the networks.
      max_log_scale: bound on |s|, or `None` (see `Affine.new`).
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float dtype.

    Returns:
      A distribution, the identity of its base at the start.

    Raises:
      ValueError: for a size below its minimum.
    """
    size = recipe.vector_size(event_shape)
    bijectors = affine_autoregressive_layers(
        size, context_size, num_layers, hidden_units, activation, max_log_scale, seed, dtype
    )
    return recipe.flow(bijectors, size, base, dtype, "maf")


def affine_autoregressive_layers(
    size, context_size, num_layers, hidden_units, activation, max_log_scale, seed, dtype
):
    """The layers that MAF uses as they are and IAF inverted."""
    num_layers = checks.integer_at_least(num_layers, 1, "num_layers")
    kwargs = {"max_log_scale": max_log_scale}
    layers = []
    for i, layer_seed in enumerate(recipe.seeds(seed, num_layers)):
        network = MADE(
            size,
            Affine.params_size(**kwargs),
            hidden_units,
            activation,
            order="reverse" if i % 2 else None,
            context_size=context_size,
            seed=layer_seed,
            dtype=dtype,
        )
        recipe.build(network, size, context_size)
        layers.append(Autoregressive(network, Affine, kwargs, context_size=context_size))
    return layers
