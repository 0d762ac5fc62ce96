"""Draws any number of samples, in batches."""

import random
import time

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows._inlined_maps import inlined_maps
from tfp_flows.conditioning import condition

_BATCH_SIZE = 10_000
_SECONDS_IN_SILENCE = 3.0


class Draws:
    """A model of a distribution that draws samples of it."""

    def sample(
        self,
        n: int,
        context: ArrayLike | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Draws n samples in batches, as an array `[n, *event_shape]`.

        A progress bar appears if it takes long.

        Args:
          n: Python `int`, the number of samples; with several contexts, of each of them.
          context: an array `[C]`, or `[M, C]` for samples `[n, M, *event_shape]`.
          seed: Python `int`. The samples depend on it and on `batch_size`; random if `None`.
          batch_size: Python `int`, the number of samples that are drawn at once; 10,000 by default.
        """
        return _draw(self, n, context, seed, batch_size)


def _draw(
    model: keras.Model,
    num_samples: int,
    context: ArrayLike | None,
    seed: int | None,
    batch_size: int | None,
) -> np.ndarray:
    """Returns `num_samples` draws as one array; shows a progress bar if it takes long.

    Args:
      model: a `FlowModel`.
      num_samples: Python `int`.
      context: an array to bind, or `None`.
      seed: Python `int`, or `None` to draw one from Python's generator.
      batch_size: Python `int`, or `None`.

    Raises:
      ValueError: if a number is below one, or if a context is missing or not taken.
    """
    distribution, is_conditional = model.distribution, model._is_conditional
    if (context is not None) != is_conditional:
        wanted = "be given to a conditional flow" if is_conditional else "not be given"
        raise ValueError(f"`context` must {wanted}. Received: context={context!r}")
    if context is not None:
        context = tf.convert_to_tensor(context, model.compute_dtype)
    num_samples = _checks.integer_at_least(num_samples, 1, "n")
    if batch_size is None:
        batch_size = _BATCH_SIZE
    batch_size = min(_checks.integer_at_least(batch_size, 1, "batch_size"), num_samples)
    if seed is None:
        # From the generator that `keras.utils.set_random_seed` seeds.
        seed = random.randrange(2**31 - 1)
    seed = _checks.integer_at_least(seed, 0, "seed")

    def batch(seed: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        bound = distribution if context is None else condition(distribution, context)
        with inlined_maps():
            return bound.sample(batch_size, seed=seed)

    run = model._program(("sample", batch_size), batch)
    steps = -(-num_samples // batch_size)
    bar, start, parts = None, time.monotonic(), []
    for i in range(steps):
        parts.append(np.array(run(tf.constant([seed, i], tf.int32), context)))
        if bar is None and time.monotonic() - start > _SECONDS_IN_SILENCE and i + 1 < steps:
            bar = keras.utils.Progbar(steps, unit_name="batch")
        if bar is not None:
            bar.update(i + 1)
    return np.concatenate(parts)[:num_samples]
