"""Draws of a flow, batch by batch."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.conditioning import condition
from tfp_flows.diagnostics._rows import batches


def samples_and_log_prob(
    flow: tfd.Distribution, num_samples: int, context: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws, and their log-densities.

    Args:
      flow: a TFP distribution.
      num_samples: S, the number of samples.
      context: contexts `[N, ...]`, or `None`.
      seed: a Python `int`.

    Returns:
      `[S, *event]` and `[S]`. With contexts `[S, N, *event]` and `[S, N]`: S draws for each of
      them.
    """
    x, log_p = _drawn(
        lambda given, number, seed: given.experimental_sample_and_log_prob(number, seed=seed),
        flow,
        num_samples,
        context,
        seed,
    )
    return x, log_p.astype(np.float64)


def samples(
    flow: tfd.Distribution, num_samples: int, context: np.ndarray | None, seed: int
) -> np.ndarray:
    """Draws alone, as `samples_and_log_prob`, also of a distribution without `log_prob`."""
    arguments = flow, num_samples, context, seed
    return _drawn(lambda given, number, seed: (given.sample(number, seed=seed),), *arguments)[0]


def _drawn(
    draw: Callable[..., tuple[tf.Tensor, ...]],
    flow: tfd.Distribution,
    num_samples: int,
    context: np.ndarray | None,
    seed: int,
) -> list[np.ndarray]:
    size = int(flow.event_shape.num_elements() or 1)
    if context is None:
        parts = [
            draw(flow, rows.stop - rows.start, sampling_seed(seed, i))
            for i, rows in enumerate(batches(num_samples, size))
        ]
        axis = 0
    else:
        parts = [
            draw(condition(flow, context[rows]), num_samples, sampling_seed(seed, i))
            for i, rows in enumerate(batches(len(context), size * num_samples, num_samples))
        ]
        axis = 1
    return [np.concatenate(t, axis=axis) for t in zip(*parts, strict=True)]


def sampling_seed(seed: int, i: int) -> tf.Tensor:
    """The seed of the i-th batch, two integers, for which TFP always draws the same."""
    return tf.constant([seed % 2**31, i], tf.int32)
