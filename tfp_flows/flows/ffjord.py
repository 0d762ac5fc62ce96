"""FFJORD: the flow of a network's vector field."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks
from tfp_flows.bijectors import Continuous
from tfp_flows.bijectors.continuous.hutchinson_noise import HutchinsonNoise
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import TransportRegularizer, VectorField


def ffjord(
    event_shape: int | Sequence[int],
    *,
    context_size: int = 0,
    num_layers: int = 1,
    hidden_units: Sequence[int] = (64, 64),
    activation: str | Callable[..., tf.Tensor] = "tanh",
    solver: str = "dormand_prince",
    num_steps: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    trace: str = "hutchinson",
    gradient: str = "adjoint",
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    base: tfp.distributions.Distribution | None = None,
    seed: int | None = None,
    dtype: DTypeLike | tf.DType = "float32",
) -> Flow:
    """x = z(1), dz/dt = f(t, z), z(0) = u, with one network f for each layer: FFJORD.

    Choose it for smooth densities without the seams that layers leave, and for few dimensions,
    where some tens to hundreds of network evaluations, each with derivatives, are affordable;
    or train it without them by `FlowModel(flow, objective="flow_matching")`, for any number of
    dimensions. Density and sample cost one solution each, of about 6 evaluations a step. Both are
    exact up to the tolerance; the density takes D derivatives at each evaluation, training with
    `trace="hutchinson"` one. Support: all of R^D.

    Source: Grathwohl et al. (2019), arXiv:1810.01367; regularisers: Finlay et al. (2020),
    arXiv:2002.02798.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: vector fields, one after the other; flow matching takes one.
      hidden_units: widths of the hidden layers of each `VectorField`.
      activation: of the networks; smooth.
      solver: "dormand_prince", "rk4" or "euler".
      num_steps: of the last two, 20 by default; not for "dormand_prince".
      rtol: relative tolerance of "dormand_prince", 1e-5 by default; not for the others.
      atol: its absolute tolerance, likewise.
      trace: in training, "hutchinson" or "exact".
      gradient: "adjoint" or "direct".
      kinetic: factor of the squared speed in the loss of training, not negative.
      jacobian: factor of the squared norm of df/dz, not negative.
      base: any TFP distribution over vectors of D; a standard normal by default.
      seed: Python `int`, of the networks' weights and of the noise.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum, an unknown option, or an accuracy of another solver.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    solver_kwargs = _solver_kwargs(solver, num_steps=num_steps, rtol=rtol, atol=atol)
    layer_seeds = _recipe.seeds(seed, 2 * num_layers)
    bijectors = []
    for field_seed, noise_seed in zip(layer_seeds[::2], layer_seeds[1::2], strict=True):
        field = VectorField(
            size, hidden_units, activation, context_size, seed=field_seed, dtype=dtype
        )
        _recipe.build(field, size, context_size)
        regularizer = None
        if kinetic or jacobian:
            regularizer = TransportRegularizer(kinetic, jacobian, dtype=dtype)
        bijectors.append(
            Continuous(
                field,
                **solver_kwargs,
                trace=trace,
                noise=HutchinsonNoise(seed=noise_seed) if trace == "hutchinson" else "rademacher",
                gradient=gradient,
                regularizer=regularizer,
            )
        )
    return _recipe.flow(bijectors, size, base, dtype, "ffjord")


def _solver_kwargs(solver: str, **accuracy: Any) -> dict[str, Any]:
    """The keywords of a solver that are given; refuses those of another one."""
    _checks.one_of(solver, ("dormand_prince", "rk4", "euler"), "solver")
    given = {name: value for name, value in accuracy.items() if value is not None}
    is_adaptive = solver == "dormand_prince"
    for name, value in given.items():
        if (name == "num_steps") == is_adaptive:
            kind = "of fixed steps" if is_adaptive else 'of "dormand_prince", whose steps adapt'
            raise ValueError(
                f"`{name}` is {kind}. Received: {name}={value!r} with solver={solver!r}"
            )
    return {"solver": solver, **given}
