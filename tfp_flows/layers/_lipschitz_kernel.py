"""Kernels held below a norm, in every call."""

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
    """W min(1, c / |W|), for the map x W or, with `image_shape`, the convolution of x by W.

    Args:
      kernel: W, `[n, m]`, or `[k_h, k_w, n, m]` of a convolution of stride one with zeros around.
      coefficient: c.
      norm: 2, 1 or "inf": the norm of x that induces |W|. |W| is bounded from above, for 2 by
        `tfp_flows.math.spectral_norm_bound` or `convolution_norm_bound`.
      image_shape: H and W of a convolution.

    Returns:
      A `Tensor` of the shape of `kernel`.
    """
    if norm == 2 and image_shape is None:
        size = spectral_norm_bound(kernel)
    elif norm == 2:
        size = convolution_norm_bound(kernel, image_shape)
    else:
        # What one input gives to all outputs, or one output takes from all inputs.
        places = tuple(range(kernel.shape.rank - 2))
        axes = (*places, -1) if norm == 1 else (*places, -2)
        size = tf.reduce_max(tf.reduce_sum(tf.abs(kernel), axis=axes))
    # Not min(1, c / |W|) as it stands, whose gradient is NaN at W = 0.
    return kernel * (coefficient / tf.maximum(size, coefficient))
