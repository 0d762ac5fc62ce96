"""PointFlow: points by a continuous flow given a latent, and that by another."""

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
    """x_m = f(u_m; w), w = g(e): each point u_m of a set moves along a field that its latent sets.

    Choose it for sets in few dimensions whose order means nothing, such as clouds of points on a
    shape. Training and `elbo`, a lower bound of log p(x), take one solution of an equation for all
    points of a set, one for its latent, and one pass of the encoder; a sample takes both solutions.
    The traces are exact, so that the only noise is that of w. It keeps nothing of points but what
    the latent holds: given it they are independent.

    ```python
    flow = tfpf.flows.pointflow(2)
    model = tfpf.FlowModel(flow)
    model.compile("adam", jit_compile=True)
    model.fit(sets)  # [N, M, 2]
    flow.elbo(sets[:5], num_samples=4)  # [5], in nats of a whole set
    flow.sample(3, num_points=100)  # [3, 100, 2]
    flow.reconstruct(sets[:5], num_points=100)  # [5, 100, 2]
    flow.posterior(sets[:5])  # a normal distribution of 5 latents
    ```

    Points are to be standardised over all sets, not set by set. There may be a different number
    of them in each batch; what is encoded with `pooling="mean"` does not see how many.

    Source: Yang et al. (2019), PointFlow, arXiv:1906.12320; encoder: Zaheer et al. (2017),
    arXiv:1703.06114.

    Args:
      event_shape: D or `(D,)`, that of a point.
      num_points: M, or `None` for any number.
      latent_size: L.
      context_size: C, of a context of the prior, such as the class of a set; or 0.
      num_layers: vector fields of the points, one after the other; and of the prior.
      hidden_units: widths of the hidden layers of each `VectorField` of the points.
      prior_units: the same of the prior.
      point_units: widths of the encoder's network of points, `DeepSets`.
      set_units: hidden widths of its network of sets.
      activation: of the vector fields; smooth.
      pooling: of the encoder, "mean" or "max".
      solver: "dormand_prince", "rk4" or "euler".
      num_steps: of the last two, 20 by default; not for "dormand_prince".
      rtol: relative tolerance of "dormand_prince", 1e-5 by default; not for the others.
      atol: its absolute tolerance, likewise.
      trace: in training, "exact" or "hutchinson".
      gradient: "adjoint" or "direct".
      base: any TFP distribution over vectors of D, that of u; a standard normal by default.
      seed: Python `int`, of the networks' weights and of the draws.
      dtype: float32 or float64.

    Returns:
      A `tfp_flows.distributions.LatentSet`. At the start points are those of the base, and the
      latent is a standard normal in prior and posterior.

    Raises:
      TypeError: if a number is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, an unknown option, or an accuracy of another solver.
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
