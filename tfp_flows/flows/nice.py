"""NICE: additive couplings over a diagonal scaling of the base."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import MLP


def nice(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 4,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$y_A = x_A,\ y_B = x_B + t(y_A)$

    NICE: additive couplings, over one scaling of the base by $\exp(s)$.

    Choose it as the historical starting point of coupling flows, or where volume must be preserved:
    the couplings preserve it, and only the diagonal scaling changes it. A density or a sample costs
    one network evaluation per layer; both are exact. Support: all of $R^D$, D at least two.

    Source: Dinh, Krueger and Bengio (2015), arXiv:1410.8516.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of couplings; they transform the two halves in turn.
      hidden_units: widths of the hidden layers of each network.
      activation: activation function of the networks, a Keras name or a callable.
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if D is below two, or another size is below its minimum.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=2, hidden_units=(8,))
      >>> flow.log_prob([[0.0, 0.0]]).numpy()  # at the start, the density of the base
      array([-1.838], dtype=float32)

    See also: `tfpf.flows.real_nvp`, `tfpf.bijectors.Coupling`.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape, minimum=2)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    log_scale = tf.Variable(tf.zeros([size], dtype), name="log_scale")
    bijectors = []
    for i, layer_seed in enumerate(_recipe.seeds(seed, num_layers)):
        coupling = _recipe.coupling(
            (size,),
            _recipe.half(size, first=i % 2 == 0),
            Affine,
            {"log_scale": False},
            network=MLP,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            seed=layer_seed,
            dtype=dtype,
        )
        bijectors.append(coupling)
    # At the base, as in the paper: at the data's end it would broadcast events of a wrong size.
    bijectors.append(tfp.bijectors.Scale(log_scale=log_scale))
    return _recipe.flow(bijectors, size, base, dtype, "nice")
