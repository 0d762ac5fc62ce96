"""Checks of a transformer: the methods of its class, and the shape of what its bijectors give."""

from typing import Any

import tensorflow as tf

_METHODS = {"params_size": "params_size(**kwargs)", "new": "new(params, **kwargs)"}


def check_class(transformer: Any, name: str) -> None:
    """Refuses what is not a class with the two methods of a transformer."""
    wanted = f"`{name}` must be a class with " + " and ".join(f"`{m}`" for m in _METHODS.values())
    if not isinstance(transformer, type):
        raise TypeError(f"{wanted}. Received: {name}={transformer!r}")
    missing = [f"`{method}`" for method in _METHODS if not hasattr(transformer, method)]
    if missing:
        raise TypeError(
            f"{wanted}. Received: {name}={transformer.__name__}, which has no "
            f"{' and no '.join(missing)}"
        )


def check_shape(transformer: type, h: tf.Tensor, x_shape: tf.TensorShape, y: tf.Tensor) -> None:
    """Refuses y of another shape than x. The shapes are static, so that this adds no operation.

    Args:
      transformer: the class, whose name is in the message.
      h: its raw numbers `[..., P]`.
      x_shape: the shape of x, broadcast with that of the parameters.
      y: what the bijector gave for x.
    """
    if not y.shape.is_compatible_with(x_shape):
        raise ValueError(
            f"`{transformer.__name__}.new` gave a bijector that maps shape {x_shape} to {y.shape}. "
            f"Take its raw numbers as `params[..., k]`. Received: params of shape {h.shape}"
        )
