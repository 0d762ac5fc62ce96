"""What is wrong with a fit: layer by layer, against data, and in pictures."""

from tfp_flows.diagnostics.diagnose import diagnose

__all__ = ["diagnose"]
