"""The registry of what maps images, over which `test_image_contract.py` runs.

As `cases.py`, for events of three axes; `test_completeness.py` looks into both.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from cases import Case, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

COLOUR = (4, 4, 3)
GREY = (8, 8, 1)
C = 2  # size of a context


@dataclasses.dataclass(frozen=True)
class ImageCase(Case):
    """A `Case` whose images, the outputs of `forward`, have the `shape`.

    Attributes:
      shape: `(H, W, C)` of images.
      base_shape: that of the inputs of `forward`, where it is another.
    """

    shape: tuple = COLOUR
    base_shape: tuple = ()

    @property
    def input_shape(self):
        return self.base_shape or self.shape


def conv_net(shape, output_channels, dtype, cls=tfpf.layers.ConvNet, context_size=0, **options):
    """A built network with smooth activations, since finite differences see every kink."""
    options = {"hidden_channels": (8,), "activation": "tanh", "seed": 1, **options}
    network = cls(output_channels, context_size=context_size, dtype=dtype, **options)
    network.build((None, *shape), (None, network.context_size) if network.context_size else None)
    return network


def coupling(shape, transformer, kwargs=None, mask="checkerboard", context_size=0, **options):
    """A maker of couplings of images; with a mask of channels both parts have their own."""
    kwargs = kwargs or {}
    height, width, channels = shape
    is_channels = isinstance(mask, str) and mask == "channels"
    in_a = channels - channels // 2 if is_channels else channels
    out_b = channels // 2 if is_channels else channels

    def make(dtype):
        network = conv_net(
            (height, width, in_a),
            out_b * transformer.params_size(**kwargs),
            dtype,
            context_size=context_size,
            **options,
        )
        return tfpf.bijectors.Coupling(
            network, transformer, kwargs, mask=mask, context_size=network.context_size
        )

    return make


def recipe(make_flow, shape, **options):
    """A maker of the bijector of a recipe; `make.flow(dtype)` makes the distribution."""
    settings = {"hidden_channels": (8,), "activation": "tanh", **options}
    settings = {name: value for name, value in settings.items() if value is not None}

    def flow(dtype):
        return make_flow(shape, seed=1, dtype=dtype, **settings)

    def make(dtype):
        return flow(dtype).bijector

    make.flow = flow
    return make


def masked_convolution(dtype):
    """In the reversed order."""
    network = tfpf.layers.MaskedConvNet((3,), context_size=C, seed=1, dtype=dtype)
    network.build((None, *COLOUR), (None, C))
    return tfpf.bijectors.MaskedConvolution(network, reverse=True)


def dequantizer(dtype):
    """The bijector of images of twice the channels that makes the noise."""
    shape = (4, 4, 1)
    noise = tfd.Sample(tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype)), shape)
    options = {"num_layers": 2, "hidden_channels": (4,), "activation": "tanh", "seed": 1}
    return F.variational_dequantization(noise, 17, dtype=dtype, **options).dequantizer


B = tfpf.bijectors
F = tfpf.flows

CASES = [
    ImageCase(
        "squeeze",
        lambda dtype: tfb.Invert(B.Squeeze()),
        ("Squeeze",),
        base_shape=(2, 2, 12),
    ),
    ImageCase(
        "squeeze_by_four",
        lambda dtype: B.Squeeze(4),
        ("Squeeze",),
        shape=(2, 2, 16),
        base_shape=GREY,
    ),
    ImageCase(
        "coupling_checkerboard",
        coupling(GREY, B.Affine, {"max_log_scale": 2.0}),
        ("Coupling",),
        shape=GREY,
        kernel=False,  # `test_image_recipes.py` trains such layers under XLA
    ),
    ImageCase(
        "coupling_channels_spline_context",
        coupling(COLOUR, B.RationalQuadraticSpline, {"num_bins": 4}, "channels", context_size=C),
        ("Coupling",),
        context_size=C,
        kernel=False,
    ),
    ImageCase(
        "coupling_image_context",
        coupling((4, 4, 2), B.Affine, mask="channels", context_shape=(8, 8, 1)),
        ("Coupling",),
        shape=(4, 4, 2),
        context_size=64,
        kernel=False,
    ),
    ImageCase(
        "multiscale",
        recipe(F.multiscale, COLOUR, num_layers=1),
        ("multiscale",),  # `MultiScale` as a part is that of `waveglow_context`
        base_shape=(48,),
    ),
    ImageCase(
        "glow_context",
        recipe(F.glow, GREY, num_scales=2, num_layers=1, context_size=C),
        ("glow",),
        shape=GREY,
        base_shape=(64,),
        context_size=C,
    ),
    ImageCase(
        "flow_plus_plus_images",
        recipe(
            F.flow_plus_plus,
            (4, 4, 1),
            num_layers=1,
            num_components=2,
            hidden_units=(4,),
            num_heads=2,
            hidden_channels=None,
        ),
        ("flow_plus_plus",),
        shape=(4, 4, 1),
        base_shape=(16,),
    ),
    ImageCase(
        "neural_spline_images",
        recipe(
            F.neural_spline,
            (4, 4, 3),
            num_layers=1,
            num_scales=1,
            num_bins=4,
            hidden_units=(4,),
            hidden_channels=None,
        ),
        ("neural_spline",),
        shape=(4, 4, 3),
        base_shape=(48,),
    ),
    ImageCase(
        "residual_images",
        recipe(
            F.residual,
            (4, 4, 1),
            num_layers=1,
            num_scales=1,
            hidden_units=(4,),
            hidden_channels=None,
            activation=None,
        ),
        ("residual",),
        shape=(4, 4, 1),
        base_shape=(16,),
        float64=1e-8,
    ),
    ImageCase(
        "masked_convolution_context",
        masked_convolution,
        ("MaskedConvolution",),
        context_size=C,
        float64=1e-8,
    ),
    ImageCase(
        "mintnet_context",
        recipe(
            F.mintnet,
            (4, 4, 1),
            num_scales=1,
            num_layers=1,
            hidden_channels=(4,),
            activation=None,
            context_size=C,
        ),
        ("mintnet",),
        shape=(4, 4, 1),
        base_shape=(16,),
        context_size=C,
        float64=1e-8,
    ),
    ImageCase(
        "variational_dequantization",
        dequantizer,
        ("variational_dequantization", "Coupling"),
        shape=(4, 4, 2),
        kernel=False,
    ),
]

RECIPES = [case for case in CASES if hasattr(case.make, "flow")]


def points(shape, batch=(3,), dtype="float64", seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=[*batch, *shape]), dtype)


def bound(case, bijector, batch=()):
    """The bijector of a case, bound to a context, or a batch of them, if it takes one."""
    if not case.context_size:
        return bijector
    shape = tfpf._checks.context_shape(case.context_size)
    return tfpf.condition(bijector, np.random.default_rng(7).normal(size=[*batch, *shape]))


def made(case, dtype="float64", scale=0.3):
    """The bijector of a case away from the identity, bound to a context if it takes one."""
    bijector = case.make(dtype)
    perturb_image(bijector.variables, scale)
    return bound(case, bijector)


def perturb_image(variables, scale=0.3):
    """As `perturb`, of kernels by the number of their inputs."""
    rng = np.random.default_rng(0)
    variables = [v.value if isinstance(v, keras.Variable) else v for v in variables]
    kernels = [v for v in variables if v.shape.rank == 4]
    perturb([v for v in variables if v.shape.rank != 4], scale=scale)
    for kernel in kernels:
        noise = rng.normal(size=kernel.shape) * scale / np.sqrt(np.prod(kernel.shape[:3]))
        kernel.assign_add(tf.constant(noise, kernel.dtype))
