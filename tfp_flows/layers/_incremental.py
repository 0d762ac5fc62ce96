"""Evaluates a masked network coordinate by coordinate, and computes each unit only once."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.layers._slots import Slots
from tfp_flows.math._elementwise import clip_network_input
from tfp_flows.math.linalg._permute import permute


def generate(
    made: Any,
    transform: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    x: tf.Tensor,
    context: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$y_i = \tau(x_i; h_i(y_{<i}))$

    Solves for y, for a `MADE` h, at about the cost of one h(y).

    A unit of degree m sees the coordinates up to the m-th in the order. It is computed as soon as
    y_m is known, once, and is then added to the sums of the units and outputs above it. A call of
    the network for each coordinate would compute it D times.

    Updating all sums for each coordinate would still move too much memory. So coordinates are put
    into groups. Within a group, units are added to the sums of the group only. At its end one
    product of matrices adds them to the sums of later groups. What is needed next is always first
    in its tensor, and what has been used is dropped. So all sizes and positions are static, and
    only weights are selected by the loop counter.

    Args:
        made: a built `MADE`.
        transform: tau, a callable; it maps `[N, 1, P]` and `[N, 1]` to y and log |dy/dx|, both
            `[N, 1]`.
        x: a float `Tensor` `[N, D]`.
        context: a float `Tensor` `[N, C]`, or `None`.

    Returns:
        `(y, log |det dy/dx|)`, of shapes `[N, D]` and `[N]`.
    """
    size = made.event_size
    num_groups, group_size = _groups(size)
    layers = [Slots(degrees, num_groups * group_size) for degrees in made.unit_degrees()]
    # The tensors of the loop have the rows last, so that first entries are contiguous in memory.
    weights, sums, gates = _start(made, layers, context, tf.shape(x)[0], num_groups)
    widths = [layer.width for layer in layers]
    firsts = [group_size * width for width in widths]
    unlock_group = functools.partial(_unlock_group, made, transform, widths)

    def step(
        k: tf.Tensor,
        x: tf.Tensor,
        sums: list[tf.Tensor],
        gates: list[tf.Tensor],
        y: tf.Tensor,
        log_det: tf.Tensor,
    ) -> tuple[Any, ...]:
        units, y_k, log_det_k = unlock_group(
            x[:group_size],
            [t[:first] for t, first in zip(sums, firsts[1:], strict=True)],
            [gate[: firsts[1]] for gate in gates],
            [tf.gather(w.within, k) for w in weights],
        )
        sums = [
            tf.pad(t[first:] + tf.matmul(tf.gather(w.beyond, k), v), [[0, first], [0, 0]])
            for t, v, w, first in zip(sums, units, weights, firsts[1:], strict=True)
        ]
        gates = [_moved_on(gate, firsts[1]) for gate in gates]
        y, log_det = _moved_on(y, group_size, y_k), _moved_on(log_det, group_size, log_det_k)
        return k + 1, _moved_on(x, group_size), sums, gates, y, log_det

    x = permute(tf.transpose(x), made.order, axis=0)
    x = tf.pad(x, [[0, num_groups * group_size - size], [0, 0]])
    if num_groups == 1:
        _, y, log_det = unlock_group(x, sums, gates, [w.within[0] for w in weights])
    else:
        *_, y, log_det = tf.while_loop(
            lambda k, *_: k < num_groups,
            step,
            (tf.constant(0), x, sums, gates, tf.zeros_like(x), tf.zeros_like(x)),
            maximum_iterations=num_groups,
        )
    y = tf.transpose(permute(y[:size], np.argsort(made.order), axis=0))
    return y, tf.reduce_sum(log_det[:size], axis=0)


def _unlock_group(
    made: Any,
    transform: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    widths: list[int],
    x: tf.Tensor,
    sums: list[tf.Tensor],
    gates: list[tf.Tensor],
    within: list[tf.Tensor],
) -> tuple[Any, ...]:
    """Computes the coordinates of one group, one after the other.

    The arguments x, sums and gates are those of the group only.

    Returns:
        The units that see the coordinates, by layer, then y and log |dy/dx|.
    """
    dtype, group_size = made.compute_dtype, x.shape[0]

    def unlock(
        j: tf.Tensor,
        x: tf.Tensor,
        sums: list[tf.Tensor],
        gates: list[tf.Tensor],
        units: list[tf.Tensor],
        y: tf.Tensor,
        log_det: tf.Tensor,
    ) -> tuple[Any, ...]:
        """Computes the next coordinate, and the units that see it."""
        sums, units = list(sums), list(units)
        h = tf.cast(tf.transpose(sums[-1][: widths[-1]])[:, tf.newaxis], x.dtype)
        sums[-1] = _moved_on(sums[-1], widths[-1])
        y_j, log_det_j = (tf.transpose(t) for t in transform(h, tf.transpose(x[:1])))

        def add(s: int, v: tf.Tensor) -> tf.Tensor:
            units[s] = _moved_on(units[s], widths[s], v)
            sums[s] += tf.matmul(tf.gather(within[s], j), v)
            return sums[s][: widths[s + 1]]

        seen = tf.cast(clip_network_input(y_j, made), dtype)
        made.through(add, seen, [gate[: widths[1]] for gate in gates])
        for s in range(len(sums) - 1):
            sums[s] = _moved_on(sums[s], widths[s + 1])
        gates = [_moved_on(gate, widths[1]) for gate in gates]
        y, log_det = _moved_on(y, 1, y_j), _moved_on(log_det, 1, log_det_j)
        return j + 1, _moved_on(x, 1), sums, gates, units, y, log_det

    empty = [tf.zeros([group_size * width, tf.shape(x)[1]], dtype) for width in widths[:-1]]
    state = (tf.constant(0), x, sums, gates, empty, tf.zeros_like(x), tf.zeros_like(x))
    state = tf.while_loop(
        lambda j, *_: j < group_size, unlock, state, maximum_iterations=group_size
    )
    return state[4:]


