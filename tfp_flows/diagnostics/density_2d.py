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
    flow: tfd.Distribution | keras.Layer,
    ax: Any = None,
    *,
    context: ArrayLike | None = None,
    bounds: ArrayLike | None = None,
    num_points: int = 100,
    seed: int = 0,
) -> Any:
    """Draws p(x) over a grid of two columns.

    Args:
      flow: a TFP distribution over vectors of two numbers, or a model or layer around one.
      ax: axes of matplotlib, or `None` for a new figure.
      context: one context `[*context]` of a conditional flow.
      bounds: `(low, high)` of the first column and of the second, for example `((-3, 3), (-3, 3))`.
        By default they are those of 1,000 samples without the outermost hundredth.
      num_points: points of the grid along each axis, at least two.
      seed: a Python `int`, for the samples.

    Returns:
      The axes.

    Raises:
      TypeError: if `flow` is not a distribution, or a number has the wrong type.
      ValueError: if its events are not vectors of two, a context is missing or has another shape,
        or `bounds` are not two intervals.
      ImportError: if matplotlib is not installed.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=1, hidden_units=(4,))
      >>> ax = tfpf.diagnostics.density_2d(flow, bounds=((-3, 3), (-3, 3)), num_points=20)
      >>> ax.get_xlabel(), ax.get_ylabel()  # the columns
      ('0', '1')

    See also: `tfpf.diagnostics.pairs` for more columns.
    """
    flow = distribution_of(flow)
    if flow.event_shape != [2]:
        raise ValueError(
            f"`flow` must be over vectors of two numbers. Received: event_shape={flow.event_shape}"
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
