"""Roots and fixed points, with derivatives by the implicit function theorem."""

from tfp_flows.math.solvers.find_root import RootResult, find_root
from tfp_flows.math.solvers.fixed_point import FixedPointResult, fixed_point
from tfp_flows.math.solvers.jacobi import JacobiResult, jacobi

__all__ = [
    "FixedPointResult",
    "JacobiResult",
    "RootResult",
    "find_root",
    "fixed_point",
    "jacobi",
]
