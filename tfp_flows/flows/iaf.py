"""IAF: the inverse of the layers of MAF."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _autoregressive_recipe, _recipe


def iaf(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 5,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 5.0,
    solver: str = "sequential",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$y_i = (x_i - t_i(x_{<i})) \exp(-s_i(x_{<i}))$

    IAF: affine autoregressive layers with fast samples, in alternating order.

    Choose it as a variational posterior: samples together with their own densities, from
    `experimental_sample_and_log_prob`, cost one network evaluation per layer. The density of any
    other point costs about three, in D sequential steps. All are exact. Support: all of $R^D$.

    Source: Kingma et al. (2016), arXiv:1606.04934.

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
      >>> flow = tfpf.flows.iaf(2, num_layers=2, hidden_units=(8,))
      >>> x, log_prob = flow.experimental_sample_and_log_prob(5, seed=1)
      >>> print(x.shape, log_prob.shape)
      (5, 2) (5,)

    See also: `tfpf.flows.maf`, `tfpf.VariationalModel`, `tfpf.surrogate_posterior`.
    """
    return _autoregressive_recipe.flow(
        event_shape,
        Affine,
        {"max_log_scale": max_log_scale},
        raw_scale=_recipe.raw_scale(hidden_units, gain=5.0),
        invert=True,
        num_layers=num_layers,
        hidden_units=hidden_units,
        activation=activation,
        solver=solver,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="iaf",
    )
