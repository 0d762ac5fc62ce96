"""What every recipe does the same way."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import checks
from tfp_flows.distributions import Flow

tfd = tfp.distributions
tfb = tfp.bijectors


def vector_size(event_shape, minimum=1):
    """D of an `event_shape` given as D or `(D,)`.

    Raises:
      ValueError: if it has another rank, or D is below `minimum`.
      TypeError: if it does not hold integers.
    """
    sizes = [event_shape] if np.ndim(event_shape) == 0 else list(event_shape)
    if len(sizes) != 1:
        raise ValueError(
            "`event_shape` must be D or `(D,)`: the recipe is for vectors. "
            f"Received: event_shape={event_shape!r}"
        )
    return checks.integer_at_least(sizes[0], minimum, "event_shape")


def seeds(seed, count):
    """Distinct seeds that follow from one, or `None`s."""
    if seed is None:
        return [None] * count
    checks.integer_at_least(seed, 0, "seed")
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(count) >> 1]


def permutations(size, layer_seeds):
    """Random permutations, one a layer, of which the last undoes the others.

    A flow of layers that start as the identity then starts as its base, whatever that is.
    """
    drawn, composed = [], np.arange(size)
    for seed in layer_seeds[:-1]:
        drawn.append(np.random.default_rng(seed).permutation(size))
        composed = composed[drawn[-1]]
    return [*drawn, np.argsort(composed)]


def build(network, input_size, context_size):
    """The network, built for inputs `[N, input_size]` and contexts `[N, context_size]`.

    Raises:
      ValueError: while a graph is traced, since its variables would belong to that graph.
    """
    if not tf.executing_eagerly():
        raise ValueError(
            "A recipe makes variables: call it outside of `tf.function` and of the functions of a "
            "joint distribution, and use its flow there. Received: a call while a graph is traced"
        )
    checks.integer_at_least(context_size, 0, "context_size")
    network.build((None, input_size), (None, context_size) if context_size else None)
    return network


def flow(bijectors, event_size, base, dtype, name):
    """The distribution of y = f_1(f_2(...(u))) for u of the base, a standard normal by default.

    Args:
      bijectors: a list, from data to base.
      event_size: D.
      base: a TFP distribution over vectors of D, or `None`.
      dtype: float dtype of the default base.
      name: Python `str`.

    Raises:
      TypeError: if `base` is not a distribution.
      ValueError: if its event shape does not fit.
    """
    if base is None:
        dtype = tf.as_dtype(dtype)
        standard = tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype))
        base = tfd.Sample(standard, sample_shape=[event_size])
    if not isinstance(base, tfd.Distribution):
        raise TypeError(f"`base` must be a TFP distribution. Received: base={base!r}")
    if not base.event_shape.is_compatible_with([event_size]):
        raise ValueError(
            f"`base` must have event shape [{event_size}]. "
            f"Received: base.event_shape={base.event_shape}"
        )
    # The chain has the name, not the flow: a joint distribution takes a name for one that the
    # user has chosen, and refuses two alike.
    return Flow(base, tfb.Chain(bijectors, name=name))
