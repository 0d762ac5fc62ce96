"""What a step of a `VariationalModel` draws, and what Keras is given in place of data."""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.models._batches import BY_ROWS


class Samples(keras.Layer):
    """Samples and their densities in one pass, as a layer, so that networks know the mode."""

    def __init__(self, flow: tfp.distributions.Distribution, num_samples: int) -> None:
        super().__init__(name="samples", dtype="float32", autocast=False)
        self._flow = flow
        self._num_samples = num_samples
        self.built = True

    def call(self, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(x, log q(x))` for a seed `[2]`."""
        return self._flow.experimental_sample_and_log_prob(self._num_samples, seed=seed)


def steps(count: int, num_replicas: int) -> tf.data.Dataset:
    """The numbers of the draws, one for each replica in each step: Keras wants some data."""
    dataset = tf.data.Dataset.range(count * num_replicas).batch(num_replicas, drop_remainder=True)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = BY_ROWS
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return dataset.with_options(options)


def data_given(name: str, value: Any) -> ValueError:
    """The error that data end in, which a `VariationalModel` has no use for."""
    return ValueError(
        f"`{name}` must not be given: the samples are the data. "
        f"Received: {name} of type {type(value).__name__}"
    )


def replica() -> tf.Tensor:
    """The number of this device among those that train."""
    return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
