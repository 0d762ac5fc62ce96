"""A dense layer with a constant mask on its kernel."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.layers._rows_last_dense import RowsLastDense


class MaskedDense(RowsLastDense):
    """y = (W * M)^T x + b, with the constant mask M a boolean array of the kernel's shape."""

    def __init__(self, units: int, mask: np.ndarray, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self._mask = mask

    def used_kernel(self) -> tf.Tensor:
        """W * M, in the dtype of computation."""
        kernel = tf.cast(self.kernel, self.compute_dtype)
        # Not a product: gradients of masked entries may overflow, and inf * 0 is NaN.
        return tf.where(self._mask, kernel, tf.zeros([], kernel.dtype))
