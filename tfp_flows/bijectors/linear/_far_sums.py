"""Sums that stay finite up to the largest numbers of a dtype."""

import tensorflow as tf

# Scaling by a power of two is exact.
_SMALL = 2.0**-20


def scaled_down(x: tf.Tensor) -> tf.Tensor:
    """Returns x, scaled so that sums of the largest numbers stay finite.

    Without the scaling such sums overflow, and inf - inf is NaN. An infinity, which comes from an
    overflow in an earlier layer, is replaced by the largest number of the dtype.
    """
    return _SMALL * tf.clip_by_value(x, x.dtype.min, x.dtype.max)


def scaled_up(y: tf.Tensor) -> tf.Tensor:
    """Returns y in the scale of x, where y is what a linear map makes of `scaled_down(x)`."""
    return y / _SMALL
