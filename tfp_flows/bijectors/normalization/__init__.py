"""Shifts and scales that are set from data."""

from tfp_flows.bijectors.normalization.act_norm import ActNorm
from tfp_flows.bijectors.normalization.batch_norm import BatchNorm
from tfp_flows.bijectors.normalization.standardize import Standardize
from tfp_flows.bijectors.normalization.standardize_context import StandardizeContext

__all__ = [
    "ActNorm",
    "BatchNorm",
    "Standardize",
    "StandardizeContext",
]
