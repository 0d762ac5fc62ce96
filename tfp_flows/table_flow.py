"""A flow over a table whose columns are of different kinds."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _checks, flows
from tfp_flows.bijectors import Standardize
from tfp_flows.column import Column
from tfp_flows.distributions import Flow, WholeColumns, WithAngles
from tfp_flows.flows import _recipe

tfb = tfp.bijectors
tfd = tfp.distributions

# Keywords that the flow of the angles shares with the recipe of the other columns.
_SHARED = ("num_layers", "num_bins", "hidden_units", "activation")
# The range of x + u is wider than that of the data by this much on each side, since the inverse of
# the sigmoid has long tails at its ends. A flow of counts was 0.04 nats better than with 0.001.
_MARGIN = 0.05


def table_flow(
    columns: Sequence[Column],
    recipe: Callable[..., Any] = flows.neural_spline,
    **recipe_kwargs: Any,
) -> tfd.Distribution:
    r"""$x = k(m + s z)$

    Makes a flow over the rows of a table whose columns may be of different kinds.

    An event holds one number for each of `columns`, in their order and units. z is an event of the
    recipe's flow; m and s are learned from the data by `FlowModel.adapt`; k maps each column into
    its range:

    - "positive" columns go through an exponential, so their unit does not matter;
    - "bounded" and "integer" columns go through a sigmoid;
    - "angle" columns are not standardized and have a flow of their own,
      `tfpf.flows.circular_spline`. The flow of the other columns is given their cosines and sines
      (see `tfpf.distributions.WithAngles`).

    Without "integer" columns the result is a `tfpf.distributions.Flow` with an exact density. With
    them it is a `tfpf.distributions.WholeColumns`. That has no `log_prob`, but a lower bound of the
    log-density, `elbo`, which `FlowModel` maximizes. Cost: the recipe's flow plus that of the
    angles.

    Train with `model = tfpf.FlowModel(flow)`, `model.adapt(x)`, `model.compile()` and
    `model.fit(x)`, where x holds floats `[N, len(columns)]`. Samples of "integer" columns are whole
    numbers from `low` to `high`. Samples of angles lie between their `low` and `high`; densities
    take any angle, modulo `high - low`. If you know a category when you sample, give it as a
    one-hot context, with `context_size`.

    Args:
      columns: a list of `tfpf.Column`, or a `dict` of them by name. A kind that needs no bounds may
        be given as a string.
      recipe: a recipe for vectors of `tfp_flows.flows`, or a function with its signature. With
        angles it must take a context.
      **recipe_kwargs: keywords of the recipe, such as `num_layers`, `context_size`, `seed` and
        `dtype`. The flow of the angles also takes `num_layers`, `num_bins`, `hidden_units` and
        `activation`. If all columns are angles, it takes all of the keywords.

    Returns:
      A `tfpf.distributions.Flow`, or with "integer" columns a `tfpf.distributions.WholeColumns`.

    Raises:
      TypeError: if `columns` is not a list or `dict` of columns, or if `recipe` does not return a
        distribution.
      ValueError: if there is no column, if a kind or bound is wrong (see `tfpf.Column`), or if the
        flow has another number of dimensions.

    Example:
      >>> import tfp_flows as tfpf
      >>> columns = {
      ...     "height": "real",
      ...     "income": "positive",
      ...     "children": tfpf.Column("integer", 0, 12),
      ... }
      >>> flow = tfpf.table_flow(columns, num_layers=1, hidden_units=(8,))
      >>> x = flow.sample(100, seed=1).numpy()
      >>> x.shape, bool((x[:, 1] > 0).all()), bool((x[:, 2] % 1 == 0).all())
      ((100, 3), True, True)

    See also: `tfpf.Column`, `tfpf.FlowModel`.
    """
    columns = _checked(columns)
    dtype = _recipe.float_dtype(recipe_kwargs.get("dtype", "float32"))
    kinds = np.array([column.kind for column in columns])
    # Columns that share a bijector are side by side. Angles are last, as `WithAngles` has them.
    groups = [
        np.flatnonzero(np.isin(kinds, names))
        for names in (("real",), ("positive",), ("bounded", "integer"), ("angle",))
    ]
    makers = (tfb.Identity, _positive, _bounded, _circle)
    blocks = [
        (maker() if maker is tfb.Identity else maker([columns[i] for i in group], dtype), group)
        for maker, group in zip(makers, groups, strict=True)
        if len(group)
    ]
    parts, sizes = [block for block, _ in blocks], [len(group) for _, group in blocks]
    order = np.concatenate([group for _, group in blocks])
    chain = []
    if (order != np.arange(len(columns))).any():
        chain.append(tfb.Permute(np.argsort(order)))
    chain.append(tfb.Blockwise(parts, block_sizes=sizes) if len(parts) > 1 else parts[0])
    num_angles = len(groups[-1])
    chain += _standardized(len(columns) - num_angles, num_angles, dtype)
    base = _base(len(columns) - num_angles, num_angles, recipe, recipe_kwargs, dtype)
    flow = Flow(base, tfb.Chain(chain, name="table"))
    whole = np.flatnonzero(kinds == "integer").tolist()
    if not whole:
        return flow
    low, high = ([int(getattr(columns[i], name)) for i in whole] for name in ("low", "high"))
    return WholeColumns(flow, whole, low, high, seed=recipe_kwargs.get("seed"))


def _checked(columns: Any) -> list[Column]:
    """The columns as a list of `Column`s."""
    if isinstance(columns, dict):
        named = {f"columns[{name!r}]": column for name, column in columns.items()}
    elif isinstance(columns, list | tuple):
        named = {f"columns[{i}]": column for i, column in enumerate(columns)}
    else:
        raise TypeError(
            "`columns` must be a list of `tfp_flows.Column`, or a dict of them. "
            f"Received: columns={columns!r}"
        )
    if not named:
        raise ValueError(f"`columns` must have at least one column. Received: columns={columns!r}")
    checked = []
    for name, column in named.items():
        if not isinstance(column, Column | str):
            raise TypeError(
                f"`{name}` must be a `tfp_flows.Column` or a kind. Received: {name}={column!r}"
            )
        checked.append(Column(column) if isinstance(column, str) else column)
    return checked


def _positive(columns: Sequence[Column], dtype: Any) -> tfb.Bijector:
    low = np.array([column.low for column in columns])
    exp = tfb.Exp()
    return tfb.Chain([tfb.Shift(tf.constant(low, dtype)), exp]) if low.any() else exp


def _bounded(columns: Sequence[Column], dtype: Any) -> tfb.Bijector:
    """Onto (low, high); for integers onto the range of x + u."""
    low = np.array([column.low for column in columns], np.float64)
    high = np.array([column.high for column in columns], np.float64)
    is_whole = np.array([column.kind == "integer" for column in columns])
    high += is_whole
    spacing = np.spacing(np.maximum(np.abs(low), np.abs(high)).astype(dtype)).astype(np.float64)
    margin = np.where(is_whole, np.maximum(_MARGIN, 4.0 * spacing), 0.0)
    return tfb.Sigmoid(tf.constant(low - margin, dtype), tf.constant(high + margin, dtype))


def _circle(columns: Sequence[Column], dtype: Any) -> tfb.Bijector:
    """From [-pi, pi) onto [low, high)."""
    low = np.array([column.low for column in columns], np.float64)
    scale = (np.array([column.high for column in columns]) - low) / (2.0 * math.pi)
    if np.all(low == -math.pi) and np.all(scale == 1.0):
        return tfb.Identity()
    shift = tfb.Shift(tf.constant(low + scale * math.pi, dtype))
    return tfb.Chain([shift, tfb.Scale(tf.constant(scale, dtype))])


def _standardized(num_numbers: int, num_angles: int, dtype: Any) -> list[tfb.Bijector]:
    """Bijectors that learn the mean and scale of all columns but angles."""
    if not num_numbers:
        return []
    standardize = Standardize(num_numbers, dtype=dtype)
    if not num_angles:
        return [standardize]
    sizes = [num_numbers, num_angles]
    return [tfb.Blockwise([standardize, tfb.Identity()], block_sizes=sizes)]


def _base(
    num_numbers: int,
    num_angles: int,
    recipe: Callable[..., Any],
    recipe_kwargs: dict[str, Any],
    dtype: Any,
) -> tfd.Distribution:
    """The distribution of the standardized numbers, followed by the angles."""
    if not num_numbers:
        return flows.circular_spline(num_angles, **recipe_kwargs)
    seeds = _recipe.seeds(recipe_kwargs.get("seed"), 2)
    options = {**recipe_kwargs, "dtype": dtype, "seed": seeds[0]}
    if recipe is flows.neural_spline and num_numbers == 1:
        options.setdefault("autoregressive", True)  # couplings need two dimensions
    if not num_angles:
        return _made(recipe, num_numbers, options)
    context_size = _checks.integer_at_least(options.get("context_size", 0), 0, "context_size")
    options["context_size"] = context_size + 2 * num_angles
    numbers = _made(recipe, num_numbers, options)
    shared = {name: recipe_kwargs[name] for name in _SHARED if name in recipe_kwargs}
    shared |= {"context_size": context_size, "dtype": dtype, "seed": seeds[1]}
    angles = flows.circular_spline(num_angles, **shared)
    return WithAngles(numbers, angles, context_size=context_size)


def _made(recipe: Callable[..., Any], size: int, options: dict[str, Any]) -> tfd.Distribution:
    flow = recipe(size, **options)
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(f"`recipe` must return a TFP distribution. Received: {flow!r}")
    if flow.event_shape != [size] or flow.dtype.name != options["dtype"]:
        raise ValueError(
            f"`recipe` must return a distribution over {size} dimensions in {options['dtype']}. "
            f"Received: {flow!r}"
        )
    return flow
