"""A number within a bound."""

import tensorflow as tf


def scaled_softsign(a, m):
    """a / (1 + |a| / m): in (-m, m), with a slope of one at zero that falls like 1 / a^2.

    Unlike that of a hyperbolic tangent the gradient is not zero far out, so that training comes
    back from there.
    """
    return a / (1.0 + tf.abs(a / m))
