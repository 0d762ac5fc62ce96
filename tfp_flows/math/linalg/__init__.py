"""Determinants, orthogonal matrices and norms."""

from tfp_flows.math.linalg.exact_log_det import exact_log_det
from tfp_flows.math.linalg.householder import householder_product
from tfp_flows.math.linalg.power_series import num_terms_for, power_series_log_det
from tfp_flows.math.linalg.russian_roulette import russian_roulette_log_det
from tfp_flows.math.linalg.spectral_norm import convolution_norm_bound, spectral_norm_bound

__all__ = [
    "convolution_norm_bound",
    "exact_log_det",
    "householder_product",
    "num_terms_for",
    "power_series_log_det",
    "russian_roulette_log_det",
    "spectral_norm_bound",
]
