"""FFJORD: a continuous flow along the vector field of a network."""

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
    r"""$x = z(1),\ dz/dt = f(t, z),\ z(0) = u$

    FFJORD: a continuous flow along a vector field f, which a network computes.

    Choose it for smooth densities in few dimensions: being continuous, it has no layer artifacts. A
    density or a sample needs tens to hundreds of network evaluations with derivatives. In any
    number of dimensions `tfpf.FlowModel(flow, objective="flow_matching")` trains it without solving
    the equation.

    Cost: a density or a sample takes one solution of the equation for each vector field, with about
    6 network evaluations per step of "dormand_prince". Both are exact up to the tolerance. Each
    evaluation takes D derivatives for a density, and one in training with `trace="hutchinson"`.
    Support: all of $R^D$.

    Source: Grathwohl et al. (2019), arXiv:1810.01367; regularizers: Finlay et al. (2020),
    arXiv:2002.02798.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of vector fields, one after the other; flow matching needs exactly one.
      hidden_units: widths of the hidden layers of each `VectorField`.
      activation: activation function of the networks, which should be smooth.
      solver: "dormand_prince", "rk4" or "euler".
      num_steps: number of steps of "rk4" and "euler", 20 by default.
      rtol: relative tolerance of "dormand_prince", 1e-5 by default.
      atol: absolute tolerance of "dormand_prince", 1e-5 by default.
      trace: how training computes traces, "hutchinson" or "exact".
      gradient: how training computes gradients, "adjoint" or "direct" (see `Continuous`).
      kinetic: weight of the squared speed in the training loss, not negative.
      jacobian: weight of the squared norm of $df/dz$ in the training loss, not negative.
      base: any TFP distribution over vectors of size D; a standard normal by default.
      seed: Python `int` that fixes the initial weights of the networks and the noise.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum, an option is unknown, or an accuracy is given that
        the solver does not have.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.ffjord(2, hidden_units=(8,), solver="rk4", num_steps=2)
      >>> print(flow.sample(5, seed=1).shape)
      (5, 2)

    See also: `tfpf.bijectors.Continuous`, `tfpf.models.FlowMatching`.
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
    """The keywords of a solver that are given; refuses those of another solver."""
    _checks.one_of(solver, ("dormand_prince", "rk4", "euler"), "solver")
    given = {name: value for name, value in accuracy.items() if value is not None}
    is_adaptive = solver == "dormand_prince"
    for name, value in given.items():
        if (name == "num_steps") == is_adaptive:
            solvers = '"rk4" and "euler"' if is_adaptive else '"dormand_prince"'
            raise ValueError(
                f"`{name}` applies only to {solvers}. "
                f"Received: {name}={value!r} with solver={solver!r}"
            )
    return {"solver": solver, **given}
