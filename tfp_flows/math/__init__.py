"""Pure tensor functions: no TFP objects, no layers."""

from tfp_flows.math.adjoint import adjoint
from tfp_flows.math.circular_spline import circular_spline, inverse_circular_spline
from tfp_flows.math.clenshaw_curtis import clenshaw_curtis
from tfp_flows.math.cubic_spline import cubic_spline, inverse_cubic_spline, steffen_slopes
from tfp_flows.math.divergence import exact_divergence, hutchinson_divergence
from tfp_flows.math.dormand_prince import dormand_prince
from tfp_flows.math.exact_log_det import exact_log_det
from tfp_flows.math.find_root import RootResult, find_root
from tfp_flows.math.fixed_point import FixedPointResult, fixed_point
from tfp_flows.math.householder import householder_product
from tfp_flows.math.jacobi import JacobiResult, jacobi
from tfp_flows.math.linear_spline import inverse_linear_spline, linear_spline
from tfp_flows.math.power_series import num_terms_for, power_series_log_det
from tfp_flows.math.quadratic_spline import inverse_quadratic_spline, quadratic_spline
from tfp_flows.math.rational_quadratic_spline import (
    inverse_rational_quadratic_spline,
    rational_quadratic_spline,
)
from tfp_flows.math.runge_kutta import (
    DORMAND_PRINCE,
    EULER,
    RK4,
    OdeResult,
    Tableau,
    fixed_steps,
)
from tfp_flows.math.russian_roulette import russian_roulette_log_det
from tfp_flows.math.spectral_norm import convolution_norm_bound, spectral_norm_bound

__all__ = [
    "DORMAND_PRINCE",
    "EULER",
    "FixedPointResult",
    "JacobiResult",
    "OdeResult",
    "RK4",
    "RootResult",
    "Tableau",
    "adjoint",
    "circular_spline",
    "clenshaw_curtis",
    "convolution_norm_bound",
    "cubic_spline",
    "dormand_prince",
    "exact_divergence",
    "exact_log_det",
    "find_root",
    "fixed_point",
    "fixed_steps",
    "householder_product",
    "hutchinson_divergence",
    "inverse_circular_spline",
    "inverse_cubic_spline",
    "inverse_linear_spline",
    "inverse_quadratic_spline",
    "inverse_rational_quadratic_spline",
    "jacobi",
    "linear_spline",
    "num_terms_for",
    "power_series_log_det",
    "quadratic_spline",
    "rational_quadratic_spline",
    "russian_roulette_log_det",
    "spectral_norm_bound",
    "steffen_slopes",
]
