"""Seeds for stateless generators."""

import numbers
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _checks


def stateless_seed(seed: Any) -> tf.Tensor:
    """An int32 `Tensor` `[2]`; for an integer always the same, whatever was drawn before."""
    if isinstance(seed, numbers.Integral | np.integer):
        seed = _checks.integer_at_least(seed, -(2**63), "seed")
        # Both halves of its 64 bits.
        return tf.constant(np.array([seed], np.int64).view(np.int32))
    return tf.cast(tfp.random.sanitize_seed(seed), tf.int32)
