"""UMNN-MAF: an autoregressive flow of integrals of positive networks."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import MonotoneIntegral
from tfp_flows.distributions import Flow
from tfp_flows.flows import _autoregressive_recipe, _recipe


def umnn(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 3,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    integrand_units: Sequence[int] = (16,),
    num_nodes: int = 32,
    bound: float = 5.0,
    solver: str = "sequential",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$u_i = \beta_i(x_{<i}) + \int_0^{x_i} g(v; h_i(x_{<i})) dv$

    UMNN-MAF: autoregressive layers of integrals of positive networks g.

    The equation goes from data to base. Layers take the coordinates in alternating order.

    Choose it where a smooth density matters and affine layers are not flexible enough. A density
    costs one network evaluation and one quadrature of `num_nodes` per layer. A sample costs about
    three network evaluations per layer, in D sequential steps, each with a search of about 7
    quadratures. Both are exact up to the error of the quadrature (see `MonotoneIntegral`). Support:
    all of $R^D$.

    Source: Wehenkel and Louppe (2019), Unconstrained monotonic neural networks, arXiv:1908.05164.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of autoregressive layers.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: activation function of the networks, a Keras name or a callable.
      integrand_units: widths of the layers of the integrand g.
      num_nodes: number of nodes of the quadrature. More nodes resolve sharper densities.
      bound: outside [-bound, bound] each layer is linear in $x_i$.
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
      >>> flow = tfpf.flows.umnn(2, num_layers=1, hidden_units=(8,))
      >>> flow.log_prob([[0.0, 0.0]]).numpy()  # at the start, the density of the base
      array([-1.838], dtype=float32)

    See also: `tfpf.flows.naf`, `tfpf.math.clenshaw_curtis`.
    """
    return _autoregressive_recipe.flow(
        event_shape,
        MonotoneIntegral,
        {"hidden_units": tuple(integrand_units), "num_nodes": num_nodes, "bound": bound},
        invert_transformer=True,
        raw_scale=_recipe.raw_scale(hidden_units),
        num_layers=num_layers,
        hidden_units=hidden_units,
        activation=activation,
        solver=solver,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="umnn",
    )
