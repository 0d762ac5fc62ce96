"""What all recipes have in common."""

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
from tfp_flows.layers import MLP

tfd = tfp.distributions
tfb = tfp.bijectors


def vector_size(
    event_shape: Any,
    minimum: int = 1,
    of_one: str = "use `maf` or another autoregressive recipe",
) -> int:
    """D of an `event_shape` that is D or `(D,)`; `of_one` is the advice if D is one but too small.

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
            f"parts. For one dimension {of_one}. Received: event_shape={event_shape!r}"
        )
    return size


def float_dtype(dtype: DTypeLike | tf.DType) -> str:
    """The name of a `dtype` for which recipes can make flows.

    Raises:
      ValueError: if it is neither float32 nor float64.
    """
    try:
        name = tf.as_dtype(dtype).name
    except TypeError:
        name = None
    if name not in ("float32", "float64"):
        # In half precision log-densities would have two or three digits. For networks there is
        # the mixed policy of Keras.
        raise ValueError(f"`dtype` must be float32 or float64. Received: dtype={dtype!r}")
    return name


def network_policy(dtype: str) -> str:
    """The Keras policy for the networks of a recipe: the global policy if that is mixed.

    Their weights stay in the dtype of the recipe, and everything else is computed in it. Some
    networks give the density by their own derivatives or equations, as in `ffjord` and `residual`.
    They do not use this policy, since their rounding would be that of the log-determinant.

    Args:
      dtype: name of the dtype of the recipe.
    """
    policy = keras.config.dtype_policy()
    is_mixed = policy.compute_dtype != policy.variable_dtype == dtype
    return policy.name if is_mixed else dtype


def seeds(seed: int | None, count: int) -> list[int | None]:
    """Distinct seeds that follow from one, or `None` for each."""
    if seed is None:
        return [None] * count
    _checks.integer_at_least(seed, 0, "seed")
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(count) >> 1]


def half(size: int, first: bool = True) -> list[bool]:
    """A mask of the first half of the coordinates, rounded up, or of the others."""
    return ((np.arange(size) < size - size // 2) == first).tolist()


def with_bounded_scale(
    transformer: type[tfb.Bijector], transformer_kwargs: dict[str, Any] | None
) -> dict[str, Any]:
    """The keywords of a transformer; if none are given, a bounded scale for `Affine`."""
    if transformer_kwargs is not None:
        return transformer_kwargs
    return {"max_log_scale": 5.0} if transformer is Affine else {}


def raw_scale(widths: Sequence[int], gain: float = 1.0) -> float:
    r"""$\min(1, gain / \sqrt{n})$

    A factor that keeps the first steps of Adam small, for a last hidden layer of width n.

    The last layer of a network starts with zeros. The first step of Adam moves each of its weights
    by the learning rate, each in the direction in which the loss falls. So the outputs move by n
    times the rate. By such a move the knots of a spline land where there is no data, and the moves
    of all layers add up.

    Args:
      widths: widths of the hidden layers.
      gain: larger for transformers that are less sensitive to their raw numbers. Recipes choose it
        such that no loss rises by 0.1 D in the first 50 steps at a rate of 1e-3, which
        `tests/flows/test_first_steps.py` checks.
    """
    widths = _widths.widths(widths, "hidden_units")
    return min(1.0, gain / math.sqrt(widths[-1])) if widths else 1.0


def bias_at_full_rate(network: Callable[..., keras.Layer], raw_scale: float) -> dict[str, float]:
    """A keyword for an `MLP`: its last bias is one number, not a sum that `raw_scale` bounds."""
    if raw_scale == 1.0 or not (isinstance(network, type) and issubclass(network, MLP)):
        return {}
    return {"output_bias_scale": 1.0 / raw_scale}


def build(
    network: keras.Layer, input_shape: Any, context_size: int | tuple[int, ...]
) -> keras.Layer:
    """The network, built for inputs `[N, *input_shape]` and contexts `[N, context_size]`.

    An `input_shape` may be one number, and a `context_size` the sizes of several axes.

    Raises:
      ValueError: while a graph is traced, since the variables would belong to that graph.
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
    """A `Coupling` of vectors, images or series, with its own network.

    Args:
      shape: `(D,)`, `(H, W, C)` or `(T, C)`, as the network takes it.
      mask: as in `Coupling`.
      transformer: a class with `params_size` and `new`.
      transformer_kwargs: `dict` of its keywords.
      context_size: C, or 0; a tuple if the network takes one.
      seed: Python `int` or `None`, for the network.
      dtype: float dtype.
      network: a class of conditioners, such as `MLP` or `ConvNet`.
      invert_transformer: see `Coupling`.
      raw_scale: see `Coupling`.
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
        **bias_at_full_rate(network, raw_scale),
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
    """Refuses to create variables while a graph is traced."""
    if not tf.executing_eagerly():
        raise ValueError(
            "A recipe creates variables: call it outside `tf.function`, and outside the functions "
            "of a joint distribution; use its flow inside. "
            "Received: a call while a graph is being traced"
        )


def flow(
    bijectors: list[tfb.Bijector],
    event_size: Any,
    base: tfd.Distribution | None,
    dtype: DTypeLike | tf.DType,
    name: str,
) -> Flow:
    """The distribution of $f_1(f_2(...(u)))$ for u from the base, by default a standard normal.

    Args:
      bijectors: a list, from data to base.
      event_size: D, or the shape of the events of the base.
      base: a TFP distribution over vectors of size D, or over that shape, or `None`.
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
    # The chain has the name, not the flow: a joint distribution treats a name as chosen by the
    # user, and refuses two equal ones.
    return Flow(base, tfb.Chain(bijectors, name=name))
