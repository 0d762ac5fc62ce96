"""The workloads in nflows, on torch's CPU backend."""

import torch
from nflows import transforms as T
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import MLP
from torch_tasks import tasks
from workloads import BOUND, NUM_BINS

VERSIONS = ("nflows", "torch")
_SPLINE = {"num_bins": NUM_BINS, "tails": "linear", "tail_bound": BOUND}


class _Conditioner(MLP):
    """Its MLP, with the second argument that its couplings pass."""

    def forward(self, inputs, context=None):
        return super().forward(inputs)


def _tasks(layers, sizes):
    flow = Flow(T.CompositeTransform(layers), StandardNormal([sizes.event_size]))
    return tasks(flow, sizes, flow.log_prob, flow.sample)


def _coupling(transform, **kwargs):
    def build(sizes):
        def conditioner(inputs, outputs):
            return _Conditioner([inputs], [outputs], sizes.hidden_units)

        half = sizes.event_size // 2
        layers = []
        for i in range(sizes.num_layers):
            # Coordinates with a mask above zero are transformed.
            mask = torch.tensor([(j < half) == (i % 2 == 1) for j in range(sizes.event_size)])
            layers.append(transform(mask.int(), conditioner, **kwargs))
        return _tasks(layers, sizes)

    return build


def _autoregressive(transform, **kwargs):
    def build(sizes):
        layers = []
        for i in range(sizes.num_layers):
            if i:
                layers.append(T.ReversePermutation(sizes.event_size))
            layer = transform(
                sizes.event_size,
                sizes.hidden_units[0],
                num_blocks=len(sizes.hidden_units) - 1,
                use_residual_blocks=False,
                **kwargs,
            )
            layers.append(layer)
        return _tasks(layers, sizes)

    return build


WORKLOADS = {
    "affine_coupling": _coupling(T.AffineCouplingTransform),
    "spline_coupling": _coupling(T.PiecewiseRationalQuadraticCouplingTransform, **_SPLINE),
    "spline_autoregressive": _autoregressive(
        T.MaskedPiecewiseRationalQuadraticAutoregressiveTransform, **_SPLINE
    ),
    "maf": _autoregressive(T.MaskedAffineAutoregressiveTransform),
    "maf63": _autoregressive(T.MaskedAffineAutoregressiveTransform),
}
