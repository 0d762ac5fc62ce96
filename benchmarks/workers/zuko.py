"""The workloads in Zuko, on torch's CPU backend."""

import functools

import torch
import zuko
from torch_tasks import tasks
from workloads import BOUND, DEGREE, NUM_BINS, NUM_POLYNOMIALS, TOLERANCE
from zuko.transforms import MonotonicRQSTransform

VERSIONS = ("zuko", "torch")


def _tasks(flow, sizes):
    return tasks(flow, sizes, lambda x: flow().log_prob(x), lambda number: flow().sample((number,)))


_SPLINE = {
    "univariate": functools.partial(MonotonicRQSTransform, bound=BOUND),
    "shapes": [(NUM_BINS,), (NUM_BINS,), (NUM_BINS - 1,)],
}
_POLYNOMIALS = {"polynomials": NUM_POLYNOMIALS, "degree": DEGREE}


def _workload(flow, **kwargs):
    def build(sizes):
        hidden, layers = sizes.hidden_units, sizes.num_layers
        return _tasks(
            flow(sizes.event_size, transforms=layers, hidden_features=hidden, **kwargs), sizes
        )

    return build


def _ffjord(exact):
    def build(sizes):
        # With one frequency, time gives the fewest inputs of the network: its sine and cosine.
        flow = zuko.flows.CNF(
            sizes.event_size,
            freqs=1,
            atol=TOLERANCE,
            rtol=TOLERANCE,
            exact=exact,
            hidden_features=sizes.hidden_units,
            activation=torch.nn.Tanh,
        )
        return _tasks(flow, sizes)

    return build


WORKLOADS = {
    "affine_coupling": _workload(zuko.flows.RealNVP),
    "spline_coupling": _workload(zuko.flows.NICE, **_SPLINE),
    "spline_autoregressive": _workload(zuko.flows.MAF, **_SPLINE),
    "maf": _workload(zuko.flows.MAF),
    "maf63": _workload(zuko.flows.MAF),
    "umnn": _workload(zuko.flows.UNAF),
    "sos": _workload(zuko.flows.SOSPF, **_POLYNOMIALS),
    "naf": _workload(zuko.flows.NAF),
    "ffjord2": _ffjord(exact=True),
    "ffjord6": _ffjord(exact=True),
    "ffjord6_hutchinson": _ffjord(exact=False),
}
