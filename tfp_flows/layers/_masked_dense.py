"""A dense layer with a constant mask on its kernel."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.layers._rows_last_dense import RowsLastDense


class MaskedDense(RowsLastDense):
    r"""$y = (W * M)^\top x + s b$

    A dense layer whose kernel W has a constant mask M, a boolean array of the same shape.
    """

    def __init__(self, units: int, mask: np.ndarray, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self._mask = mask

    def used_kernel(self) -> tf.Tensor:
        """Returns W * M, in the compute dtype."""
        kernel = tf.cast(self.kernel, self.compute_dtype)
        # A product would give NaN where the gradient of a masked entry overflows, since 0 * inf is.
        return tf.where(self._mask, kernel, tf.zeros([], kernel.dtype))
