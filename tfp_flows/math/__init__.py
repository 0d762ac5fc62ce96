"""Pure tensor functions: no TFP objects, no layers."""

from tfp_flows.math.circular_spline import circular_spline, inverse_circular_spline
from tfp_flows.math.clenshaw_curtis import clenshaw_curtis
from tfp_flows.math.cubic_spline import cubic_spline, inverse_cubic_spline, steffen_slopes
from tfp_flows.math.find_root import RootResult, find_root
from tfp_flows.math.fixed_point import FixedPointResult, fixed_point
from tfp_flows.math.householder import householder_product
from tfp_flows.math.linear_spline import inverse_linear_spline, linear_spline
from tfp_flows.math.quadratic_spline import inverse_quadratic_spline, quadratic_spline
from tfp_flows.math.rational_quadratic_spline import (
    inverse_rational_quadratic_spline,
    rational_quadratic_spline,
)

__all__ = [
    "FixedPointResult",
    "RootResult",
    "circular_spline",
    "clenshaw_curtis",
    "cubic_spline",
    "find_root",
    "fixed_point",
    "householder_product",
    "inverse_circular_spline",
    "inverse_cubic_spline",
    "inverse_linear_spline",
    "inverse_quadratic_spline",
    "inverse_rational_quadratic_spline",
    "linear_spline",
    "quadratic_spline",
    "rational_quadratic_spline",
    "steffen_slopes",
]
