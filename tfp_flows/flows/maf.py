"""MAF: affine autoregressive layers with parallel densities."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _autoregressive_recipe, _recipe


def maf(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 5,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 2.0,
    solver: str = "sequential",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$y_i = \exp(s_i(y_{<i})) x_i + t_i(y_{<i})$

    MAF: affine autoregressive layers with fast densities, in alternating order.

    Choose it to estimate densities: its layers are more flexible than couplings. A density costs
    one network evaluation per layer. A sample costs about three, in D sequential steps. Both are
    exact. Support: all of $R^D$.

    Source: Papamakarios, Pavlakou and Murray (2017), arXiv:1705.07057.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of autoregressive layers.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: activation function of the networks, a Keras name or a callable.
      max_log_scale: bound on $|s|$, or `None` for no bound (see `Affine`).
      solver: method for the slow direction, "sequential" or "jacobi" (see `Autoregressive`).
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or the solver is unknown.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.maf(2, num_layers=2, hidden_units=(8,))
      >>> flow.log_prob([[0.0, 0.0]]).numpy()  # at the start, the density of the base
      array([-1.838], dtype=float32)

    See also: `tfpf.flows.iaf`, `tfpf.bijectors.Autoregressive`, `tfpf.layers.MADE`.
    """
    return _autoregressive_recipe.flow(
        event_shape,
        Affine,
        {"max_log_scale": max_log_scale},
        raw_scale=_recipe.raw_scale(hidden_units, gain=5.0),
        num_layers=num_layers,
        hidden_units=hidden_units,
        activation=activation,
        solver=solver,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="maf",
    )
