"""Transformers: elementwise bijectors made from raw parameters."""

from tfp_flows.bijectors.transformers.affine import Affine
from tfp_flows.bijectors.transformers.circular_spline import CircularSpline
from tfp_flows.bijectors.transformers.cubic_spline import CubicSpline
from tfp_flows.bijectors.transformers.deep_sigmoid import DeepSigmoid
from tfp_flows.bijectors.transformers.dense_deep_sigmoid import DenseDeepSigmoid
from tfp_flows.bijectors.transformers.linear_spline import LinearSpline
from tfp_flows.bijectors.transformers.logistic_mixture_cdf import LogisticMixtureCDF
from tfp_flows.bijectors.transformers.monotone_activations import MonotoneActivations
from tfp_flows.bijectors.transformers.monotone_integral import MonotoneIntegral
from tfp_flows.bijectors.transformers.quadratic_spline import QuadraticSpline
from tfp_flows.bijectors.transformers.rational_quadratic_spline import RationalQuadraticSpline
from tfp_flows.bijectors.transformers.sum_of_squares import SumOfSquares

__all__ = [
    "Affine",
    "CircularSpline",
    "CubicSpline",
    "DeepSigmoid",
    "DenseDeepSigmoid",
    "LinearSpline",
    "LogisticMixtureCDF",
    "MonotoneActivations",
    "MonotoneIntegral",
    "QuadraticSpline",
    "RationalQuadraticSpline",
    "SumOfSquares",
]
