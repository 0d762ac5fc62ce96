"""A network of block-triangular layers, increasing in each coordinate, and its inverse."""

from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.math._elementwise import tanh_input
from tfp_flows.math.linalg._block_matrix import log_matvec, log_tanh_slope
from tfp_flows.math.solvers.find_root import find_root


def block_network(
    layers: Sequence[tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    log_linear: tf.Tensor,
    y: tf.Tensor,
    first: tf.Tensor,
    last: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$x_i = e^{s_i} y_i + f_i(y_{\le i})$

    Evaluates a block-triangular network, and log dx_i/dy_i, in one pass.

    f has the layers h_l = tanh(W_l h_{l-1} + b_l) with h_0 = y. The last layer has no tanh.

    Args:
      layers: `[(W_l, logarithms of its diagonal blocks, b_l)]`, the first two as
        `tfp_flows.math.linalg._block_matrix.block_matrix` returns them.
      log_linear: float `Tensor` `[D]`, s.
      y: float `Tensor` `[N, D]`.
      first: a `Tensor` to add to the first layer, `[N, D H_1]` or a scalar.
      last: a `Tensor` to add to x, `[N, D]` or a scalar.

    Returns:
      `(x, log_slopes)`, both `[N, D]`.
    """
    h, log_slope = tanh_input(y), tf.zeros_like(y)[..., tf.newaxis]
    for layer, (matrix, log_block, bias) in enumerate(layers):
        z = tf.matmul(h, matrix, transpose_b=True) + bias
        log_slope = log_matvec(log_block, log_slope)
        if layer == 0:
            z += first
        if layer < len(layers) - 1:
            h = tf.tanh(z)
            log_slope += log_tanh_slope(tf.reshape(z, [-1, *log_block.shape[:2]]))
    return tf.exp(log_linear) * y + z + last, _log_add(log_linear, log_slope[..., 0])


def solve_block_network(
    layers: Sequence[tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    log_linear: tf.Tensor,
    x: tf.Tensor,
    first: tf.Tensor,
    last: tf.Tensor,
) -> tf.Tensor:
    """Solves `block_network(..., y, ...)[0] = x` for y, one coordinate after the other.

    The search for y_i needs the diagonal blocks only. All searches together evaluate the rest of
    the network once. Arguments are those of `block_network`. A y_i that is not found is NaN.
    """
    size = layers[0][1].shape[0]
    widths = [log_block.shape[2] for _, log_block, _ in layers]
    s = tf.convert_to_tensor(log_linear)
    last += tf.zeros_like(x)
    first += tf.zeros([tf.shape(x)[0], layers[0][0].shape[0]], x.dtype)

    def coordinate(i: tf.Tensor, layer: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the rows of W and b, and the diagonal block, of the units of y_i."""
        matrix, log_block, bias = layers[layer]
        num_out = log_block.shape[1]
        rows = tf.gather(tf.reshape(matrix, [size, num_out, -1]), i)
        return rows, tf.gather(log_block, i), tf.gather(tf.reshape(bias, [size, num_out]), i)

    def step(i: tf.Tensor, y: tf.Tensor, *hidden: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # What the coordinates before y_i add to each layer. Later ones are zero in `hidden`.
        blocks, offsets = [], []
        for layer, h in enumerate(hidden):
            rows, log_block, bias = coordinate(i, layer)
            flat = tf.reshape(h, [-1, size * widths[layer]])
            offset = tf.matmul(flat, rows, transpose_b=True) + bias
            if layer == 0:
                num_out = log_block.shape[0]
                offset += tf.gather(tf.reshape(first, [-1, size, num_out]), i, axis=1)
            blocks.append(log_block)
            offsets.append(offset)
        offsets[-1] += tf.gather(last, i, axis=1)[:, tf.newaxis]
        s_i, x_i = tf.gather(s, i), tf.gather(x, i, axis=1)

        def value_and_slope(y_i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            _, value, log_slope = _one_coordinate(blocks, offsets, s_i, y_i)
            return value, tf.exp(log_slope)

        # f is bounded, so y_i is near the solution without f.
        largest = x.dtype.max
        guess = tf.clip_by_value(x_i * tf.exp(-s_i), -largest, largest)
        radius = 1.0 + 0.5 * tf.abs(guess)
        result = find_root(value_and_slope, x_i, lower=guess - radius, upper=guess + radius)
        is_i = (tf.range(size) == i)[:, tf.newaxis]
        found, *_ = _one_coordinate(blocks, offsets, s_i, result.root)
        hidden = (
            tf.where(is_i, new[:, tf.newaxis], old) for new, old in zip(found, hidden, strict=True)
        )
        # y is kept in full, while `hidden` holds it bounded, as tanh sees it.
        return i + 1, tf.where(is_i[:, 0], result.root[:, tf.newaxis], y), *hidden

    hidden = tuple(tf.zeros([tf.shape(x)[0], size, width], x.dtype) for width in widths)
    hidden = tuple(tf.ensure_shape(h, [x.shape[0], *h.shape[1:]]) for h in hidden)
    start = (0, tf.zeros_like(x), *hidden)
    _, y, *_ = tf.while_loop(lambda i, *_: i < size, step, start, maximum_iterations=size)
    return y


def _one_coordinate(
    blocks: Sequence[tf.Tensor], offsets: Sequence[tf.Tensor], s_i: tf.Tensor, y_i: tf.Tensor
) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
    """Returns all h_l of y_i, x_i and log dx_i/dy_i; other coordinates add `offsets`."""
    h, log_slope = tanh_input(y_i)[:, tf.newaxis], tf.zeros_like(y_i)[:, tf.newaxis]
    hidden = []
    for log_block, offset in zip(blocks, offsets, strict=True):
        hidden.append(h)
        z = tf.matmul(h, tf.exp(log_block), transpose_b=True) + offset
        log_slope = log_matvec(log_block[tf.newaxis], log_slope[:, tf.newaxis])[:, 0]
        if len(hidden) < len(blocks):
            h = tf.tanh(z)
            log_slope += log_tanh_slope(z)
    return hidden, tf.exp(s_i) * y_i + z[:, 0], _log_add(s_i, log_slope[:, 0])


def _log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns log(exp(a) + exp(b)); the gradient of a negligible term is zero."""
    return a + tf.math.softplus(b - a)
