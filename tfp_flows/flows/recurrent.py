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
    r"""$y_i = \tau(x_i; h_i(y_{<i}))$

    Autoregressive layers whose parameters h come from recurrent networks, in alternating order.

    Choose it for sequences, and for large D where `tfpf.flows.maf` would have too many weights: the
    weights of the cells do not grow with D, and sampling keeps only the last state. The price is
    that a density is sequential, too: a density or a sample takes D steps of the cell per layer.
    Both are exact. Support: that of the transformer, by default all of $R^D$.

    Source: Papamakarios et al. (2021), arXiv:1912.02762, sec. 3.1.2; Oliva et al. (2018),
    arXiv:1801.09819.

    Args:
      event_shape: D or `(D,)`.
      transformer: $\tau$, a class with `params_size` and `new`, from `tfpf.bijectors` or your own.
      transformer_kwargs: `dict` of its keywords; for `Affine`, `max_log_scale=5` by default.
      cell: "gru" or "lstm".
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of autoregressive layers.
      hidden_units: state sizes of the cells, which are stacked.
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that is as close to its base at the start as the transformer with
      zeros for parameters is to the identity.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or the cell is unknown.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.recurrent(2, num_layers=1, hidden_units=(4,))
      >>> flow.log_prob([[0.0, 0.0]]).numpy()  # at the start, the density of the base
      array([-1.838], dtype=float32)

    See also: `tfpf.layers.Recurrent`, `tfpf.bijectors.Autoregressive`.
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
