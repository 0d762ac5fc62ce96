"""Monotone splines and their inverses, as functions of tensors."""

from tfp_flows.math.splines.circular_spline import circular_spline, inverse_circular_spline
from tfp_flows.math.splines.cubic_spline import cubic_spline, inverse_cubic_spline, steffen_slopes
from tfp_flows.math.splines.linear_spline import inverse_linear_spline, linear_spline
from tfp_flows.math.splines.quadratic_spline import inverse_quadratic_spline, quadratic_spline
from tfp_flows.math.splines.rational_quadratic_spline import (
    inverse_rational_quadratic_spline,
    rational_quadratic_spline,
)

__all__ = [
    "circular_spline",
    "cubic_spline",
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
