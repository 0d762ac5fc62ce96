"""Seeds of devices; `tests/models/test_strategy.py` has two of them."""

import numpy as np
import tensorflow as tf

from tfp_flows.math._replica_seed import replica_seed


def test_without_a_strategy_the_seed_is_itself():
    seed = tf.constant([3, 7], tf.int32)
    np.testing.assert_array_equal(replica_seed(seed), seed)
    np.testing.assert_array_equal(
        tf.function(replica_seed, jit_compile=True, autograph=False)(seed), seed
    )


def test_across_replicas_too():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        np.testing.assert_array_equal(replica_seed(tf.constant([3, 7])), [3, 7])
