"""Averages statistics that several devices have kept apart."""

import keras
import tensorflow as tf


def average_devices(model: keras.Model) -> None:
    """Sets the statistics of each device to their mean over all devices.

    Args:
      model: a `keras.Model`. Its variables with the synchronization "on_read" are averaged, such
        as those of `BatchNorm`.
    """
    with model.distribute_strategy.scope():
        for variable in model.non_trainable_variables:
            if variable.synchronization == "on_read":
                variable.assign(tf.identity(variable.value))
