"""Recipes: one function for each published system, which returns a distribution ready for use."""

from tfp_flows.flows.bnaf import bnaf
from tfp_flows.flows.circular_spline import circular_spline
from tfp_flows.flows.ffjord import ffjord
from tfp_flows.flows.flow_plus_plus import flow_plus_plus
from tfp_flows.flows.glow import glow
from tfp_flows.flows.iaf import iaf
from tfp_flows.flows.iresnet import iresnet
from tfp_flows.flows.maf import maf
from tfp_flows.flows.mintnet import mintnet
from tfp_flows.flows.multiscale import multiscale
from tfp_flows.flows.naf import naf
from tfp_flows.flows.neural_spline import neural_spline
from tfp_flows.flows.nice import nice
from tfp_flows.flows.parallel_wavenet import parallel_wavenet
from tfp_flows.flows.planar import planar
from tfp_flows.flows.pointflow import pointflow
from tfp_flows.flows.radial import radial
from tfp_flows.flows.real_nvp import real_nvp
from tfp_flows.flows.recurrent import recurrent
from tfp_flows.flows.residual import residual
from tfp_flows.flows.sos import sos
from tfp_flows.flows.sylvester import sylvester
from tfp_flows.flows.umnn import umnn
from tfp_flows.flows.variational_dequantization import variational_dequantization
from tfp_flows.flows.waveglow import waveglow
from tfp_flows.flows.wavenet import wavenet

__all__ = [
    "bnaf",
    "circular_spline",
    "ffjord",
    "flow_plus_plus",
    "glow",
    "iaf",
    "iresnet",
    "maf",
    "mintnet",
    "multiscale",
    "naf",
    "neural_spline",
    "nice",
    "parallel_wavenet",
    "planar",
    "pointflow",
    "radial",
    "real_nvp",
    "recurrent",
    "residual",
    "sos",
    "sylvester",
    "umnn",
    "variational_dequantization",
    "waveglow",
    "wavenet",
]
