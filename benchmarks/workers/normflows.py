"""The workloads in normflows, on torch's CPU backend."""

import normflows as nf
import torch
from normflows.flows.neural_spline.autoregressive import (
    MaskedPiecewiseRationalQuadraticAutoregressive,
)
from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling
from torch_tasks import tasks
from workloads import BOUND, COEFFICIENT, MORE_TERMS, NUM_BINS, NUM_TERMS

VERSIONS = ("normflows", "torch")
_SPLINE = {"num_bins": NUM_BINS, "tails": "linear", "tail_bound": BOUND}
NUM_ITERATIONS = 5  # power iterations for a spectral norm, after each step


class _Inverted(nf.flows.Flow):
    """A layer, inverted so that its fast direction is that of the density."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, z):
        return self.layer.inverse(z)

    def inverse(self, z):
        return self.layer(z)


class _Conditioner(nf.nets.MLP):
    """Its MLP, with the second argument that its spline couplings pass."""

    def forward(self, inputs, context=None):
        return super().forward(inputs)


def _tasks(layers, sizes, after_step=None):
    base = nf.distributions.DiagGaussian(sizes.event_size, trainable=False)
    flow = nf.NormalizingFlow(base, layers)
    return tasks(
        flow,
        sizes,
        flow.log_prob,
        lambda number: flow.sample(number)[0],
        None if after_step is None else lambda: after_step(flow),
    )


def affine_coupling(sizes):
    half = sizes.event_size // 2
    layers = []
    for _ in range(sizes.num_layers):
        network = nf.nets.MLP([half, *sizes.hidden_units, 2 * half])
        layers += [nf.flows.AffineCouplingBlock(network), nf.flows.Permute(2 * half, mode="swap")]
    return _tasks(layers, sizes)


def spline_coupling(sizes):
    """Built from parts, since the ready-made layer has a residual network and an extra spline."""
    half = sizes.event_size // 2

    def conditioner(inputs, outputs):
        return _Conditioner([inputs, *sizes.hidden_units, outputs])

    layers = []
    for i in range(sizes.num_layers):
        # Coordinates with a mask above zero are transformed.
        mask = torch.tensor([(j < half) == (i % 2 == 1) for j in range(sizes.event_size)])
        layers.append(
            _Inverted(PiecewiseRationalQuadraticCoupling(mask.int(), conditioner, **_SPLINE))
        )
    return _tasks(layers, sizes)


def _autoregressive(layer, **kwargs):
    def build(sizes):
        layers = []
        for _ in range(sizes.num_layers):
            one = layer(
                sizes.event_size,
                sizes.hidden_units[0],
                num_blocks=len(sizes.hidden_units) - 1,
                use_residual_blocks=False,
                **kwargs,
            )
            layers += [_Inverted(one), nf.flows.Permute(sizes.event_size)]
        return _tasks(layers, sizes)

    return build


def planar(sizes):
    shape = (sizes.event_size,)
    return _tasks(
        [nf.flows.Planar(shape, act="leaky_relu") for _ in range(sizes.num_layers)], sizes
    )


def residual(sizes):
    widths = [sizes.event_size, *sizes.hidden_units, sizes.event_size]
    layers = []
    for _ in range(sizes.num_layers):
        network = nf.nets.LipschitzMLP(
            widths,
            # It bounds each kernel; we bound the network.
            lipschitz_const=COEFFICIENT ** (1 / (len(widths) - 1)),
            max_lipschitz_iter=NUM_ITERATIONS,
            init_zeros=False,
        )
        # The first of the further terms is always taken, too.
        layers.append(
            nf.flows.Residual(network, n_exact_terms=NUM_TERMS - 1, geom_p=1.0 - MORE_TERMS)
        )
    return _tasks(layers, sizes, lambda flow: nf.utils.update_lipschitz(flow, NUM_ITERATIONS))


WORKLOADS = {
    "affine_coupling": affine_coupling,
    "spline_coupling": spline_coupling,
    "spline_autoregressive": _autoregressive(
        MaskedPiecewiseRationalQuadraticAutoregressive, **_SPLINE
    ),
    "maf": _autoregressive(nf.flows.MaskedAffineAutoregressive),
    "maf63": _autoregressive(nf.flows.MaskedAffineAutoregressive),
    "planar": planar,
    "residual": residual,
}
