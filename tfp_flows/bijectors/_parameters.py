"""The parameter properties of bijectors, for `tfp.experimental.util.make_trainable`.

It makes a variable for each tensor parameter that was not given, in the shape that the parameter's
properties say. A parameter without a shape must be given.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import parameter_properties
from tensorflow_probability.python.internal import prefer_static as ps

UNKNOWN = parameter_properties.SHAPE_FN_NOT_IMPLEMENTED


def raw_numbers(params_size: Callable[[int], int]) -> tfp.util.ParameterProperties:
    """Returns properties of raw numbers `[..., P]` of a map of vectors; `params_size(D)` is P."""

    def shape_fn(sample_shape: Any) -> Any:
        return ps.concat([sample_shape[:-1], [params_size(_last(sample_shape))]], axis=0)

    return tfp.util.ParameterProperties(event_ndims=1, shape_fn=shape_fn)


def own(ndims: int | None = None) -> tfp.util.ParameterProperties:
    """Returns properties of a parameter without a batch that the constructor makes if it is `None`.

    The function that `make_trainable` returns calls the constructor for each use, which would make
    new variables each time. With `ndims` the shape is D on each of this many axes.
    """

    def shape_fn(sample_shape: Any) -> list[int]:
        return [_last(sample_shape)] * ndims  # type: ignore[operator]  # not `None` here

    return tfp.util.ParameterProperties(
        event_ndims=parameter_properties.NO_EVENT_NDIMS,
        shape_fn=UNKNOWN if ndims is None else shape_fn,
    )


def _last(sample_shape: Any) -> int:
    """Returns D, the size of the last axis of points of this shape."""
    sizes = tf.get_static_value(ps.convert_to_shape_tensor(sample_shape))
    if sizes is None or len(sizes) == 0:
        raise ValueError(
            "`batch_and_event_shape` must be the known shape of vectors, [..., D]. "
            f"Received: batch_and_event_shape={sample_shape}"
        )
    return int(sizes[-1])
