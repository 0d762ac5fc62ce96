"""What TFP lacks as a distribution."""

from tfp_flows.distributions.conditional_normal import ConditionalNormal
from tfp_flows.distributions.dequantization_noise import DequantizationNoise
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.latent_noise import LatentNoise
from tfp_flows.distributions.latent_set import LatentSet
from tfp_flows.distributions.mixture_of_gaussians import mixture_of_gaussians

__all__ = [
    "ConditionalNormal",
    "DequantizationNoise",
    "Dequantized",
    "Flow",
    "LatentNoise",
    "LatentSet",
    "mixture_of_gaussians",
]
