"""Flows on tori: circular splines of angles."""

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _checks
from tfp_flows.bijectors import Autoregressive, CircularSpline
from tfp_flows.flows import _recipe
from tfp_flows.layers import MADE, CircularMLP

tfd = tfp.distributions


def circular_spline(
    event_shape,
    *,
    context_size=0,
    num_layers=6,
    num_bins=8,
    hidden_units=(64, 64),
    activation="relu",
    base=None,
    seed=None,
    dtype="float32",
):
    """y_i = g(x_i; h_i) + s_i modulo 2 pi, layer upon layer: a density of D angles, on the torus.

    Choose it for angles, phases and times of day. g is a spline of the circle, with a continuous
    slope all around, and h_i and s_i are given by a network of the cosines and sines of the other
    half of the angles: so the density has the period 2 pi in every angle, and no jump. Density and
    samples cost one network evaluation a layer; both are exact. The base is uniform. Support:
    angles in radians; samples are in [-pi, pi), other numbers have the density of the angle that
    they are modulo 2 pi. For angles beside numbers of other kinds take `tfp_flows.table_flow`.

    Every second layer halves the angles anew, and the layer after it transforms the other half. A
    single angle has no other half: its splines depend on the context alone.

    ```python
    torus = tfp_flows.flows.circular_spline(2, num_layers=2, hidden_units=(16,))
    torus.log_prob([[3.1, 0.0]])  # -2 log(2 pi), as of any angles before training
    ```

    Source: Rezende, Papamakarios, Racaniere, Albergo, Kanwar, Shanahan and Cranmer (2020),
    Normalizing Flows on Tori and Spheres, arXiv:2002.02428.

    Args:
      event_shape: D or `(D,)`.
      context_size: C, or 0 for an unconditional flow.
      num_layers: layers of splines.
      num_bins: K, bins of each spline.
      hidden_units: widths of the hidden layers of each network.
      activation: of the networks.
      base: any TFP distribution over D angles in [-pi, pi); uniform by default.
      seed: Python `int`, of the networks' weights and the halves.
      dtype: float32 or float64.

    Returns:
      A distribution, equal to its base at the start.

    Raises:
      TypeError: if a size is no integer, or `base` no distribution.
      ValueError: for a size below its minimum.
    """
    dtype = _recipe.float_dtype(dtype)
    size = _recipe.vector_size(event_shape)
    num_layers = _checks.integer_at_least(num_layers, 1, "num_layers")
    splines = {
        "transformer": CircularSpline,
        "transformer_kwargs": {"num_bins": num_bins},
        "context_size": context_size,
        "raw_scale": _recipe.raw_scale(hidden_units, gain=0.6),
    }
    network_kwargs = {"hidden_units": hidden_units, "activation": activation, "dtype": dtype}
    layer_seeds = _recipe.seeds(seed, num_layers)

    def layer(seed, mask):
        options = {**network_kwargs, "seed": seed}
        if size == 1:
            return _single(splines, options)
        return _recipe.coupling((size,), mask, network=CircularMLP, **splines, **options)

    masks = _halves(size, layer_seeds)
    bijectors = [layer(*each) for each in zip(layer_seeds, masks, strict=True)]
    base = _uniform(size, dtype) if base is None else base
    return _recipe.flow(bijectors, size, base, dtype, "circular_spline")


def _uniform(size, dtype):
    """Angles that are equally likely."""
    pi = tf.constant(math.pi, dtype)
    return tfd.Sample(tfd.Uniform(-pi, pi), size)


def _halves(size, layer_seeds):
    """Masks, of which each pair is a random half and the other one."""
    masks = []
    for i, seed in enumerate(layer_seeds):
        if i % 2:
            masks.append([not is_in for is_in in masks[-1]])
        else:
            half = np.array(_recipe.half(size))
            masks.append(half[np.random.default_rng(seed).permutation(size)].tolist())
    return masks


def _single(splines, network_kwargs):
    """A layer of one angle."""
    context_size = splines["context_size"]
    params_size = CircularSpline.params_size(**splines["transformer_kwargs"])
    network_kwargs["dtype"] = _recipe.network_policy(network_kwargs["dtype"])
    network = MADE(1, params_size, context_size=context_size, **network_kwargs)
    _recipe.build(network, 1, context_size)
    return Autoregressive(network, **splines)
