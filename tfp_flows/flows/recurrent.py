"""An autoregressive flow whose conditioners are recurrent networks."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _autoregressive_recipe, _recipe
from tfp_flows.layers import Recurrent


def recurrent(
    event_shape: int | Sequence[int],
    *,
    transformer: type[tfp.bijectors.Bijector] = Affine,
    transformer_kwargs: dict[str, Any] | None = None,
    cell: str = "gru",
    context_size: int = 0,
    num_layers: int = 2,
    hidden_units: Sequence[int] = (64,),
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """y_i = tau(x_i; h_i), h_i of a recurrent network that has read y_<i, layer upon layer.

    Choose it for sequences, and for large D where the weights of `maf` would be too many: those
    of the cells do not grow with D, and a sample needs the last state only. The price is that the
    density is sequential as well: it and a sample both take D steps of the cell a layer. Both are
    exact. Support: that of the transformer, by default all of R^D.

    Source: Papamakarios et al. (2021), arXiv:1912.02762, sec. 3.1.2; Oliva et al. (2018),
    arXiv:1801.09819.

    Args:
      event_shape: D or `(D,)`.
      transformer: a class with `params_size` and `new`, of `tfp_flows.bijectors` or your own.
      transformer_kwargs: `dict` of its keywords; for `Affine`, `max_log_scale=5` by default.
      cell: `"gru"` or `"lstm"`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: autoregressive layers, in alternating order.
      hidden_units: sizes of the states of the cells, one upon the other.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution, as close to its base at the start as the transformer at zero is to the
      identity.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or an unknown cell.
    """
    return _autoregressive_recipe.flow(
        event_shape,
        transformer,
        _recipe.with_bounded_scale(transformer, transformer_kwargs),
        network=Recurrent,
        cell=cell,
        num_layers=num_layers,
        hidden_units=hidden_units,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="recurrent",
    )
