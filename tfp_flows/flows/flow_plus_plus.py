"""Flow++ for vectors: couplings by the CDF of a mixture of logistics."""

from tfp_flows import checks
from tfp_flows.bijectors import Coupling, LogisticMixtureCDF, LULinear
from tfp_flows.flows import recipe
from tfp_flows.layers import ResidualMLP


def flow_plus_plus(
    event_shape,
    *,
    num_components=8,
    context_size=0,
    num_layers=4,
    hidden_units=(128, 128),
    activation="relu",
    max_log_scale=3.0,
    dropout=0.0,
    base=None,
    seed=None,
    dtype="float32",
):
    """u_B = mixture_cdf(x_B; h(x_A)), then a linear layer (a permutation and LU): Flow++.

    Choose it to estimate densities with several modes without bounds on the data. The density
    is a closed form and costs one network evaluation a layer; samples cost one, too, and a root
    search. Both are exact. Support: all of R^D, D of at least two. This is the core of the
    paper for tabular data, without its dequantisation and attention.

    Source: Ho, Chen, Srinivas, Duan and Abbeel (2019), arXiv:1902.00275.

    Args:
      event_shape: D or `(D,)`.
      num_components: K, logistics in each mixture.
      context_size: C, or 0 for an unconditional flow.
      num_layers: couplings, each with a linear layer.
      hidden_units: widths, all the same, one for each residual block of each network.
      activation: of the networks.
      max_log_scale: bound on the logarithms of scales (see `LogisticMixtureCDF.new`).
      dropout: rate in each residual block, in training.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights and the permutations.
      dtype: float dtype.

    Returns:
      A distribution, near its base at the start.

    Raises:
      ValueError: for D below two, or another size below its minimum.
    """
    size = recipe.vector_size(event_shape, minimum=2)
    num_layers = checks.integer_at_least(num_layers, 1, "num_layers")
    kwargs = {"num_components": num_components, "max_log_scale": max_log_scale}
    first = [True] * (size - size // 2) + [False] * (size // 2)
    bijectors = []
    layer_seeds = recipe.seeds(seed, num_layers)
    permutations = recipe.permutations(size, layer_seeds)
    for i, layer_seed in enumerate(layer_seeds):
        mask = first if i % 2 == 0 else [not value for value in first]
        network = ResidualMLP(
            (size - sum(mask)) * LogisticMixtureCDF.params_size(**kwargs),
            hidden_units,
            activation=activation,
            context_size=context_size,
            dropout=dropout,
            seed=layer_seed,
            dtype=dtype,
        )
        recipe.build(network, sum(mask), context_size)
        layer = Coupling(
            network,
            LogisticMixtureCDF,
            kwargs,
            mask,
            invert_transformer=True,
            context_size=context_size,
        )
        bijectors += [layer, LULinear(size, permutations[i], dtype=dtype)]
    return recipe.flow(bijectors, size, base, dtype, "flow_plus_plus")
