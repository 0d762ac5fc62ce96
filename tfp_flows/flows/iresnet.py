"""i-ResNet: invertible residual networks, trained with a truncated log-determinant."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe, _residual_recipe


def iresnet(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 10,
    hidden_units: Sequence[int] = (128, 128),
    activation: str = "lip_swish",
    coefficient: float = 0.9,
    num_terms: int = 8,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$u = x + g(x),\ \mathrm{Lip}(g) \le k$

    i-ResNet: a stack of invertible residual networks, trained with a truncated power series.

    The equation goes from data to base. Every coordinate is transformed given all others.

    Training with n terms of the series has a bias of up to $D k^{n+1} / ((n + 1) (1 - k))$ nats per
    layer. `tfpf.flows.residual` trains without this bias at about the same cost: prefer it.

    Cost: up to D = 64 a density takes D gradients of a network per layer and is exact. For larger D
    it is a series up to a tolerance (see `Residual`). A sample takes one fixed point per layer,
    about $15 / \log(1 / k)$ network evaluations in float32. Support: all of $R^D$. From data to
    base a layer stretches by at most $1 + k$ and shrinks to no less than $1 - k$.

    Source: Behrmann et al. (2019), Invertible residual networks, arXiv:1811.00995.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of residual blocks.
      hidden_units: widths of the hidden layers of each `LipschitzMLP`.
      activation: one of the activations of `LipschitzMLP`.
      coefficient: k, the bound of the Lipschitz constant of each block, in (0, 1).
      num_terms: n, number of terms of the power series in training.
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights and the draws in training.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, the coefficient is outside (0, 1), or the
        activation is not known to be 1-Lipschitz.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.iresnet(2, num_layers=2, hidden_units=(8,))
      >>> flow.log_prob([[0.0, 0.0]]).numpy()  # at the start, the density of the base
      array([-1.838], dtype=float32)

    See also: `tfpf.bijectors.Residual`, `tfpf.layers.LipschitzMLP`.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    bijectors = _residual_recipe.blocks(
        size,
        context_size,
        num_layers,
        {"hidden_units": hidden_units, "activation": activation, "coefficient": coefficient},
        {"log_det": "power_series", "num_terms": num_terms},
        seed,
        dtype,
    )
    return _recipe.flow(bijectors, size, base, dtype, "iresnet")
