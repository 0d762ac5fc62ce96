"""NAF: an autoregressive flow of deep sigmoidal transformers."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows.bijectors import DeepSigmoid, DenseDeepSigmoid
from tfp_flows.distributions import Flow
from tfp_flows.flows import _autoregressive_recipe, _recipe


def naf(
    event_shape: int | Sequence[int],
    *,
    dense: bool = False,
    num_sigmoid_layers: int | None = None,
    num_units: int | None = None,
    context_size: int = 0,
    num_layers: int = 3,
    hidden_units: Sequence[int] = (128, 128),
    activation: str | Callable[..., tf.Tensor] = "relu",
    solver: str = "sequential",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    r"""$u_i = \tau(x_i; h_i(x_{<i}))$

    NAF: autoregressive layers whose transformer $\tau$ is a small network of sigmoids.

    The equation goes from data to base. Layers take the coordinates in alternating order.

    Choose it to estimate densities with many modes in few layers. A density costs one network
    evaluation per layer. A sample costs about three, in D sequential steps, each with a search of
    about 7 evaluations of the transformer. Both are exact. Support: all of $R^D$.

    Source: Huang, Krueger, Lacoste and Courville (2018), Neural autoregressive flows,
    arXiv:1804.00779.

    Args:
      event_shape: D or `(D,)`.
      dense: whether $\tau$ is a `DenseDeepSigmoid` (DDSF in the paper) instead of a `DeepSigmoid`
        (DSF).
      num_sigmoid_layers: number of layers of $\tau$; by default 2 if dense, otherwise 1.
      num_units: number of units in each of them; by default 8 if dense, otherwise 16.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of autoregressive layers.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: activation function of the networks, a Keras name or a callable.
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
      >>> flow = tfpf.flows.naf(2, num_layers=1, hidden_units=(8,))
      >>> print(flow.log_prob(tf.zeros([5, 2])).shape)
      (5,)

    See also: `tfpf.flows.bnaf`, `tfpf.flows.umnn`, `tfpf.bijectors.Autoregressive`.
    """
    given = {"num_layers": num_sigmoid_layers, "num_units": num_units}
    return _autoregressive_recipe.flow(
        event_shape,
        DenseDeepSigmoid if dense else DeepSigmoid,
        {name: value for name, value in given.items() if value is not None},
        invert_transformer=True,
        raw_scale=_recipe.raw_scale(hidden_units, gain=5.0),
        num_layers=num_layers,
        hidden_units=hidden_units,
        activation=activation,
        solver=solver,
        context_size=context_size,
        base=base,
        seed=seed,
        dtype=dtype,
        name="naf",
    )
