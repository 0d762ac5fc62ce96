"""Samples of a distribution, as Keras runs a layer."""

import keras


class Samples(keras.Layer):
    """Samples and their densities in one pass, as a layer, so that networks know the mode."""

    def __init__(self, flow, num_samples):
        super().__init__(name="samples", dtype="float32", autocast=False)
        self._flow = flow
        self._num_samples = num_samples
        self.built = True

    def call(self, seed):
        return self._flow.experimental_sample_and_log_prob(self._num_samples, seed=seed)
