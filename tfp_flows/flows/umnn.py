"""UMNN-MAF: an autoregressive flow of integrals of positive networks."""

from tfp_flows import checks
from tfp_flows.bijectors import Autoregressive, MonotoneIntegral
from tfp_flows.flows import recipe
from tfp_flows.layers import MADE


def umnn(
    event_shape,
    *,
    context_size=0,
    num_layers=3,
    hidden_units=(128, 128),
    activation="relu",
    integrand_units=(16,),
    num_nodes=32,
    bound=5.0,
    base=None,
    seed=None,
    dtype="float32",
):
    """x_i = beta_i(x_<i) + integral_0^x_i g(t; h_i(x_<i)) dt, base from data, layer upon layer.

    Choose it where a smooth density matters, and affine layers are too stiff. The density costs
    one network evaluation and one quadrature of `num_nodes` a layer; a sample D of the former,
    and D searches of about 7 quadratures. Both are exact up to the resolution of the quadrature
    (see `MonotoneIntegral`). Support: all of R^D.

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
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights.
      dtype: float dtype.

    Returns:
      A distribution, the identity of its base at the start.

    Raises:
      ValueError: for a size below its minimum.
    """
    size = recipe.vector_size(event_shape)
    num_layers = checks.integer_at_least(num_layers, 1, "num_layers")
    kwargs = {
        "hidden_units": tuple(integrand_units),
        "num_nodes": num_nodes,
        "bound": bound,
        "inverse": True,
    }
    bijectors = []
    for i, layer_seed in enumerate(recipe.seeds(seed, num_layers)):
        network = MADE(
            size,
            MonotoneIntegral.params_size(**kwargs),
            hidden_units,
            activation,
            order="reverse" if i % 2 else None,
            context_size=context_size,
            seed=layer_seed,
            dtype=dtype,
        )
        recipe.build(network, size, context_size)
        bijectors.append(
            Autoregressive(network, MonotoneIntegral, kwargs, context_size=context_size)
        )
    return recipe.flow(bijectors, size, base, dtype, "umnn")
