"""Bijectors that change the shape of an event, and multi-scale flows of images."""

from tfp_flows.bijectors.shape.multi_scale import MultiScale
from tfp_flows.bijectors.shape.squeeze import Squeeze

__all__ = [
    "MultiScale",
    "Squeeze",
]
