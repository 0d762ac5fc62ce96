"""What TFP lacks as a distribution."""

from tfp_flows.distributions.flow import Flow

__all__ = ["Flow"]
