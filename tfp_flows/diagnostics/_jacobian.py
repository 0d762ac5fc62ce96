"""The Jacobian of a layer on a few rows, by autodiff."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_flows.diagnostics._layers import Layer

# How many copies of rows are evaluated at once.
_ROWS = 256


def log_det_and_condition(
    layer: Layer, rows: np.ndarray, context: np.ndarray | None, max_size: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """log |det J| in nats and the condition of J = dy/dx in each row, both `[N]` in float64.

    A layer of D numbers takes D evaluations with gradients for each row. An elementwise layer takes
    one, because its Jacobian is diagonal. Where the way to the base goes number by number, the
    Jacobian of the way back is computed and inverted.

    Args:
      layer: a `Layer`.
      rows: indices of rows.
      context: contexts of all rows, or `None`.
      max_size: the largest D.

    Returns:
      `None` if the layer changes the number of dimensions, or has more than `max_size` and is not
      elementwise.
    """
    goes_back = layer.is_sequential
    x = np.asarray(layer.y if goes_back else layer.x)[rows]
    context = None if context is None else context[rows]
    map_rows = layer.to_data if goes_back else layer.to_base
    size = int(np.prod(x.shape[1:]))
    if layer.is_elementwise:
        diagonal = np.abs(np.reshape(_gradient(map_rows, x, context, None), [len(x), -1]))
        with np.errstate(divide="ignore"):
            return np.log(diagonal).sum(axis=1), diagonal.max(axis=1) / diagonal.min(axis=1)
    if layer.changes_size or size > max_size:
        return None
    values = np.linalg.svd(_jacobians(map_rows, x, context, size), compute_uv=False)
    with np.errstate(divide="ignore"):
        log_det = np.log(values).sum(axis=1)
        return -log_det if goes_back else log_det, values[:, 0] / values[:, -1]


def _jacobians(
    map_rows: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    x: np.ndarray,
    context: np.ndarray | None,
    size: int,
) -> np.ndarray:
    """dy_i/dx_j of each row, `[N, D, D]`.

    Each row is copied D times, and the i-th copy gives the gradient of y_i.
    """
    rows, outputs = np.divmod(np.arange(len(x) * size), size)
    parts = []
    for start in range(0, len(rows), _ROWS):
        n, i = rows[start : start + _ROWS], outputs[start : start + _ROWS]
        parts.append(_gradient(map_rows, x[n], None if context is None else context[n], i))
    return np.reshape(np.concatenate(parts), [len(x), size, size])


def _gradient(
    map_rows: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    x: np.ndarray,
    context: np.ndarray | None,
    outputs: np.ndarray | None,
) -> np.ndarray:
    """The gradient of one output of each row, or of the sum of all outputs, in float64."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reshape(map_rows(x, context)[0], [len(x), -1])
        if outputs is not None:
            y = tf.gather(y, outputs, axis=1, batch_dims=1)
    gradient = tape.gradient(y, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return gradient.numpy().astype(np.float64)
