"""SOS: an autoregressive flow of polynomials whose slopes are sums of squares."""

from tfp_flows import checks
from tfp_flows.bijectors import Autoregressive, SumOfSquares
from tfp_flows.flows import recipe
from tfp_flows.layers import MADE


def sos(
    event_shape,
    *,
    context_size=0,
    num_layers=3,
    hidden_units=(128, 128),
    activation="relu",
    num_polynomials=3,
    degree=4,
    bound=5.0,
    base=None,
    seed=None,
    dtype="float32",
):
    """x_i -> c_i + integral_0^x_i sum_k p_k(u; h_i(x_<i))^2 du, base from data, layer upon layer.

    Choose it where few parameters have to do, or where the moments of the data matter. The
    density costs one network evaluation a layer and polynomials in closed form; a sample costs D
    of them, and D searches of about 10 polynomials. Both are exact. Support: all of R^D.

    Source: Jaini, Selby and Yu (2019), Sum-of-squares polynomial flow, arXiv:1905.02325.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: autoregressive layers, in alternating order.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: of the networks.
      num_polynomials: the number of squares, K.
      degree: the degree of the polynomials that are squared, L.
      bound: outside of [-bound, bound] each layer is linear in x_i; `None` for the polynomial
        everywhere, which lets outliers overflow in a few layers.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float dtype.

    Returns:
      A distribution, close to its base at the start.

    Raises:
      ValueError: for a size below its minimum.
    """
    size = recipe.vector_size(event_shape)
    num_layers = checks.integer_at_least(num_layers, 1, "num_layers")
    kwargs = {
        "num_polynomials": num_polynomials,
        "degree": degree,
        "bound": bound,
        "inverse": True,
    }
    bijectors = []
    for i, layer_seed in enumerate(recipe.seeds(seed, num_layers)):
        network = MADE(
            size,
            SumOfSquares.params_size(**kwargs),
            hidden_units,
            activation,
            order="reverse" if i % 2 else None,
            context_size=context_size,
            seed=layer_seed,
            dtype=dtype,
        )
        recipe.build(network, size, context_size)
        bijectors.append(Autoregressive(network, SumOfSquares, kwargs, context_size=context_size))
    return recipe.flow(bijectors, size, base, dtype, "sos")
