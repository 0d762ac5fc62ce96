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
    """u_i = tau(x_i; h_i(x_<i)), tau a network of sigmoids, base from data, layer upon layer: NAF.

    Choose it to estimate densities of many modes with few layers. The density costs one network
    evaluation a layer; a sample about three, in D steps, each with a search of about 7 evaluations
    of the transformer. Both are exact. Support: all of R^D.

    Source: Huang, Krueger, Lacoste and Courville (2018), Neural autoregressive flows,
    arXiv:1804.00779.

    Args:
      event_shape: D or `(D,)`.
      dense: whether tau is a `DenseDeepSigmoid` (DDSF in the paper) and not a `DeepSigmoid`
        (DSF).
      num_sigmoid_layers: layers of tau; 2 if dense, else 1, by default.
      num_units: units of each; 8 if dense, else 16, by default.
      context_size: C, or 0 for an unconditional flow.
      num_layers: autoregressive layers, in alternating order.
      hidden_units: widths of the hidden layers of each `MADE`.
      activation: of the networks.
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
