"""Kernels scaled to have at most a given norm, in every call."""

import math
from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.math.linalg.spectral_norm import convolution_norm_bound, spectral_norm_bound

NORMS = (2, 1, "inf")


def lipschitz_kernel(
    kernel: tf.Tensor,
    coefficient: float,
    norm: int | str = 2,
    image_shape: Sequence[int] | None = None,
) -> tf.Tensor:
    r"""$W \min(1, c / |W|)$

    Scales the kernel of the map x W or, with `image_shape`, of the convolution of x by W.

    Args:
      kernel: W, `[n, m]`, or `[k_h, k_w, n, m]` for a convolution of stride one that pads with
        zeros.
      coefficient: c.
      norm: 2, 1 or "inf": the norm of x that induces |W|. An upper bound takes the place of |W|.
        For 2 it is `tfpf.math.spectral_norm_bound` or `tfpf.math.convolution_norm_bound`.
      image_shape: height and width of the images of a convolution.

    Returns:
      A `Tensor` of the shape of `kernel`.
    """
    if norm == 2 and image_shape is None:
        size = spectral_norm_bound(kernel)
    elif norm == 2:
        size = convolution_norm_bound(kernel, image_shape)  # type: ignore[arg-type]  # not `None`
    else:
        # Sums over all outputs of one input, or over all inputs of one output.
        places = tuple(range(kernel.shape.rank - 2))
        axes = (*places, -1) if norm == 1 else (*places, -2)
        size = tf.reduce_max(tf.reduce_sum(tf.abs(kernel), axis=axes))
    # The formula min(1, c / |W|) itself would have the gradient NaN at W = 0.
    return kernel * (coefficient / tf.maximum(size, coefficient))


def typical_gain(num_in: int, num_out: int, norm: int | str) -> float:
    """Returns about how much smaller x W is than x, by root mean squares of their coordinates.

    W is a matrix of random numbers, scaled to the norm 1. If its largest singular value is 1, the
    sizes of most outputs are far below that of x where there are many more outputs than inputs.
    """
    if norm == 2:
        return math.sqrt(num_in) / (math.sqrt(num_in) + math.sqrt(num_out))
    return math.sqrt(num_in) / (num_out if norm == 1 else num_in)
