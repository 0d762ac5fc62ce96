"""Keras models and layers that train any TFP distribution."""

from tfp_flows.models.distribution_layer import DistributionLayer
from tfp_flows.models.flow_matching import FlowMatching
from tfp_flows.models.flow_model import FlowModel
from tfp_flows.models.variational_model import VariationalModel

__all__ = ["DistributionLayer", "FlowMatching", "FlowModel", "VariationalModel"]
