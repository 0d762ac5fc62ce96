"""Distributions that TFP lacks: flows, bases, and bounds for whole numbers and sets."""

from tfp_flows.distributions import _divergence  # noqa: F401  makes it known to TFP
from tfp_flows.distributions.conditional_normal import ConditionalNormal
from tfp_flows.distributions.dequantization_noise import DequantizationNoise
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.joint_flow import JointFlow
from tfp_flows.distributions.latent_noise import LatentNoise
from tfp_flows.distributions.latent_set import LatentSet
from tfp_flows.distributions.mixture_of_gaussians import mixture_of_gaussians
from tfp_flows.distributions.philox_bases import (
    PhiloxCategorical,
    PhiloxLaplace,
    PhiloxLogistic,
    PhiloxMixtureSameFamily,
    PhiloxMultivariateNormalDiag,
    PhiloxMultivariateNormalLinearOperator,
    PhiloxMultivariateNormalTriL,
    PhiloxNormal,
    PhiloxUniform,
    drawn_by_philox,
)
from tfp_flows.distributions.whole_columns import WholeColumns
from tfp_flows.distributions.with_angles import WithAngles

__all__ = [
    "ConditionalNormal",
    "DequantizationNoise",
    "Dequantized",
    "Flow",
    "JointFlow",
    "LatentNoise",
    "LatentSet",
    "PhiloxCategorical",
    "PhiloxLaplace",
    "PhiloxLogistic",
    "PhiloxMixtureSameFamily",
    "PhiloxMultivariateNormalDiag",
    "PhiloxMultivariateNormalLinearOperator",
    "PhiloxMultivariateNormalTriL",
    "PhiloxNormal",
    "PhiloxUniform",
    "WholeColumns",
    "WithAngles",
    "drawn_by_philox",
    "mixture_of_gaussians",
]
