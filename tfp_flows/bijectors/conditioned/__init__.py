"""Bijectors whose parameters a network computes, from other coordinates or from a context."""

from tfp_flows.bijectors.conditioned.amortized import Amortized
from tfp_flows.bijectors.conditioned.autoregressive import Autoregressive
from tfp_flows.bijectors.conditioned.block_autoregressive import BlockAutoregressive
from tfp_flows.bijectors.conditioned.coupling import Coupling
from tfp_flows.bijectors.conditioned.masked_convolution import MaskedConvolution

__all__ = [
    "Amortized",
    "Autoregressive",
    "BlockAutoregressive",
    "Coupling",
    "MaskedConvolution",
]
