"""Keras 3 layers: conditioners, and the networks of residual and continuous bijectors."""

from tfp_flows.layers.circular_mlp import CircularMLP
from tfp_flows.layers.conv_net import ConvNet
from tfp_flows.layers.deep_sets import DeepSets
from tfp_flows.layers.gated_conv_net import GatedConvNet
from tfp_flows.layers.lipschitz_conv_net import LipschitzConvNet
from tfp_flows.layers.lipschitz_mlp import LipschitzMLP
from tfp_flows.layers.made import MADE
from tfp_flows.layers.masked_conv_net import MaskedConvNet
from tfp_flows.layers.mlp import MLP
from tfp_flows.layers.recurrent import Recurrent
from tfp_flows.layers.residual_mlp import ResidualMLP
from tfp_flows.layers.transport_regularizer import TransportRegularizer
from tfp_flows.layers.vector_field import VectorField
from tfp_flows.layers.wavenet import WaveNet

__all__ = [
    "CircularMLP",
    "ConvNet",
    "DeepSets",
    "GatedConvNet",
    "LipschitzConvNet",
    "LipschitzMLP",
    "MADE",
    "MLP",
    "MaskedConvNet",
    "Recurrent",
    "ResidualMLP",
    "TransportRegularizer",
    "VectorField",
    "WaveNet",
]
