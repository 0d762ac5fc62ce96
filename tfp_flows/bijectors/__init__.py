"""Bijectors of normalizing flows, each a `tfb.Bijector`."""

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.affine import Affine
from tfp_flows.bijectors.amortized import Amortized
from tfp_flows.bijectors.autoregressive import Autoregressive
from tfp_flows.bijectors.batch_norm import BatchNorm
from tfp_flows.bijectors.block_autoregressive import BlockAutoregressive
from tfp_flows.bijectors.circular_spline import CircularSpline
from tfp_flows.bijectors.continuous import Continuous
from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.bijectors.cubic_spline import CubicSpline
from tfp_flows.bijectors.deep_sigmoid import DeepSigmoid
from tfp_flows.bijectors.dense_deep_sigmoid import DenseDeepSigmoid
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.householder_linear import HouseholderLinear
from tfp_flows.bijectors.hutchinson_noise import HutchinsonNoise
from tfp_flows.bijectors.invertible_conv1x1 import InvertibleConv1x1
from tfp_flows.bijectors.linear_spline import LinearSpline
from tfp_flows.bijectors.logistic_mixture_cdf import LogisticMixtureCDF
from tfp_flows.bijectors.lu_linear import LULinear
from tfp_flows.bijectors.masked_convolution import MaskedConvolution
from tfp_flows.bijectors.monotone_activations import MonotoneActivations
from tfp_flows.bijectors.monotone_integral import MonotoneIntegral
from tfp_flows.bijectors.multi_scale import MultiScale
from tfp_flows.bijectors.planar import Planar
from tfp_flows.bijectors.qr_linear import QRLinear
from tfp_flows.bijectors.quadratic_spline import QuadraticSpline
from tfp_flows.bijectors.radial import Radial
from tfp_flows.bijectors.rational_quadratic_spline import RationalQuadraticSpline
from tfp_flows.bijectors.residual import Residual
from tfp_flows.bijectors.squeeze import Squeeze
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.bijectors.sum_of_squares import SumOfSquares
from tfp_flows.bijectors.sylvester import Sylvester

__all__ = [
    "ActNorm",
    "Affine",
    "Amortized",
    "Autoregressive",
    "BatchNorm",
    "BlockAutoregressive",
    "CircularSpline",
    "Continuous",
    "Coupling",
    "CubicSpline",
    "DeepSigmoid",
    "DenseDeepSigmoid",
    "FlowBijector",
    "HouseholderLinear",
    "HutchinsonNoise",
    "InvertibleConv1x1",
    "LULinear",
    "LinearSpline",
    "LogisticMixtureCDF",
    "MaskedConvolution",
    "MonotoneActivations",
    "MonotoneIntegral",
    "MultiScale",
    "Planar",
    "QRLinear",
    "QuadraticSpline",
    "Radial",
    "RationalQuadraticSpline",
    "Residual",
    "Squeeze",
    "Standardize",
    "SumOfSquares",
    "Sylvester",
]
