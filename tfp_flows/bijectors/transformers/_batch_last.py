"""The layout of kernels: rows of the batch on the last axis, bins or units on the one before.

A conditioner gives `[..., D, K]`: K numbers for each of D coordinates. On a CPU, XLA vectorizes
loops over the last axis, but K and D are short. So kernels take the K bins or units on the axis
before the last, and the N rows of a batch on the last.
"""

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows import _checks


def split(params: ArrayLike, sizes: Sequence[int]) -> list[tf.Tensor]:
    """Splits raw parameters `[..., D, P]` into tensors `[D, size, N]`, one for each of `sizes`.

    XLA cancels the transposition against that of `restore`.
    """
    params = tf.convert_to_tensor(params, name="params")
    _checks.last_axis(params, sum(sizes), "params")
    return tf.split(_to_batch_last(params), sizes, axis=-2)


def restore(tensor: tf.Tensor, params: tf.Tensor) -> tf.Tensor:
    """Turns `[D, size, N]`, computed from what `split` made of `params`, into `[..., D, size]`."""
    if params.shape.rank == 1:
        return tensor[:, 0]
    shape = ps.concat([ps.shape(params)[:-1], [tensor.shape[-2]]], axis=0)
    return tf.reshape(tf.transpose(tensor, [2, 0, 1]), shape)


def units_first(tensor: tf.Tensor) -> tf.Tensor:
    """Turns `[..., D, K]` into `[..., K, D]`, and `[K]`, for all coordinates, into `[K, 1]`."""
    if tensor.shape.rank == 1:
        return tensor[:, tf.newaxis]
    return tf.linalg.matrix_transpose(tensor)


def apply(
    kernel: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    value: tf.Tensor,
    parameters: Sequence[tf.Tensor],
    *scalars: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Calls a kernel that wants bins or units before rows; `value` may also be a scalar.

    Args:
      kernel: `kernel(value, *parameters, *scalars)`, which returns a value and a log-slope.
      value: `Tensor` `[..., D]`, or a scalar.
      parameters: tensors `[..., D, K]` or `[K]`.
      *scalars: tensors `[..., D]` or scalars, passed on as they are.
    """
    parameters, scalars = ([tf.convert_to_tensor(t) for t in ts] for ts in (parameters, scalars))
    if _have_points_of_their_own(value, parameters, scalars):
        shape = ps.shape(value)
        rows = ps.concat([[-1], shape[-1:]], axis=0)
        value, *scalars = (
            tf.transpose(tf.reshape(t, rows)) if t.shape.rank else t for t in (value, *scalars)
        )
        results = kernel(value, *(_to_batch_last(t) for t in parameters), *scalars)
        return tuple(tf.reshape(tf.transpose(t), shape) for t in results)
    # Broadcast `value` first, so that each element of a batch of parameters has its own value.
    # The sums serve only for their shape: that of the batch, even where there is no unit.
    sums = [tf.reduce_sum(t, axis=-1) for t in parameters if t.shape.rank > 1]
    batches = sums + list(scalars)
    value = _broadcast(value, batches)
    scalar = value.shape.rank == 0
    if scalar:
        value = value[tf.newaxis]
    shape = value.shape
    results = kernel(value, *(units_first(t) for t in parameters), *scalars)
    # A kernel that broadcasts batches with several unknown axes loses the static size D.
    value, log_slope = (_of_shape(t, shape) for t in results)
    return (value[0], log_slope[0]) if scalar else (value, log_slope)


def _broadcast(value: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
    """Gives `value` the batch axes that only `others` have."""
    static = functools.reduce(tf.broadcast_static_shape, [t.shape for t in (value, *others)])
    if static.is_fully_defined() and static == value.shape:
        return value
    shape = functools.reduce(ps.broadcast_shape, [ps.shape(t) for t in (value, *others)])
    # `broadcast_to` forgets a static shape that is only partly known.
    return tf.ensure_shape(tf.broadcast_to(value, shape), static)


def _of_shape(tensor: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    tensor.set_shape(shape)
    return tensor


def _to_batch_last(tensor: tf.Tensor) -> tf.Tensor:
    """Turns `[..., D, K]` into `[D, K, N]`, and `[K]` into `[K, 1]`."""
    if tensor.shape.rank == 1:
        return tensor[:, tf.newaxis]
    rows = tf.reshape(tensor, ps.concat([[-1], ps.shape(tensor)[-2:]], axis=0))
    return tf.transpose(rows, [1, 2, 0])


def _have_points_of_their_own(
    value: tf.Tensor, parameters: Sequence[tf.Tensor], scalars: Sequence[tf.Tensor]
) -> bool:
    """Whether each point has its own parameters, as a conditioner gives them.

    Where the number of rows is not known, all that have it are taken to have the same.
    """
    batches = [t.shape[:-1] for t in parameters] + [t.shape for t in scalars if t.shape.rank]
    known = value.shape.rank and all(batch.rank is not None for batch in batches)
    return bool(known) and all(
        batch.as_list() == value.shape.as_list() and batch.as_list().count(None) < 2
        for batch in batches
    )
