"""The path of points from base to data."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import distributions as tfd

from tfp_flows import _checks
from tfp_flows.diagnostics._figures import chosen_columns, grid_of_axes
from tfp_flows.diagnostics._layers import bijectors_and_base, layers_to_data
from tfp_flows.diagnostics._rows import distribution_of, given_one_context


def transport(
    flow: tfd.Distribution | keras.Layer,
    axes: Any = None,
    *,
    context: ArrayLike | None = None,
    columns: Sequence[int] = (0, 1),
    num_points: int = 500,
    max_panels: int = 8,
    seed: int = 0,
) -> Any:
    r"""$u, \; f_L(u), \; f_{L-1}(f_L(u)), \; \ldots, \; x$

    Draws points of the base after each layer, on their way to the data.

    Points keep their color, which shows their angle around the origin of the base.

    Args:
      flow: a `TransformedDistribution` over vectors of at least two numbers, or a model or
        layer around one.
      axes: axes of matplotlib, one for each panel, or `None` for a new figure.
      context: one context `[*context]` of a conditional flow.
      columns: the two columns that are drawn.
      num_points: the number of draws of the base.
      max_panels: the most panels, at least two. If there are more layers, some are left out,
        evenly.
      seed: a Python `int`, for the draws.

    Returns:
      A flat array of axes, from base to data.

    Raises:
      TypeError: if `flow` is not such a distribution, or a number has the wrong type.
      ValueError: if its events are not such vectors, a context is missing or has another shape,
        `columns` are not two of them, or `axes` has the wrong number.
      ImportError: if matplotlib is not installed.

    Example:
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=2, hidden_units=(8,))
      >>> axes = tfpf.diagnostics.transport(flow, num_points=50)
      >>> [ax.get_title() for ax in axes]
      ['base', 'scale', 'coupling', 'coupling']

    See also: `tfpf.diagnostics.density_2d`.
    """
    flow = distribution_of(flow)
    flow = given_one_context(flow, context)
    size = flow.event_shape[0] if flow.event_shape.rank == 1 else 0
    if size < 2:
        raise ValueError(
            "`flow` must be over vectors of at least two numbers. "
            f"Received: event_shape={flow.event_shape}"
        )
    i, j = _two(chosen_columns(columns, size, 2))
    num_points = _checks.integer_at_least(num_points, 1, "num_points")
    max_panels = _checks.integer_at_least(max_panels, 2, "max_panels")
    seed = tf.constant([_checks.integer_at_least(seed, 0, "seed"), 0], tf.int32)
    _, base = bijectors_and_base(flow)
    u = base.sample(num_points, seed=seed)
    layers = layers_to_data(flow, u)
    # Layers of another width, for example those of a constraint, have other columns.
    stages = [("base", u)] + [
        (layer.bijector.name, layer.y) for layer in layers if layer.y.shape[1:] == [size]
    ]
    if len(stages) > max_panels:
        kept = np.linspace(0, len(stages) - 1, max_panels).round().astype(int)
        stages = [stages[k] for k in kept]
    axes = grid_of_axes(axes, 1, len(stages))[0]
    angle = np.arctan2(u[:, j], u[:, i])
    for ax, (name, points) in zip(axes, stages, strict=True):
        points = np.asarray(points)
        ax.scatter(points[:, i], points[:, j], c=angle, cmap="twilight", s=4)
        ax.set_title(name)
    return axes


def _two(columns: Any) -> list[int]:
    if len(columns) != 2:
        raise ValueError(f"`columns` must be two columns. Received: columns={columns}")
    return columns
