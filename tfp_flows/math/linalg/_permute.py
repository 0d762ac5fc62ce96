"""A permutation of an axis."""

import numpy as np
import tensorflow as tf


def permute(x, order, axis=-1):
    """y_i = x_order(i) along an axis.

    The gradient is the inverse permutation, a gather as well, where that of `tf.gather` would be
    a scatter and twenty operations to prepare it.

    Args:
      x: `Tensor`, whose axis has as many entries as `order`.
      order: a permutation of 0 ... D - 1, an array or a sequence of Python `int`s.
      axis: Python `int`.

    Returns:
      A `Tensor` of the shape of `x`.
    """
    back = np.argsort(order)

    @tf.custom_gradient
    def gather(x):
        return tf.gather(x, order, axis=axis), lambda upstream: permute(upstream, back, axis)

    return gather(x)
