"""What recipes for images have in common."""

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
    """`(H, W, C)` of an `event_shape` whose sides can be halved `num_squeezes` times.

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
            f"`event_shape` must have a height and a width that are multiples of {multiple}, since "
            f"they are halved {num_squeezes} times. Received: event_shape={event_shape!r}"
        )
    return shape


def widths(
    hidden_channels: Sequence[int] | None,
    hidden_units: Sequence[int] | None,
    default: Sequence[int],
    check: Callable[[Any, str], tuple[int, ...]] = _widths.block_widths,
) -> tuple[int, ...]:
    """The widths of networks for images, which may be given under either name.

    Args:
      hidden_channels: widths, or `None`.
      hidden_units: another name for `hidden_channels`.
      default: widths, if both are `None`.
      check: checks widths; a function of them and of their name.

    Raises:
      TypeError: if a width is not an integer.
      ValueError: if both are given, or `check` refuses the widths. The message has the name under
        which they were given.
    """
    if hidden_units is None:
        return check(default if hidden_channels is None else hidden_channels, "hidden_channels")
    if hidden_channels is not None:
        raise ValueError(
            "`hidden_units` must not be given together with `hidden_channels`: both name the same "
            "widths. "
            f"Received: hidden_channels={hidden_channels!r}, hidden_units={hidden_units!r}"
        )
    return check(hidden_units, "hidden_units")


def refuse_for_vectors(**given: Any) -> None:
    """Refuses arguments that apply only to images; an argument that is `None` was not given."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"`{name}` is only for images, whose `event_shape` is (H, W, C). "
                f"Received: {name}={value!r} for vectors"
            )


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image after `Squeeze`."""
    return shape[0] // 2, shape[1] // 2, 4 * shape[2]


def kept(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the part that stays when half of the channels leave."""
    return *shape[:-1], shape[-1] - shape[-1] // 2


def channels(shape: tuple[int, ...], first: bool = True) -> list[Any]:
    """A mask of the first half of the channels, rounded up, or of the others.

    The shape may also be that of a series.
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
    """A chain for each scale: `Squeeze`, then equal steps, then the layers of the split.

    Args:
      shape: `(H, W, C)`.
      num_scales: number of scales.
      num_layers: number of steps in each scale.
      step: `step(shape, seed)` returns a list of bijectors, from data to base.
      seed: Python `int` or `None`.
      split: like `step`, for the end of each scale but the last.
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
    """Scales whose steps are an `ActNorm`, a 1x1 convolution and a coupling of channels.

    A further coupling conditions the channels that leave on those that stay.

    Args:
      event_shape: `(H, W, C)`.
      num_scales: number of scales.
      num_layers: number of steps in each scale.
      seed: Python `int` or `None`.
      dtype: float dtype.
      **options: further keywords of `_recipe.coupling`, except `network`.
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
    """The distribution of images with these scales, whose base is over vectors of all numbers."""
    bijector = MultiScale(scales, event_shape)
    return _recipe.flow([bijector], math.prod(event_shape), base, dtype, name)


def given_and_board(shape: tuple[int, ...], is_even: bool) -> np.ndarray:
    """A mask for images of twice the channels: the first half, a checkerboard of the second."""
    i, j = np.indices(shape[:2])
    board = np.broadcast_to(((i + j) % 2 == 0)[..., np.newaxis] == is_even, shape)
    return np.concatenate([np.ones(shape, bool), board], axis=-1)
