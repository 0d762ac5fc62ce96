"""What recipes of images do the same way."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import DTypeLike

from tfp_flows import _checks, _widths
from tfp_flows.bijectors import ActNorm, InvertibleConv1x1, MultiScale, Squeeze
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import ConvNet

tfb = tfp.bijectors

BOARDS = ("checkerboard", "checkerboard_odd")


def is_image(event_shape: Any) -> TypeGuard[Sequence[int]]:
    """Whether an `event_shape` has three axes."""
    return np.ndim(event_shape) == 1 and len(event_shape) == 3


def image_shape(event_shape: Sequence[int], num_squeezes: int) -> tuple[int, ...]:
    """`(H, W, C)` of an `event_shape`, whose sides can be halved so many times.

    Raises:
      ValueError: if it has another rank, or the sides cannot be halved.
      TypeError: if it does not hold integers.
    """
    if not is_image(event_shape):
        raise ValueError(
            "`event_shape` must be (H, W, C): the recipe is for images. "
            f"Received: event_shape={event_shape!r}"
        )
    shape = tuple(_checks.integer_at_least(size, 1, "event_shape") for size in event_shape)
    multiple = 2**num_squeezes
    if shape[0] % multiple or shape[1] % multiple:
        raise ValueError(
            f"`event_shape` must have a height and a width that are multiples of {multiple}, to be "
            f"halved {num_squeezes} times. Received: event_shape={event_shape!r}"
        )
    return shape


def widths(
    hidden_channels: Sequence[int] | None,
    hidden_units: Sequence[int] | None,
    default: Sequence[int],
    check: Callable[[Any, str], tuple[int, ...]] = _widths.block_widths,
) -> tuple[int, ...]:
    """The widths of networks of images, of which `hidden_units` is another name.

    Args:
      hidden_channels: widths, or `None`.
      hidden_units: likewise.
      default: widths, if both are `None`.
      check: what widths have to be, a function of them and their name.

    Raises:
      TypeError: if widths are no integers.
      ValueError: if both are given, or they are not what they have to be; they are named as they
        were given.
    """
    if hidden_units is None:
        return check(default if hidden_channels is None else hidden_channels, "hidden_channels")
    if hidden_channels is not None:
        raise ValueError(
            "`hidden_units` must not be given beside `hidden_channels`, of which it is another "
            f"name. Received: hidden_channels={hidden_channels!r}, hidden_units={hidden_units!r}"
        )
    return check(hidden_units, "hidden_units")


def refuse_for_vectors(**given: Any) -> None:
    """Refuses arguments, by name, that only images have; `None` is one that is not given."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"`{name}` is for images, whose `event_shape` is (H, W, C). "
                f"Received: {name}={value!r} for vectors"
            )


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image after `Squeeze`."""
    return shape[0] // 2, shape[1] // 2, 4 * shape[2]


def kept(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what stays when half of the channels leave."""
    return *shape[:-1], shape[-1] - shape[-1] // 2


def channels(shape: tuple[int, ...], first: bool = True) -> list[Any]:
    """A mask of the first half of the channels, rounded up, or of the others.

    The shape may be that of a series, too.
    """
    mask = _recipe.half(shape[-1], first)
    return np.reshape(mask, [1] * (len(shape) - 1) + [-1]).tolist()


def scales_of_steps(
    shape: Sequence[int],
    num_scales: int,
    num_layers: int,
    step: Callable[..., list[tfb.Bijector]],
    seed: int | None,
    split: Callable[..., list[tfb.Bijector]] | None = None,
) -> list[tfb.Bijector]:
    """A chain for each scale: `Squeeze`, then steps of one kind, and what conditions the split.

    Args:
      shape: `(H, W, C)`.
      num_scales: how many.
      num_layers: steps in each.
      step: `step(shape, seed)` gives a list of bijectors, from data to base.
      seed: Python `int` or `None`.
      split: the same, for the end of each scale but the last one.
    """
    num_scales = _checks.integer_at_least(num_scales, 1, "num_scales")
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    seeds = iter(_recipe.seeds(seed, num_scales * (num_layers + 1)))
    shape, scales = image_shape(shape, num_scales), []
    for scale in range(num_scales):
        parts, shape = [tfb.Invert(Squeeze())], squeezed(shape)
        for _ in range(num_layers):
            parts += step(shape, next(seeds))
        if split is not None and scale < num_scales - 1:
            parts += split(shape, next(seeds))
        scales.append(tfb.Chain(parts))
        shape = kept(shape)
    return scales


def glow_scales(
    event_shape: Sequence[int],
    num_scales: int,
    num_layers: int,
    *,
    seed: int | None,
    dtype: str,
    **options: Any,
) -> list[tfb.Bijector]:
    """Scales of steps of an `ActNorm`, a 1x1 convolution and a coupling of channels.

    A further coupling conditions the channels that leave on those that stay.

    Args:
      event_shape: `(H, W, C)`.
      num_scales: how many.
      num_layers: steps in each.
      seed: Python `int` or `None`.
      dtype: float dtype.
      **options: further keywords of `_recipe.coupling`, apart from the network.
    """

    def split(shape: tuple[int, ...], seed: int | None) -> list[tfb.Bijector]:
        mask = channels(shape)
        return [_recipe.coupling(shape, mask, network=ConvNet, seed=seed, dtype=dtype, **options)]

    def step(shape: tuple[int, ...], seed: int | None) -> list[tfb.Bijector]:
        rotation = InvertibleConv1x1(shape[2], seed=seed, dtype=dtype)
        return [ActNorm(shape[2], dtype=dtype), rotation, *split(shape, seed)]

    return scales_of_steps(event_shape, num_scales, num_layers, step, seed, split)


def flow(
    scales: list[tfb.Bijector],
    event_shape: Sequence[int],
    base: tfp.distributions.Distribution | None,
    dtype: DTypeLike | tf.DType,
    name: str,
) -> Flow:
    """The distribution of images of scales, over a base of vectors of all their numbers."""
    bijector = MultiScale(scales, event_shape)
    return _recipe.flow([bijector], math.prod(event_shape), base, dtype, name)


def given_and_board(shape: tuple[int, ...], is_even: bool) -> np.ndarray:
    """A mask of images of twice the channels: the first half, and a checkerboard of the second."""
    i, j = np.indices(shape[:2])
    board = np.broadcast_to(((i + j) % 2 == 0)[..., np.newaxis] == is_even, shape)
    return np.concatenate([np.ones(shape, bool), board], axis=-1)
