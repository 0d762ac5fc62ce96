"""Flows on tori: circular splines of angles."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _checks
from tfp_flows.bijectors import Autoregressive, CircularSpline
from tfp_flows.distributions import Flow
from tfp_flows.flows import _recipe
from tfp_flows.layers import MADE, CircularMLP

tfb = tfp.bijectors

tfd = tfp.distributions


def circular_spline(
    event_shape: int | Sequence[int],
    *,
    context_size: int | Sequence[int] = 0,
    num_layers: int = 6,
    num_bins: int = 8,
    hidden_units: Sequence[int] = (64, 64),
    activation: Any = "relu",
    base: tfd.Distribution | None = None,
    seed: int | None = None,
    dtype: tf.DType | str = "float32",
) -> Flow:
    r"""$y_i = g(x_i; h_i) + s_i \bmod 2 \pi$

    A flow on the torus: splines of the circle act on each of D angles.

    Choose it for angles, phases and times of day. g is a spline of the circle whose slope is
    continuous everywhere. A network computes $h_i$ and $s_i$ from the cosines and sines of half of
    the angles, for the angles of the other half. So the density has the period $2 \pi$ in every
    angle, and no jump. A density or a sample costs one network evaluation per layer; both are
    exact.

    Support: angles in radians. Samples are in $[-\pi, \pi)$. Any other number has the density of
    the angle that it equals modulo $2 \pi$. For angles together with other kinds of numbers use
    `tfpf.table_flow`.

    Layers come in pairs: the first transforms a random half of the angles, the second the other
    half. A single angle has no other half, so its splines depend only on the context.

    Source: Rezende, Papamakarios, Racaniere, Albergo, Kanwar, Shanahan and Cranmer (2020),
    Normalizing Flows on Tori and Spheres, arXiv:2002.02428.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: number of layers of splines.
      num_bins: K, number of bins of each spline.
      hidden_units: widths of the hidden layers of each network.
      activation: activation function of the networks, a Keras name or a callable.
      base: any TFP distribution over D angles in $[-\pi, \pi)$; uniform by default.
      seed: Python `int` that fixes the halves and the initial weights of the networks.
      dtype: float32 or float64.

    Returns:
      A `tfpf.distributions.Flow` that equals its base at the start.

    Raises:
      TypeError: if a size is not an integer, or `base` is not a distribution.
      ValueError: if a size is below its minimum.

    Example:
      >>> import tfp_flows as tfpf
      >>> torus = tfpf.flows.circular_spline(2, num_layers=2, hidden_units=(8,))
      >>> torus.log_prob([[3.1, 0.0]]).numpy()  # -2 log(2 pi): uniform at the start
      array([-3.676], dtype=float32)

    See also: `tfpf.bijectors.CircularSpline`, `tfpf.distributions.WithAngles`.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    splines: dict[str, Any] = {
        "transformer": CircularSpline,
        "transformer_kwargs": {"num_bins": num_bins},
        "context_size": context_size,
        "raw_scale": _recipe.raw_scale(hidden_units, gain=0.6),
    }
    network_kwargs: dict[str, Any] = {"hidden_units": hidden_units, "activation": activation}
    network_kwargs["dtype"] = dtype
    layer_seeds = _recipe.seeds(seed, num_layers)

    def layer(seed: Any, mask: Any) -> tfb.Bijector:
        options = {**network_kwargs, "seed": seed}
        if size == 1:
            return _single(splines, options)
        return _recipe.coupling((size,), mask, network=CircularMLP, **splines, **options)

    masks = _halves(size, layer_seeds)
    bijectors = [layer(*each) for each in zip(layer_seeds, masks, strict=True)]
    base = _uniform(size, dtype) if base is None else base
    return _recipe.flow(bijectors, size, base, dtype, "circular_spline")


def _uniform(size: int, dtype: tf.DType) -> tfd.Distribution:
    """The uniform distribution of D angles."""
    pi = tf.constant(math.pi, dtype)
    return tfd.Sample(tfd.Uniform(-pi, pi), size)


def _halves(size: int, layer_seeds: Any) -> list[Any]:
    """Masks in pairs: a random half, and the other half."""
    masks: list[Any] = []
    for i, seed in enumerate(layer_seeds):
        if i % 2:
            masks.append([not is_in for is_in in masks[-1]])
        else:
            half = np.array(_recipe.half(size))
            masks.append(half[np.random.default_rng(seed).permutation(size)].tolist())
    return masks


def _single(splines: dict[str, Any], network_kwargs: dict[str, Any]) -> tfb.Bijector:
    """A layer for a single angle."""
    context_size = splines["context_size"]
    params_size = CircularSpline.params_size(**splines["transformer_kwargs"])
    network_kwargs["dtype"] = _recipe.network_policy(network_kwargs["dtype"])
    network_kwargs |= _recipe.bias_at_full_rate(MADE, splines["raw_scale"])
    network = MADE(1, params_size, context_size=context_size, **network_kwargs)
    _recipe.build(network, 1, context_size)
    return Autoregressive(network, **splines)
