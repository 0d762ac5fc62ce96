"""A Keras layer for variables that belong to no other layer."""

import keras
import tensorflow as tf


class _LooseVariables(keras.Layer):
    """The variables of a distribution that belong to no Keras layer."""

    def __init__(self, variables: list[tf.Variable]) -> None:
        super().__init__(name="loose_variables")
        # `keras.Variable` adopts a `tf.Variable` as it is, unless a dtype asks for a copy.
        self.adopted = [
            keras.Variable(variable, trainable=variable.trainable) for variable in variables
        ]
        self.built = True
