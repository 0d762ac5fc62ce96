"""One recipe for each published system; each returns a distribution."""

from tfp_flows.flows.bnaf import bnaf
from tfp_flows.flows.flow_plus_plus import flow_plus_plus
from tfp_flows.flows.iaf import iaf
from tfp_flows.flows.maf import maf
from tfp_flows.flows.neural_spline import neural_spline
from tfp_flows.flows.nice import nice
from tfp_flows.flows.real_nvp import real_nvp
from tfp_flows.flows.sos import sos
from tfp_flows.flows.umnn import umnn

__all__ = [
    "bnaf",
    "flow_plus_plus",
    "iaf",
    "maf",
    "neural_spline",
    "nice",
    "real_nvp",
    "sos",
    "umnn",
]
