"""Generates series from a causal network of dilated convolutions, step by step."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.math._elementwise import clip_network_input


def generate(
    network: Any,
    transform: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    x: tf.Tensor,
    context: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$y_t = transform(h_t(y_{<t}), x_t)$

    Solves for y, one step after the other; see `WaveNet.generate`.

    Before each convolution a queue holds the last (kernel_size - 1) d inputs, which its taps will
    need again. So the cost of a step does not depend on how far back the network looks, and T steps
    take the same products as one evaluation.

    Args:
        network: a causal `WaveNet`.
        transform: maps `[N, C, P]` and `[N, C]` to y and log |dy/dx|, both `[N, C]`.
        x: a float `Tensor` `[N, T, C]`.
        context: as the network takes it, or `None`.

    Returns:
        `(y, log |det dy/dx|)`, of shapes `[N, T, C]` and `[N]`.
    """
    num_steps, num_channels = x.shape[1:]
    num_rows, width = tf.shape(x)[0], network.hidden_channels[0]
    dtype = network.compute_dtype
    shifts = network.shifts(context)

    def step(
        t: tf.Tensor, y: tf.Tensor, queues: list[tf.Tensor], outputs: tf.TensorArray
    ) -> tuple[Any, ...]:
        z, total, moved = network.first(tf.cast(clip_network_input(y, network), dtype)), 0.0, []
        for k, dilation in enumerate(network.dilations):
            window = tf.concat([queues[k], z[:, tf.newaxis]], axis=1)
            moved.append(window[:, 1:])
            taps = tf.reshape(window[:, ::dilation], [-1, network.kernel_size * width])
            z, total = network.block(k, z, taps, _at(shifts[k], t), total)
        h = tf.cast(network.last(total), x.dtype)
        h = tf.reshape(h, [-1, num_channels, network.output_channels // num_channels])
        y, log_det = transform(h, tf.gather(x, t, axis=1))
        return t + 1, y, moved, outputs.write(t, tf.stack([y, log_det]))

    queues = [
        tf.zeros([num_rows, (network.kernel_size - 1) * dilation, width], dtype)
        for dilation in network.dilations
    ]
    *_, outputs = tf.while_loop(
        lambda t, *_: t < num_steps,
        step,
        (0, tf.zeros_like(x[:, 0]), queues, tf.TensorArray(x.dtype, size=num_steps)),
        maximum_iterations=num_steps,
    )
    y, log_det = tf.unstack(tf.transpose(outputs.stack(), [1, 2, 0, 3]))
    return y, tf.reduce_sum(log_det, axis=[-2, -1])


def _at(shift: tf.Tensor | None, t: tf.Tensor) -> tf.Tensor | None:
    """Returns step t of a shift of shape `[N, T, ...]`, or `[N, 1, ...]` if all are the same."""
    if shift is None:
        return None
    return shift[:, 0] if shift.shape[1] == 1 else tf.gather(shift, t, axis=1)
