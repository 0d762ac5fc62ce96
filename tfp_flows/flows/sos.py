"""SOS: an autoregressive flow of polynomials whose slopes are sums of squares."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import SumOfSquares
from tfp_flows.distributions import Flow
from tfp_flows.flows import _autoregressive_recipe, _recipe

# With this spread the first steps of Adam move polynomials at the bound about three times as far as
# at one standard deviation. With a spread of one it would be ten times.
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
    r"""$u_i = m x_i + \beta_i(x_{<i}) + \int_0^{x_i} \sum_k p_k(v; h_i(x_{<i}))^2 dv$

    SOS: autoregressive layers of polynomials whose slopes are sums of squares.

    The equation goes from data to base. Layers take the coordinates in alternating order.

    Choose it where few parameters must suffice, or where the moments of the data matter. A density
    costs one network evaluation per layer and polynomials in closed form. A sample costs about
    three, in D sequential steps, each with a search of about 10 polynomials. Both are exact.
    Support: all of $R^D$. Outside [-bound, bound] each layer has slope one in $x_i$.

    Source: Jaini, Selby and Yu (2019), Sum-of-squares polynomial flow, arXiv:1905.02325.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of autoregressive layers.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: activation function of the networks, a Keras name or a callable.
      num_polynomials: K, number of squares.
      degree: L, degree of the polynomials that are squared.
      bound: outside [-bound, bound] each layer has slope one, so standardize the data. With `None`
        the polynomial holds everywhere, and outliers overflow after a few layers.
      solver: method for the slow direction, "sequential" or "jacobi" (see `Autoregressive`).
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that is close to its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, or the solver is unknown.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.sos(2, num_layers=1, hidden_units=(8,))
      >>> print(flow.log_prob(tf.zeros([5, 2])).shape)
      (5,)

    See also: `tfpf.bijectors.SumOfSquares`, `tfpf.flows.umnn`.
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
