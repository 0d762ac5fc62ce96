"""PointFlow: a continuous flow of points given a latent, and another one of the latent."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.distributions import LatentSet
from tfp_flows.flows import _recipe
from tfp_flows.flows.ffjord import ffjord
from tfp_flows.layers import DeepSets


def pointflow(
    event_shape: int | Sequence[int],
    *,
    num_points: int | None = None,
    latent_size: int = 16,
    context_size: int = 0,
    num_layers: int = 1,
    hidden_units: Sequence[int] = (64, 64),
    prior_units: Sequence[int] = (64, 64),
    point_units: Sequence[int] = (128, 128),
    set_units: Sequence[int] = (128,),
    activation: str | Callable[..., tf.Tensor] = "tanh",
    pooling: str = "mean",
    solver: str = "dormand_prince",
    num_steps: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    trace: str = "exact",
    gradient: str = "adjoint",
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> LatentSet:
    r"""$x_m = f(u_m; w),\ w = g(e)$

    PointFlow: a distribution of sets, whose points move along a field that a latent determines.

    f and g are continuous flows (`tfpf.flows.ffjord`), $u_m$ a point of the base, e a standard
    normal vector, and w the latent of the set.

    Choose it for sets in few dimensions whose order means nothing, such as clouds of points on a
    shape. Given the latent, the points are independent: the latent holds all that the points of a
    set have in common. `elbo` is a lower bound of $\log p(x)$ in nats of a whole set. Training and
    `elbo` solve one equation for all points of a set and one for its latent, and evaluate the
    encoder once. A sample takes both solutions. Traces are exact by default, so that w is the only
    noise.

    Standardize the points over all sets, not set by set. Batches may differ in the number of
    points. An encoder with `pooling="mean"` does not see this number.

    Source: Yang et al. (2019), PointFlow, arXiv:1906.12320; encoder: Zaheer et al. (2017),
    arXiv:1703.06114.

    Args:
      event_shape: D or `(D,)`, the shape of a point.
      num_points: M, or `None` for any number.
      latent_size: L, the size of a latent.
      context_size: C, size of a context of the prior, such as the class of a set; or 0.
      num_layers: number of vector fields, one after the other, for the points and for the prior.
      hidden_units: widths of the hidden layers of each `VectorField` of the points.
      prior_units: widths of the hidden layers of each `VectorField` of the prior.
      point_units: widths of the layers that the encoder, a `DeepSets`, applies to each point.
      set_units: widths of the hidden layers that it applies to the set.
      activation: activation function of the vector fields, which should be smooth.
      pooling: how the encoder joins points, "mean" or "max".
      solver: "dormand_prince", "rk4" or "euler".
      num_steps: number of steps of "rk4" and "euler", 20 by default.
      rtol: relative tolerance of "dormand_prince", 1e-5 by default.
      atol: absolute tolerance of "dormand_prince", 1e-5 by default.
      trace: how training computes traces, "exact" or "hutchinson".
      gradient: how training computes gradients, "adjoint" or "direct" (see `Continuous`).
      base: any TFP distribution of u over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks and the draws.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.LatentSet`. At the start its points have the distribution of the base,
      and prior and posterior of the latent are standard normals.

    Raises:
      TypeError: if a number is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, an option is unknown, or an accuracy is given that
        the solver does not have.

    Example:
      >>> import tensorflow as tf
      >>> import tfp_flows as tfpf
      >>> small = {"latent_size": 2, "hidden_units": (8,), "prior_units": (8,), "point_units": (8,)}
      >>> flow = tfpf.flows.pointflow(2, solver="euler", num_steps=1, **small)
      >>> sets = tf.zeros([5, 7, 2])  # 5 sets of 7 points
      >>> print(flow.reconstruct(sets, num_points=10, seed=1).shape)
      (5, 10, 2)

    See also: `tfpf.layers.DeepSets`, `tfpf.FlowModel`.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    latent_size = _checks.integer_at_least(latent_size, 1, "latent_size")
    if num_points is not None:
        num_points = _checks.integer_at_least(num_points, 1, "num_points")
    prior_seed, points_seed, encoder_seed, noise_seed = _recipe.seeds(seed, 4)
    fields: dict[str, Any] = {
        "num_layers": num_layers,
        "activation": activation,
        "solver": solver,
        "num_steps": num_steps,
        "rtol": rtol,
        "atol": atol,
        "trace": trace,
        "gradient": gradient,
        "dtype": dtype,
    }
    points = ffjord(
        size,
        context_size=latent_size,
        hidden_units=hidden_units,
        base=base,
        seed=points_seed,
        **fields,
    )
    prior = ffjord(
        latent_size, context_size=context_size, hidden_units=prior_units, seed=prior_seed, **fields
    )
    encoder = DeepSets(
        2 * latent_size, point_units, set_units, pooling=pooling, seed=encoder_seed, dtype=dtype
    )
    encoder.build((None, None, size))
    return LatentSet(prior, points, encoder, num_points, seed=noise_seed, name="pointflow")
