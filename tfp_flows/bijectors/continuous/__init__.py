"""Flows defined by ordinary differential equations."""

from tfp_flows.bijectors.continuous.continuous import Continuous
from tfp_flows.bijectors.continuous.hutchinson_noise import HutchinsonNoise

__all__ = [
    "Continuous",
    "HutchinsonNoise",
]
