"""Arrays as a `tf.data.Dataset` of batches of one shape."""

import math

import numpy as np
import tensorflow as tf

from tfp_flows.models._counted_rows import CheckedBatch, counted_index

# Of each batch, several workers take a part each.
BY_ROWS = tf.data.experimental.AutoShardPolicy.DATA


def batches(
    arrays: tuple[np.ndarray, ...],
    sample_weight: np.ndarray | None,
    batch_size: int,
    shuffle: bool,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Yields each `CheckedBatch` of arrays; all of them have the same number of rows.

    Rows of weight zero are replaced by others, so that what they hold does not matter. The last
    batch is filled up with rows of weight zero: XLA compiles anew for every shape, and no row is
    dropped.

    Args:
      arrays: a tuple of arrays with N rows each.
      sample_weight: an array `[N]`, or `None` for ones.
      batch_size: Python `int`.
      shuffle: Python `bool`: rows come in another order every time the data are gone through.
      seed: Python `int` from which these orders follow, drawn if it is `None`.

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
    # Integer data must not make integers of their weights.
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
        # Rows of the data again, marked by negative numbers: others than one row many times, so
        # that the statistics of a batch norm are those of a batch like the rest.
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
    # Where tf.data tunes itself, the end of a dataset can wait for its next look: up to 60 s.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = BY_ROWS
    return dataset.prefetch(2).with_options(options)
