"""The samples of the steps of a `VariationalModel`, and what Keras gets in place of data."""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.models._batches import BY_ROWS


class Samples(keras.Layer):
    """Draws samples and their densities in one pass; as a layer, networks know the mode."""

    def __init__(self, flow: tfp.distributions.Distribution, num_samples: int) -> None:
        super().__init__(name="samples", dtype="float32", autocast=False)
        self._flow = flow
        self._num_samples = num_samples
        self.built = True

    def call(self, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `(x, log q(x))` for a seed `[2]`."""
        return self._flow.experimental_sample_and_log_prob(self._num_samples, seed=seed)


def steps(count: int, num_replicas: int) -> tf.data.Dataset:
    """Numbers of the draws, one per replica and step, since Keras needs some data."""
    dataset = tf.data.Dataset.range(count * num_replicas).batch(num_replicas, drop_remainder=True)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = BY_ROWS
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return dataset.with_options(options)


def data_given(name: str, value: Any) -> ValueError:
    """The error for data, which a `VariationalModel` does not take."""
    return ValueError(
        f"`{name}` must not be given: the samples are the data. "
        f"Received: {name} of type {type(value).__name__}"
    )


def replica() -> tf.Tensor:
    """The number of this device among those that train."""
    return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
