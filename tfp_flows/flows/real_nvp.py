"""RealNVP: affine couplings."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Affine
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import MLP


def real_nvp(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 8,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    max_log_scale: float | None = 2.0,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$y_A = x_A,\ y_B = \exp(s(y_A)) x_B + t(y_A)$

    RealNVP: affine couplings of vectors, in which every other coordinate takes its turn.

    Choose it when densities and samples must both be fast and the shape is not too intricate;
    `tfpf.flows.neural_spline` fits more shapes with as many networks. A density or a sample costs
    one network evaluation per layer; both are exact. Support: all of $R^D$, D at least two.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), arXiv:1605.08803.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of couplings.
      hidden_units: widths of the hidden layers of each network.
      activation: activation function of the networks, a Keras name or a callable.
      max_log_scale: bound on $|s|$, or `None` for no bound (see `Affine`).
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if D is below two, or another size is below its minimum.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.real_nvp(2, context_size=3, num_layers=2, hidden_units=(8,))
      >>> given = tfpf.condition(flow, tf.zeros([5, 3]))  # p(x | c) for five contexts c
      >>> print(given.sample(10, seed=1).shape)
      (10, 5, 2)

    See also: `tfpf.flows.multiscale` for images, `tfpf.flows.nice`, `tfpf.bijectors.Coupling`.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape, minimum=2)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    bijectors = []
    for i, layer_seed in enumerate(_recipe.seeds(seed, num_layers)):
        coupling = _recipe.coupling(
            (size,),
            [j % 2 == i % 2 for j in range(size)],
            Affine,
            {"max_log_scale": max_log_scale},
            raw_scale=_recipe.raw_scale(hidden_units, gain=2.5),
            network=MLP,
            hidden_units=hidden_units,
            activation=activation,
            context_size=context_size,
            seed=layer_seed,
            dtype=dtype,
        )
        bijectors.append(coupling)
    return _recipe.flow(bijectors, size, base, dtype, "real_nvp")
