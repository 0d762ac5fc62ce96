"""Linear bijectors whose determinants are products of diagonal entries."""

from tfp_flows.bijectors.linear.householder_linear import HouseholderLinear
from tfp_flows.bijectors.linear.invertible_conv1x1 import InvertibleConv1x1
from tfp_flows.bijectors.linear.lu_linear import LULinear
from tfp_flows.bijectors.linear.qr_linear import QRLinear

__all__ = [
    "HouseholderLinear",
    "InvertibleConv1x1",
    "LULinear",
    "QRLinear",
]
