"""Sums of the largest numbers of a dtype, which stay numbers."""

import tensorflow as tf

# A power of two, which changes no digit.
_SMALL = 2.0**-20


def scaled_down(x):
    """x at a size at which sums of the largest numbers are finite: inf - inf would be NaN.

    The largest number stands for an infinity, where a layer before has overflowed.
    """
    return _SMALL * tf.clip_by_value(x, x.dtype.min, x.dtype.max)


def scaled_up(y):
    """What a linear map makes of `scaled_down(x)`, at the size of x."""
    return y / _SMALL
