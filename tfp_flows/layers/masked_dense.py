"""Dense layers with a constant mask on their kernel."""

import keras
import tensorflow as tf

from tfp_flows.layers.rows_last_dense import rows_last_product


class MaskedDense(keras.layers.Dense):
    """y = x (W * M) + b, with the constant mask M a boolean array of the kernel's shape."""

    def __init__(self, units, mask, **kwargs):
        super().__init__(units, **kwargs)
        self._mask = mask

    def call(self, inputs):
        """Returns `inputs` times the masked kernel, plus the bias."""
        return tf.matmul(inputs, self.masked_kernel()) + self.bias

    def masked_kernel(self):
        """W * M, in the dtype of computation."""
        kernel = tf.cast(self.kernel, self.compute_dtype)
        # Not a product: gradients of masked entries may overflow, and inf * 0 is NaN.
        return tf.where(self._mask, kernel, tf.zeros([], kernel.dtype))


class MaskedRowsLastDense(MaskedDense):
    """y = x (W * M) + b, computed as `RowsLastDense` does."""

    def call(self, inputs):
        """Returns `inputs` times the masked kernel, plus the bias."""
        return rows_last_product(inputs, self.masked_kernel(), self.bias)
