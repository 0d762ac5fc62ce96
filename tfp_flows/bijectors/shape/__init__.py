"""Changes of an event's shape, and scales of images."""

from tfp_flows.bijectors.shape.multi_scale import MultiScale
from tfp_flows.bijectors.shape.squeeze import Squeeze

__all__ = [
    "MultiScale",
    "Squeeze",
]
