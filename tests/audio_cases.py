"""The registry of what maps series in time, `[T, C]`; `test_image_contract.py` runs over it."""

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
    context_shape = (None, *tfpf._checks.context_shape(context_size)) if context_size else None
    network.build((None, *shape), context_shape)
    return network


def series_squeeze(dtype):
    del dtype
    return B.Squeeze(4, event_ndims=2)


# `tests/layers/test_wavenet.py` has deeper networks, and contexts of vectors.
SMALL = {"hidden_channels": (4,), "dilations": (2,), "num_layers": 1}
CASES = [
    ImageCase("squeeze_series", series_squeeze, ("Squeeze",), shape=(2, 8), base_shape=(8, 2)),
    ImageCase(
        "waveglow_context",
        recipe(
            F.waveglow,
            (8, 1),
            factor=4,
            num_scales=2,
            num_leaving=1,
            context_size=(2, 3),
            **{**SMALL, "dilations": (1,)},
        ),
        ("waveglow", "MultiScale", "InvertibleConv1x1"),
        shape=(8, 1),
        base_shape=(8,),
        context_size=(2, 3),
        kernel=False,  # its parts are those of other cases, and slices
    ),
    ImageCase(
        "parallel_wavenet_context",
        recipe(F.parallel_wavenet, (4, 2), context_size=(2, 2), **SMALL),
        ("parallel_wavenet", "Autoregressive"),
        shape=(4, 2),
        context_size=(2, 2),
    ),
    ImageCase(
        "wavenet",
        recipe(F.wavenet, (4, 2), **SMALL),
        ("wavenet", "Autoregressive"),
        shape=(4, 2),
        kernel=False,  # it is `parallel_wavenet` the other way round
    ),
]

RECIPES = [case for case in CASES if hasattr(case.make, "flow")]
