"""What TFP lacks as a distribution."""

from tfp_flows.distributions.conditional_normal import ConditionalNormal
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.mixture_of_gaussians import mixture_of_gaussians

__all__ = ["ConditionalNormal", "Flow", "mixture_of_gaussians"]
