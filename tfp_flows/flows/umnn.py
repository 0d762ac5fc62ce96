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
    """u_i = beta_i(x_<i) + integral_0^x_i g(v; h_i(x_<i)) dv, base u from data, layer upon layer.

    Choose it where a smooth density matters, and affine layers are too stiff. The density costs one
    network evaluation and one quadrature of `num_nodes` a layer; a sample about three of the
    former, in D steps, each with a search of about 7 quadratures. Both are exact up to the
    resolution of the quadrature (see `MonotoneIntegral`). Support: all of R^D.

    Source: Wehenkel and Louppe (2019), Unconstrained monotonic neural networks,
    arXiv:1908.05164.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: autoregressive layers, in alternating order.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: of the networks.
      integrand_units: widths of the layers of the integrand.
      num_nodes: nodes of the quadrature; the more, the sharper the densities.
      bound: outside of [-bound, bound] each layer is linear in x_i.
      solver: of the slow direction, "sequential" or "jacobi" (see `Autoregressive`).
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or an unknown solver.
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
