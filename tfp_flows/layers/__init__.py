"""Keras 3 layers that turn inputs, and a context, into the raw parameters of a transformer."""

from tfp_flows.layers.made import MADE
from tfp_flows.layers.mlp import MLP
from tfp_flows.layers.residual_mlp import ResidualMLP

__all__ = ["MADE", "MLP", "ResidualMLP"]
