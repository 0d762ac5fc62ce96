"""Solves the equation of a vector field: the method, its accuracy and its gradient."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.bijectors.continuous._parameter_integrals import ParameterIntegrals
from tfp_flows.math.ode.adjoint import adjoint
from tfp_flows.math.ode.dormand_prince import dormand_prince
from tfp_flows.math.ode.runge_kutta import EULER, RK4, OdeResult, fixed_steps

_TABLEAUS = {"rk4": RK4, "euler": EULER}


class OdeSolver:
    """z(t_1) and q(t_1) of dz/dt = f(t, z), dq/dt = g(t, z), q(t_0) = 0.

    Solves for both at once. A row without a solution is NaN. The arguments are those of
    `Continuous`.
    """

    def __init__(
        self,
        solver: str,
        num_steps: int,
        rtol: float,
        atol: float,
        max_num_steps: int,
        gradient: str,
    ) -> None:
        _checks.one_of(solver, ("dormand_prince", *_TABLEAUS), "solver")
        num_steps = _checks.integer_at_least(num_steps, 1, "num_steps")
        adaptive: dict[str, Any] = {
            "rtol": _checks.positive_number(rtol, "rtol"),
            "atol": _checks.positive_number(atol, "atol"),
            "max_num_steps": _checks.integer_at_least(max_num_steps, 1, "max_num_steps"),
        }
        self._is_adaptive = solver == "dormand_prince"
        if self._is_adaptive:
            self._method: Callable[..., OdeResult] = functools.partial(dormand_prince, **adaptive)
            # The errors of the steps may grow a hundredfold on the way back.
            self._tolerance = min(100.0 * max(adaptive["rtol"], adaptive["atol"]), 0.1)
        else:
            self._method = functools.partial(
                fixed_steps, num_steps=num_steps, tableau=_TABLEAUS[solver]
            )
            self._tolerance = 0.1
        self._gradient = _checks.one_of(gradient, ("adjoint", "direct"), "gradient")

    def __call__(
        self,
        slopes: Callable[..., Any],
        rows: tf.Tensor,
        start: float,
        stop: float,
        constants: Sequence[tf.Tensor] = (),
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns z(t_1) `[N, D]`, and q(t_1) `[N, K]` or `None`.

        Args:
          slopes: callable, `(t, z) -> (f, g)`, f `[N, D]`, g `[N, K]` or `None`.
          rows: float `Tensor` `[N, D]`, z(t_0).
          start: float, t_0.
          stop: float, t_1.
          constants: tensors that `slopes` captures and that get no gradient.
        """
        if self._gradient == "adjoint":
            # The dtype limits how small a tolerance the solver can reach.
            eps = float(ml_dtypes.finfo(rows.dtype.as_numpy_dtype).eps)
            tolerance = max(self._tolerance, 1e3 * eps)
            return adjoint(slopes, rows, start, stop, self._solve, constants, tolerance)
        integrands = slopes(tf.cast(start, rows.dtype), rows)[1]
        state = (rows,) if integrands is None else (rows, tf.zeros_like(integrands))

        steering = ParameterIntegrals(slopes, rows, start, stop) if self._is_adaptive else None

        def parts(
            t: tf.Tensor, state: tuple[tf.Tensor, ...]
        ) -> tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
            of_state = tuple(part for part in slopes(t, state[0]) if part is not None)
            return of_state, () if steering is None else steering(t, state[0])

        quadrature = () if steering is None else steering.start
        result = self._solve(parts, state, start, stop, quadrature)
        nan = tf.constant(np.nan, rows.dtype)
        solution = [tf.where(result.succeeded[:, tf.newaxis], p, nan) for p in result.state]
        return solution[0], None if integrands is None else solution[1]

    def _solve(
        self,
        function: Callable[..., Any],
        state: tuple[tf.Tensor, ...],
        start: float,
        stop: float,
        quadrature: Sequence[tf.Tensor] = (),
    ) -> OdeResult:
        def solve(state: Sequence[tf.Tensor], quadrature: Sequence[tf.Tensor]) -> OdeResult:
            return self._method(function, state, start, stop, quadrature=quadrature)

        if tf.executing_eagerly():
            # Without a graph, Python would dispatch each operation of each step.
            solve = tf.function(solve, autograph=False)
        return solve(state, quadrature)
