"""What every recipe does the same way."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks, _widths
from tfp_flows.bijectors import Affine, Coupling
from tfp_flows.distributions import Flow

tfd = tfp.distributions
tfb = tfp.bijectors


def vector_size(
    event_shape: Any,
    minimum: int = 1,
    of_one: str = "take `maf` or another autoregressive recipe",
) -> int:
    """D of an `event_shape` given as D or `(D,)`; `of_one` is the advice for a D that is too small.

    Raises:
      ValueError: if it has another rank, or D is below `minimum`.
      TypeError: if it does not hold integers.
    """
    sizes = [event_shape] if np.ndim(event_shape) == 0 else list(event_shape)
    if len(sizes) != 1:
        raise ValueError(
            "`event_shape` must be D or `(D,)`: the recipe is for vectors. "
            f"Received: event_shape={event_shape!r}"
        )
    size = _checks.integer_at_least(sizes[0], 1, "event_shape")
    if size < minimum:
        raise ValueError(
            f"`event_shape` must be an integer of at least {minimum}, since a coupling needs two "
            f"parts; for one dimension {of_one}. Received: event_shape={event_shape!r}"
        )
    return size


def float_dtype(dtype: DTypeLike | tf.DType) -> str:
    """The name of a `dtype` that recipes can make flows of.

    Raises:
      ValueError: if it is neither float32 nor float64.
    """
    try:
        name = tf.as_dtype(dtype).name
    except TypeError:
        name = None
    if name not in ("float32", "float64"):
        # Half precision leaves log-densities two or three digits; for networks there is Keras's
        # mixed policy.
        raise ValueError(f"`dtype` must be float32 or float64. Received: dtype={dtype!r}")
    return name


def network_policy(dtype: str) -> str:
    """The Keras policy of the networks of a recipe: the global one where that is a mixed one.

    Their weights stay in the dtype of the recipe, in which everything else is computed. Networks
    whose own derivatives or equations make the density, as in `ffjord` and `residual`, are not
    made by it: their rounding would be that of the log-determinant.

    Args:
      dtype: of the recipe, a name.
    """
    policy = keras.config.dtype_policy()
    is_mixed = policy.compute_dtype != policy.variable_dtype == dtype
    return policy.name if is_mixed else dtype


def seeds(seed: int | None, count: int) -> list[int | None]:
    """Distinct seeds that follow from one, or `None`s."""
    if seed is None:
        return [None] * count
    _checks.integer_at_least(seed, 0, "seed")
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(count) >> 1]


def half(size: int, first: bool = True) -> list[bool]:
    """A mask of the first half of D coordinates, rounded up, or of the others."""
    return ((np.arange(size) < size - size // 2) == first).tolist()


def with_bounded_scale(
    transformer: type[tfb.Bijector], transformer_kwargs: dict[str, Any] | None
) -> dict[str, Any]:
    """The keywords of a transformer; where none are given, those of a bounded `Affine`."""
    if transformer_kwargs is not None:
        return transformer_kwargs
    return {"max_log_scale": 5.0} if transformer is Affine else {}


def raw_scale(widths: Sequence[int], gain: float = 1.0) -> float:
    """What keeps the first steps of Adam small: gain / sqrt(n) for a last hidden layer of width n.

    The last layer of a network starts with zeros, and the first step moves all of its weights by
    the rate, each so that the loss falls. Its outputs then move by n times the rate. A knot of a
    spline that moves so far is where no data is, and layers add up.

    Args:
      widths: of the hidden layers.
      gain: larger for transformers that are less sensitive to their raw numbers. Recipes choose it
        such that no loss rises by 0.1 D in the first 50 steps at a rate of 1e-3, which
        `tests/flows/test_first_steps.py` checks.
    """
    widths = _widths.widths(widths, "hidden_units")
    return min(1.0, gain / math.sqrt(widths[-1])) if widths else 1.0


def build(
    network: keras.Layer, input_shape: Any, context_size: int | tuple[int, ...]
) -> keras.Layer:
    """The network, built for inputs `[N, *input_shape]` and contexts `[N, context_size]`.

    An `input_shape` may be one number, and a `context_size` the sizes of several axes.

    Raises:
      ValueError: while a graph is traced, since its variables would belong to that graph.
    """
    check_eager()
    context_size = _checks.context_size(context_size)
    sizes = (input_shape,) if np.ndim(input_shape) == 0 else tuple(input_shape)
    context_shape = (None, *_checks.context_shape(context_size)) if context_size else None
    network.build((None, *sizes), context_shape)
    return network


def coupling(
    shape: tuple[int, ...],
    mask: str | list[Any] | np.ndarray,
    transformer: type[tfb.Bijector],
    transformer_kwargs: dict[str, Any],
    *,
    context_size: int | tuple[int, ...],
    seed: int | None,
    dtype: str,
    network: Callable[..., keras.Layer],
    invert_transformer: bool = False,
    raw_scale: float = 1.0,
    **network_kwargs: Any,
) -> Coupling:
    """A `Coupling` of vectors, images or series, with a network of its own.

    Args:
      shape: `(D,)`, `(H, W, C)` or `(T, C)`, as the network takes it.
      mask: as in `Coupling`.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      context_size: C, or 0; with a network that takes it, a tuple.
      seed: Python `int` or `None`, of the network.
      dtype: float dtype.
      network: a class of conditioners, such as `MLP` or `ConvNet`.
      invert_transformer: see `Coupling`.
      raw_scale: likewise.
      **network_kwargs: further keywords of `network`.
    """
    num_in = num_out = shape[-1]
    if not isinstance(mask, str):
        num_in = int(np.sum(mask))
        num_out -= num_in
    conditioner = network(
        num_out * transformer.params_size(**transformer_kwargs),
        context_size=context_size,
        seed=seed,
        dtype=network_policy(dtype),
        **network_kwargs,
    )
    build(conditioner, (*shape[:-1], num_in), context_size)
    return Coupling(
        conditioner,
        transformer,
        transformer_kwargs,
        mask,
        invert_transformer=invert_transformer,
        raw_scale=raw_scale,
        context_size=context_size,
    )


def check_eager() -> None:
    """Refuses to make variables while a graph is traced."""
    if not tf.executing_eagerly():
        raise ValueError(
            "A recipe makes variables: call it outside of `tf.function` and of the functions of a "
            "joint distribution, and use its flow there. Received: a call while a graph is traced"
        )


def flow(
    bijectors: list[tfb.Bijector],
    event_size: Any,
    base: tfd.Distribution | None,
    dtype: DTypeLike | tf.DType,
    name: str,
) -> Flow:
    """The distribution of y = f_1(f_2(...(u))) for u of the base, a standard normal by default.

    Args:
      bijectors: a list, from data to base.
      event_size: D, or the shape of the base's events.
      base: a TFP distribution over vectors of D, or over that shape, or `None`.
      dtype: float dtype.
      name: Python `str`.

    Raises:
      TypeError: if `base` is not a distribution.
      ValueError: if its event shape or dtype does not fit.
    """
    shape = [event_size] if np.ndim(event_size) == 0 else list(event_size)
    if base is None:
        dtype = tf.as_dtype(dtype)
        standard = tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype))
        base = tfd.Sample(standard, sample_shape=shape)
    if not isinstance(base, tfd.Distribution):
        raise TypeError(f"`base` must be a TFP distribution. Received: base={base!r}")
    if not base.event_shape.is_compatible_with(shape):
        raise ValueError(
            f"`base` must have event shape [{_checks.listed(shape)}]. "
            f"Received: base.event_shape={base.event_shape}"
        )
    if base.dtype != tf.as_dtype(dtype):
        raise ValueError(
            f"`base` must have the dtype {tf.as_dtype(dtype).name} of the flow (`dtype`). "
            f"Received: base.dtype={base.dtype}"
        )
    # The chain has the name, not the flow: a joint distribution takes a name for one that the
    # user has chosen, and refuses two alike.
    return Flow(base, tfb.Chain(bijectors, name=name))
