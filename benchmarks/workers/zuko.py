"""The workloads in Zuko, on torch's CPU backend."""

import functools

import torch
import zuko
from workloads import BOUND, DEGREE, NUM_BINS, NUM_POLYNOMIALS
from zuko.transforms import MonotonicRQSTransform

torch.set_num_threads(1)
torch.manual_seed(0)
VERSIONS = ("zuko", "torch")


def tasks(flow, sizes):
    """The number of weights, and a function for each task."""
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3, fused=True)
    batch, points = torch.from_numpy(sizes.batch()), torch.from_numpy(sizes.points())

    def train():
        optimizer.zero_grad()
        loss = -flow().log_prob(batch).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def log_prob():
        return flow().log_prob(points).numpy()

    @torch.no_grad()
    def sample():
        return flow().sample((sizes.num_samples,)).numpy()

    num_weights = sum(parameter.numel() for parameter in flow.parameters())
    return num_weights, {"train": train, "log_prob": log_prob, "sample": sample}


_SPLINE = {
    "univariate": functools.partial(MonotonicRQSTransform, bound=BOUND),
    "shapes": [(NUM_BINS,), (NUM_BINS,), (NUM_BINS - 1,)],
}
_POLYNOMIALS = {"polynomials": NUM_POLYNOMIALS, "degree": DEGREE}


def _workload(flow, **kwargs):
    def build(sizes):
        hidden, layers = sizes.hidden_units, sizes.num_layers
        return tasks(
            flow(sizes.event_size, transforms=layers, hidden_features=hidden, **kwargs), sizes
        )

    return build


WORKLOADS = {
    "affine_coupling": _workload(zuko.flows.RealNVP),
    "spline_coupling": _workload(zuko.flows.NICE, **_SPLINE),
    "spline_autoregressive": _workload(zuko.flows.MAF, **_SPLINE),
    "maf": _workload(zuko.flows.MAF),
    "umnn": _workload(zuko.flows.UNAF),
    "sos": _workload(zuko.flows.SOSPF, **_POLYNOMIALS),
    "naf": _workload(zuko.flows.NAF),
}
