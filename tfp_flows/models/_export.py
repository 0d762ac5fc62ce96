"""Writes a SavedModel of densities and samples, which is served without this package."""

import os
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.conditioning import condition


def export(
    model: keras.Model,
    filepath: str | os.PathLike[str],
    signature: list[Any],
    context_signature: tf.TensorSpec | None,
) -> None:
    """Writes the endpoints `serve` and `log_prob`, of x or `(context, x)`, and `sample`.

    `sample(seed, n)` draws n samples, `sample(context, seed, n)` draws n for each context. `seed`
    is two int32 numbers.

    Args:
      model: a `keras.Model` of a distribution.
      filepath: the path of the folder.
      signature: a list with the `tf.TensorSpec` of the inputs of `model.call`.
      context_signature: the `tf.TensorSpec` of a context, or `None`.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)

    def log_prob(inputs: tf.Tensor | tuple[tf.Tensor, ...]) -> tf.Tensor:
        return model(inputs, training=False)

    def sample(seed: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
        return model.distribution.sample(n, seed=seed)

    def conditional_sample(context: tf.Tensor, seed: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
        return condition(model.distribution, context).sample(n, seed=seed)

    of_draw = [tf.TensorSpec([2], tf.int32, "seed"), tf.TensorSpec([], tf.int32, "n")]
    for name in ("serve", "log_prob"):
        archive.add_endpoint(name, log_prob, signature)
    if context_signature is None:
        archive.add_endpoint("sample", sample, of_draw)
    else:
        archive.add_endpoint("sample", conditional_sample, [context_signature, *of_draw])
    archive.write_out(filepath, verbose=False)
