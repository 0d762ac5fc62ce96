"""Solvers of ordinary differential equations, their gradients, and divergences of fields."""

from tfp_flows.math.ode.adjoint import adjoint
from tfp_flows.math.ode.divergence import exact_divergence, hutchinson_divergence
from tfp_flows.math.ode.dormand_prince import dormand_prince
from tfp_flows.math.ode.runge_kutta import (
    DORMAND_PRINCE,
    EULER,
    RK4,
    OdeResult,
    Tableau,
    fixed_steps,
)

__all__ = [
    "DORMAND_PRINCE",
    "EULER",
    "OdeResult",
    "RK4",
    "Tableau",
    "adjoint",
    "dormand_prince",
    "exact_divergence",
    "fixed_steps",
    "hutchinson_divergence",
]