def _groups(size: int) -> tuple[int, int]:
    """Returns the number of groups and their size; the last coordinates may be padding."""
    if size <= 8:
        return 1, size
    # Each coordinate updates the sums of its group, and each group those of all others.
    counts = range(1, size + 1)
    return min(
        ((n, -(-size // n)) for n in counts), key=lambda groups: groups[0] * groups[1] * sum(groups)
    )


def _start(
    made: Any, layers: list[Slots], context: tf.Tensor | None, rows: tf.Tensor, num_groups: int
) -> tuple[list["_Weights"], list[tf.Tensor], list[tf.Tensor]]:
    """Returns the weights in order, and the sums and gates before any y is known."""
    dtype = made.compute_dtype
    weights, sums = [], []
    for dense, below, above in zip(made.masked_layers(), layers, layers[1:], strict=False):
        kernel = above.spread(below.spread(tf.transpose(dense.used_kernel()), axis=1), axis=0)
        weights.append(_Weights(kernel, below, above, num_groups, above is layers[-1]))
        bias = above.spread(dense.used_bias(), axis=0)
        sums.append(tf.broadcast_to(bias[:, tf.newaxis], [bias.shape[0], rows]))
    free = tf.zeros([rows, 0], dtype) if context is None else tf.cast(context, dtype)
    gates = [layers[1].spread(gate, axis=0) for gate in made.gates(free)]

    def add(s: int, v: tf.Tensor) -> tf.Tensor:
        sums[s] += tf.matmul(weights[s].of_free, v)
        return sums[s][: layers[s + 1].num_free]

    if any(layer.num_free for layer in layers):
        made.through(add, tf.transpose(free), [gate[: layers[1].num_free] for gate in gates])
    sums = [t[layer.num_free :] for t, layer in zip(sums, layers[1:], strict=True)]
    return weights, sums, [gate[layers[1].num_free :] for gate in gates]


class _Weights:
    """A masked kernel between slots, transposed, and split by when its products are added.

    Attributes:
      of_free: `[n' + D w', n]`, from units of degree 0 to all sums.
      within: `[groups, g, g w', w]`, from the units of each coordinate of a group to the remaining
        sums of the group.
      beyond: `[groups, (groups - 1) g w', g w]`, from the units of a group to later groups.
    """

    def __init__(
        self, kernel: tf.Tensor, below: Slots, above: Slots, num_groups: int, is_output: bool
    ) -> None:
        self.of_free = kernel[:, : below.num_free]
        kernel = kernel[above.num_free :, below.num_free :]
        group_size = kernel.shape[1] // (num_groups * below.width)
        rows, columns = group_size * above.width, group_size * below.width
        blocks = tf.reshape(kernel, [num_groups, rows, num_groups, columns])
        blocks = _from_diagonal(tf.transpose(blocks, [2, 0, 1, 3]))
        self.beyond = tf.reshape(blocks[:, 1:], [num_groups, (num_groups - 1) * rows, columns])
        blocks = tf.reshape(
            blocks[:, 0], [num_groups, group_size, above.width, group_size, below.width]
        )
        blocks = _from_diagonal(tf.transpose(blocks, [3, 1, 0, 2, 4]))
        if is_output:  # The outputs of the coordinate itself have been used and dropped.
            blocks = _moved_on(tf.transpose(blocks, [1, 0, 2, 3, 4]), 1)
            blocks = tf.transpose(blocks, [1, 0, 2, 3, 4])
        within = tf.transpose(blocks, [2, 0, 1, 3, 4])
        self.within = tf.reshape(within, [num_groups, group_size, rows, below.width])


def _from_diagonal(blocks: tf.Tensor) -> tf.Tensor:
    """Returns c[k, m] = b[k, k + m], and zero beyond, for an upper triangular b `[n, n, ...]`.

    Rows of length n, read as rows of length n + 1, begin at the diagonal. What they take from the
    next row is left of its diagonal, and so zero.
    """
    n, _, *rest = blocks.shape
    flat = tf.reshape(blocks, [n * n, *rest])
    flat = tf.concat([flat, tf.zeros([n, *rest], blocks.dtype)], axis=0)
    return tf.reshape(flat, [n, n + 1, *rest])[:, :n]


def _moved_on(t: tf.Tensor, count: int, new: tf.Tensor | None = None) -> tf.Tensor:
    """Drops the first entries, and appends new ones or as many zeros."""
    if new is None:
        new = tf.zeros_like(t[:count])
    return tf.concat([t[count:], new], axis=0)
