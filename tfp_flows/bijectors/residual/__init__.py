"""Bijectors of the form x + g(x): contractions, and planar, radial and Sylvester flows."""

from tfp_flows.bijectors.residual.planar import Planar
from tfp_flows.bijectors.residual.radial import Radial
from tfp_flows.bijectors.residual.residual import Residual
from tfp_flows.bijectors.residual.sylvester import Sylvester

__all__ = [
    "Planar",
    "Radial",
    "Residual",
    "Sylvester",
]
