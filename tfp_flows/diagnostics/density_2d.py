"""The density of a flow in two dimensions."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import distributions as tfd

from tfp_flows import _checks
from tfp_flows.diagnostics._optional import axes_or_new
from tfp_flows.diagnostics._rows import distribution_of, given_one_context, log_prob


def density_2d(
    flow: tfd.Distribution | keras.Model,
    ax: Any = None,
    *,
    context: ArrayLike | None = None,
    bounds: ArrayLike | None = None,
    num_points: int = 100,
    seed: int = 0,
) -> Any:
    """Draws p(x) over a grid of two columns.

    ```python
    ax = tfp_flows.diagnostics.density_2d(tfp_flows.flows.maf(2), num_points=40)
    ```

    Args:
      flow: a TFP distribution over vectors of two, or a model around one.
      ax: axes of matplotlib, or `None` for a new figure.
      context: one context `[*context]` of a conditional flow.
      bounds: `(low, high)` of the first column and of the second, `((-3, 3), (-3, 3))`; by default
        those of 1,000 samples without the outermost hundredth.
      num_points: points of the grid along each axis, at least two.
      seed: a Python `int`, of the samples.

    Returns:
      The axes.

    Raises:
      TypeError: if `flow` is no distribution, or a number has the wrong type.
      ValueError: if its events are no vectors of two, a context is missing or of another shape, or
        `bounds` are not two intervals.
      ImportError: if matplotlib is not installed.
    """
    flow = distribution_of(flow)
    if flow.event_shape != [2]:
        raise ValueError(
            f"`flow` must be over vectors of two. Received: event_shape={flow.event_shape}"
        )
    flow = given_one_context(flow, context)
    num_points = _checks.integer_at_least(num_points, 2, "num_points")
    if bounds is None:
        seed = tf.constant([_checks.integer_at_least(seed, 0, "seed"), 0], tf.int32)
        bounds = np.quantile(flow.sample(1000, seed=seed), [0.005, 0.995], axis=0).T
    bounds = np.asarray(bounds, np.float64)
    if bounds.shape != (2, 2) or not (bounds[:, 0] < bounds[:, 1]).all():
        raise ValueError(
            "`bounds` must be ((low, high), (low, high)), low below high. "
            f"Received: bounds={bounds.tolist()}"
        )
    first, second = (np.linspace(low, high, num_points) for low, high in bounds)
    grid = np.stack(np.meshgrid(first, second), axis=-1).reshape([-1, 2])
    density = np.exp(log_prob(flow, grid.astype(flow.dtype.as_numpy_dtype)))
    ax = axes_or_new(ax)
    ax.pcolormesh(first, second, density.reshape([num_points, num_points]), shading="nearest")
    ax.set_xlabel("0")
    ax.set_ylabel("1")
    return ax
