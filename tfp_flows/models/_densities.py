"""Computes densities of any number of rows, in batches."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows.models._arrays import checked_batch_size
from tfp_flows.models._batches import batches
from tfp_flows.models._first_look import looked_at
from tfp_flows.models._given_data import checked_dataset, is_array
from tfp_flows.models._likelihood_steps import LikelihoodSteps


class Densities(LikelihoodSteps):
    """A model of a distribution that computes the log-densities of rows.

    A subclass has the attributes `_arrays` and `_rows`, which check the rows.
    """

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """Returns the log-density of each row of `x`, or of `(context, x)`: `[N]`, in nats."""
        if is_array(batch_size) and np.ndim(batch_size):
            raise TypeError(
                "`batch_size` must be an integer. Give a context and x as one pair, "
                f"`predict((context, x))`. Received: batch_size of shape {np.shape(batch_size)}"
            )
        batch_size = checked_batch_size(batch_size)
        is_pair = self._is_conditional and isinstance(x, tuple | list)
        if not (is_pair or is_array(x) or isinstance(x, tuple)):
            dataset, is_empty = looked_at(checked_dataset(x), self._rows)
            num_rows = None
            if is_empty:
                return np.zeros([0], tf.as_dtype(self.compute_dtype).as_numpy_dtype)
        else:
            arrays, _ = self._arrays.checked(*(x if is_pair or isinstance(x, tuple) else (x,)))
            dataset, num_rows = batches(arrays, None, batch_size, shuffle=False), len(arrays[0])
        return super().predict(dataset, **kwargs)[:num_rows]

    def log_prob(
        self, x: ArrayLike, context: ArrayLike | None = None, batch_size: int | None = None
    ) -> np.ndarray:
        """Returns log p(x), or log p(x | c) with a context for each row: an array `[N]`, in nats.

        This is `predict` without a progress bar.
        """
        pair = x if context is None else (context, x)
        return self.predict(pair, batch_size=batch_size, verbose=0)
