"""The registry of what maps series in time, `[T, C]`; `test_image_contract.py` runs over it."""

import numpy as np
from image_cases import ImageCase, recipe

import tfp_flows as tfpf

B = tfpf.bijectors
F = tfpf.flows


def wavenet(shape, output_channels, dtype, context_size=0, **options):
    """A built network with smooth activations, since finite differences see every kink."""
    options = {"hidden_channels": (4,), "activation": "tanh", "seed": 1, **options}
    network = tfpf.layers.WaveNet(
        output_channels, context_size=context_size, dtype=dtype, **options
    )
    context_shape = (None, *tfpf.checks.context_shape(context_size)) if context_size else None
    network.build((None, *shape), context_shape)
    return network


def coupling_of_steps(dtype):
    """Every second step, given the others."""
    network = wavenet((8, 2), 4, dtype)
    return B.Coupling(network, B.Affine, mask=(np.arange(8) % 2 == 0)[:, np.newaxis])


def series_squeeze(dtype):
    del dtype
    return B.Squeeze(4, event_ndims=2)


# `tests/layers/test_wavenet.py` has deeper networks, and contexts of vectors.
SMALL = {"hidden_channels": (4,), "dilations": (2,), "num_layers": 1}
CASES = [
    ImageCase("squeeze_series", series_squeeze, ("Squeeze",), shape=(2, 8), base_shape=(8, 2)),
    ImageCase("coupling_of_steps", coupling_of_steps, ("Coupling",), shape=(8, 2)),
    ImageCase(
        "waveglow_context",
        recipe(
            F.waveglow,
            (16, 1),
            factor=4,
            num_scales=2,
            num_leaving=1,
            context_size=(2, 3),
            **SMALL,
        ),
        ("waveglow", "MultiScale", "InvertibleConv1x1"),
        shape=(16, 1),
        base_shape=(16,),
        context_size=(2, 3),
    ),
    ImageCase(
        "parallel_wavenet_context",
        recipe(F.parallel_wavenet, (6, 2), context_size=(3, 2), **SMALL),
        ("parallel_wavenet", "Autoregressive"),
        shape=(6, 2),
        context_size=(3, 2),
    ),
    ImageCase(
        "wavenet",
        recipe(F.wavenet, (6, 2), **SMALL),
        ("wavenet", "Autoregressive"),
        shape=(6, 2),
    ),
]

RECIPES = [case for case in CASES if hasattr(case.make, "flow")]
