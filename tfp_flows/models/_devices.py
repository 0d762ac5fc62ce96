"""What several devices have counted apart, brought together."""

import keras
import tensorflow as tf


def average_devices(model: keras.Model) -> None:
    """Gives each device the mean of the statistics that every one has kept for its own rows.

    Args:
      model: a `keras.Model`. Variables with the synchronization "on_read" are averaged, such as
        those of `BatchNorm`.
    """
    with model.distribute_strategy.scope():
        for variable in model.non_trainable_variables:
            if variable.synchronization == "on_read":
                variable.assign(tf.identity(variable.value))
