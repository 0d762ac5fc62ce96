"""The registry of what maps images, over which `test_image_contract.py` runs.

As `cases.py`, for events of three axes; `test_completeness.py` looks into both.
"""

import dataclasses

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from cases import Case, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

COLOUR = (8, 8, 3)
GREY = (16, 16, 1)
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


B = tfpf.bijectors
F = tfpf.flows

CASES = [
    ImageCase(
        "squeeze",
        lambda dtype: tfb.Invert(B.Squeeze()),
        ("Squeeze",),
        base_shape=(4, 4, 12),
    ),
    ImageCase(
        "squeeze_by_four",
        lambda dtype: B.Squeeze(4),
        ("Squeeze",),
        shape=(4, 4, 16),
        base_shape=GREY,
    ),
]


def points(shape, batch=(3,), dtype="float64", seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=[*batch, *shape]), dtype)


def made(case, dtype="float64", scale=0.3, context_batch=()):
    """The bijector of a case away from the identity, bound to a context if it takes one."""
    bijector = case.make(dtype)
    perturb_image(bijector.variables, scale)
    if case.context_size:
        context = np.random.default_rng(7).normal(size=[*context_batch, case.context_size])
        bijector = tfpf.condition(bijector, context)
    return bijector


def perturb_image(variables, scale=0.3):
    """As `perturb`, of kernels by the number of their inputs."""
    rng = np.random.default_rng(0)
    kernels = [v for v in variables if v.shape.rank == 4]
    perturb([v for v in variables if v.shape.rank != 4], scale=scale)
    for kernel in kernels:
        noise = rng.normal(size=kernel.shape) * scale / np.sqrt(np.prod(kernel.shape[:3]))
        kernel.assign_add(tf.constant(noise, kernel.dtype))
