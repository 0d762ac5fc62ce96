"""SOS: an autoregressive flow of polynomials whose slopes are sums of squares."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import SumOfSquares
from tfp_flows.distributions import Flow
from tfp_flows.flows import _autoregressive_recipe, _recipe

# The first steps of Adam then move polynomials at the bound about three times as far as at one
# standard deviation; by a spread of one it would be ten times.
_SPREAD = 2.0


def sos(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 3,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    num_polynomials: int = 3,
    degree: int = 4,
    bound: float = 3.0,
    solver: str = "sequential",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """u_i = m x_i + beta_i(x_<i) + integral_0^x_i sum_k p_k(v; h_i(x_<i))^2 dv, layer upon layer.

    Choose it where few parameters have to do, or where the moments of the data matter. The density
    costs one network evaluation a layer and polynomials in closed form; a sample costs about three,
    in D steps, each with a search of about 10 polynomials. Both are exact. Support: all of R^D.
    Outside of [-bound, bound] each layer has slope one.

    Source: Jaini, Selby and Yu (2019), Sum-of-squares polynomial flow, arXiv:1905.02325.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: autoregressive layers, in alternating order.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: of the networks.
      num_polynomials: the number of squares, K.
      degree: the degree of the polynomials that are squared, L.
      bound: outside of [-bound, bound] each layer has slope one in x_i, so standardise the data;
        `None` for the polynomial everywhere, which lets outliers overflow in a few layers.
      solver: of the slow direction, "sequential" or "jacobi" (see `Autoregressive`).
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float32 or float64.

    Returns:
      A distribution, close to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, or an unknown solver.
    """
    return _autoregressive_recipe.flow(
        event_shape,
        SumOfSquares,
        {
            "num_polynomials": num_polynomials,
            "degree": degree,
            "bound": bound,
            "tails": "unit",
            "spread": _SPREAD,
        },
        invert_transformer=True,
        raw_scale=_recipe.raw_scale(hidden_units, gain=0.25),
        num_layers=num_layers,
        hidden_units=hidden_units,
        activation=activation,
        solver=solver,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="sos",
    )
