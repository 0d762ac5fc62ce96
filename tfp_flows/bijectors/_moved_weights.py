"""Moves weights away from their start, where a last layer of zeros would hide dependences."""

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def moved(variables: Iterable[tf.Variable]) -> Iterator[None]:
    """Adds noise to the trainable variables among these, and restores all values at the end."""
    variables = [v for v in variables if v.trainable and v.dtype.is_floating]
    kept = [tf.identity(variable) for variable in variables]
    rng = np.random.default_rng(0)
    try:
        for variable in variables:
            variable.assign_add(tf.constant(0.1 * rng.normal(size=variable.shape), variable.dtype))
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
