"""Seeds that differ between the devices of a `tf.distribute` strategy."""

from typing import Any

import tensorflow as tf


def replica_seed(seed: tf.Tensor) -> tf.Tensor:
    """Returns `seed + [r * odd, 0]` for the r-th device, and `seed` itself without a strategy.

    Every device has a copy of the state that seeds are made from, and all copies are equal. With
    equal seeds each device would draw the same numbers for its own rows, and a step over several
    devices would have the variance of one.

    Args:
      seed: integer `Tensor` `[2]`, of dtype int32, as for TensorFlow's stateless generators.
    """
    context = tf.distribute.get_replica_context()
    if context is None:  # across replicas, as when a model is built
        return seed
    replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
    # Odd, so that no two products are equal modulo 2^32. Large, so that no counter reaches them.
    return seed + tf.stack([replica * -1640531535, 0])


def next_replica_seed(seed_generator: Any) -> tf.Tensor:
    """The next state of a `keras.random.SeedGenerator` as a seed for this device."""
    return replica_seed(tf.cast(seed_generator.next(), tf.int32))
