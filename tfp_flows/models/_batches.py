"""Cuts arrays into a `tf.data.Dataset` of batches of one shape."""

import math

import numpy as np
import tensorflow as tf

from tfp_flows.models._counted_rows import CheckedBatch, counted_index

# Each of several workers takes a part of each batch.
BY_ROWS = tf.data.experimental.AutoShardPolicy.DATA


def batches(
    arrays: tuple[np.ndarray, ...],
    sample_weight: np.ndarray | None,
    batch_size: int,
    shuffle: bool,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Returns a dataset of `CheckedBatch`es that all have the same number of rows.

    Rows of weight zero are replaced by other rows, so that their content has no effect. The last
    batch is filled up with rows of weight zero. So no row is dropped, and XLA, which compiles again
    for every shape, compiles once.

    Args:
      arrays: a tuple of arrays with N rows each.
      sample_weight: an array `[N]`, or `None` for ones.
      batch_size: Python `int`.
      shuffle: Python `bool`: whether each pass over the data takes the rows in a new order.
      seed: Python `int` that fixes these orders; random if `None`.

    Returns:
      A `tf.data.Dataset` of known cardinality.
    """
    if sample_weight is not None and not sample_weight.all():
        index = counted_index(sample_weight)
        arrays = tuple(array[index] for array in arrays)
    num_rows = len(arrays[0])
    batch_size = min(batch_size, num_rows)
    steps = math.ceil(num_rows / batch_size)
    tensors = tuple(tf.constant(array) for array in arrays)
    # The weights of integer data are floats all the same.
    dtype = tensors[0].dtype if tensors[0].dtype.is_floating else tf.float32
    if sample_weight is None:
        sample_weight = tf.ones([num_rows], dtype)
    weight = tf.constant(sample_weight, dtype)

    def rows(seed: tf.Tensor) -> tf.data.Dataset:
        # int64 has no GPU kernel for shuffle's gather; int32 counts 2e9 rows.
        index = tf.range(num_rows)
        if shuffle:
            # Not `tf.random.shuffle`: with a global seed it gives every epoch the same order.
            index = tf.random.experimental.stateless_shuffle(index, tf.stack([seed, seed]))
        # The last batch is filled up with different rows of the data, marked by negative numbers.
        # One row many times would spoil the statistics of a batch norm.
        filling = -1 - index[: steps * batch_size - num_rows]
        index = tf.reshape(tf.concat([index, filling], axis=0), [steps, batch_size])
        return tf.data.Dataset.from_tensor_slices(index)

    def batch(index: tf.Tensor) -> CheckedBatch:
        row = tf.maximum(index, -1 - index)
        kept = tf.where(index >= 0, tf.gather(weight, row), tf.zeros([], weight.dtype))
        return CheckedBatch(tuple(tf.gather(tensor, row) for tensor in tensors), kept, row)

    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    dataset = seeds.flat_map(rows).map(batch)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    # With autotuning, the end of a dataset can wait up to 60 s for the next tuning step.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = BY_ROWS
    return dataset.prefetch(2).with_options(options)
