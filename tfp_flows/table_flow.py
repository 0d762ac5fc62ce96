"""A flow over a table whose columns are of different kinds."""

import math

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
# How far the range of x + u is wider than that of the data, where the inverse of the sigmoid has
# long tails: a flow of counts was 0.04 nats better than with 0.001.
_MARGIN = 0.05


def table_flow(columns, recipe=flows.neural_spline, **recipe_kwargs):
    """x = constrain(m + s z), z of a flow of a recipe: rows of a table, each column as it is.

    Events are vectors of one number for each of `columns`, in their order and units. Columns that
    are "positive" go through an exponential, so that their unit does not matter; "bounded" ones
    through a sigmoid; then all but angles are standardised, by `FlowModel.adapt`. Angles have a
    flow of their own, `circular_spline`, and the others are given their cosines and sines (see
    `tfp_flows.distributions.WithAngles`). With an "integer" column the result is a
    `tfp_flows.distributions.WholeColumns`: it has a bound of the log-density, `elbo`, which
    `FlowModel` maximises, and no `log_prob`. Else it is a `Flow`, and its density is exact. Cost:
    those of the recipe's flow, and of the angles'.

    ```python
    columns = {
        "height": tfp_flows.Column("real"),
        "income": tfp_flows.Column("positive"),
        "children": tfp_flows.Column("integer", 0, 12),
        "hour": tfp_flows.Column("angle", 0, 24),
    }
    flow = tfp_flows.table_flow(columns, num_layers=2, hidden_units=(32,))
    model = tfp_flows.FlowModel(flow)
    ```

    Then `model.adapt(x)`, `model.compile`, `model.fit(x)`, with rows x `[N, 4]` of floats. Samples
    of integers are whole numbers from `low` to `high`, and those of angles are within the circle;
    other angles have the density of the angle that they are modulo `high - low`. A category that is
    known when you sample is a context, one-hot, with `context_size`.

    Args:
      columns: a list of `tfp_flows.Column`, or a `dict` of them by name; a kind that needs no
        bounds may be given as a string.
      recipe: a recipe for vectors of `tfp_flows.flows`, or a function with its signature. With
        angles it must take a context.
      **recipe_kwargs: keywords of the recipe, such as `num_layers`, `context_size`, `seed` and
        `dtype`. Those that say the size of layers and networks, and `num_bins`, are those of the
        angles' flow, too; with angles alone all are.

    Returns:
      A `tfp_flows.distributions.Flow`, or with integers a `WholeColumns`.

    Raises:
      TypeError: if `columns` or one of them is something else, or `recipe` gives no distribution.
      ValueError: if there is no column, a kind or bound is wrong (see `Column`), or the flow has
        another number of dimensions.
    """
    columns = _checked(columns)
    dtype = _recipe.float_dtype(recipe_kwargs.get("dtype", "float32"))
    kinds = np.array([column.kind for column in columns])
    # Columns of one bijector side by side, and angles last, where `WithAngles` has them.
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


def _checked(columns):
    """A list of `Column`s."""
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
        raise ValueError(f"`columns` must have a column. Received: columns={columns!r}")
    checked = []
    for name, column in named.items():
        if not isinstance(column, Column | str):
            raise TypeError(
                f"`{name}` must be a `tfp_flows.Column`, or a kind. Received: {name}={column!r}"
            )
        checked.append(Column(column) if isinstance(column, str) else column)
    return checked


def _positive(columns, dtype):
    low = np.array([column.low for column in columns])
    exp = tfb.Exp()
    return tfb.Chain([tfb.Shift(tf.constant(low, dtype)), exp]) if low.any() else exp


def _bounded(columns, dtype):
    """Onto (low, high), of integers onto the range of x + u."""
    low = np.array([column.low for column in columns], np.float64)
    high = np.array([column.high for column in columns], np.float64)
    is_whole = np.array([column.kind == "integer" for column in columns])
    high += is_whole
    spacing = np.spacing(np.maximum(np.abs(low), np.abs(high)).astype(dtype)).astype(np.float64)
    margin = np.where(is_whole, np.maximum(_MARGIN, 4.0 * spacing), 0.0)
    return tfb.Sigmoid(tf.constant(low - margin, dtype), tf.constant(high + margin, dtype))


def _circle(columns, dtype):
    """From [-pi, pi) onto [low, high)."""
    low = np.array([column.low for column in columns], np.float64)
    scale = (np.array([column.high for column in columns]) - low) / (2.0 * math.pi)
    if np.all(low == -math.pi) and np.all(scale == 1.0):
        return tfb.Identity()
    shift = tfb.Shift(tf.constant(low + scale * math.pi, dtype))
    return tfb.Chain([shift, tfb.Scale(tf.constant(scale, dtype))])


def _standardized(num_numbers, num_angles, dtype):
    """What learns mean and scale of all columns but angles: a list of bijectors."""
    if not num_numbers:
        return []
    standardize = Standardize(num_numbers, dtype=dtype)
    if not num_angles:
        return [standardize]
    sizes = [num_numbers, num_angles]
    return [tfb.Blockwise([standardize, tfb.Identity()], block_sizes=sizes)]


def _base(num_numbers, num_angles, recipe, recipe_kwargs, dtype):
    """The distribution of standardised numbers and then angles."""
    if not num_numbers:
        return flows.circular_spline(num_angles, **recipe_kwargs)
    seeds = _recipe.seeds(recipe_kwargs.get("seed"), 2)
    options = {**recipe_kwargs, "dtype": dtype, "seed": seeds[0]}
    if recipe is flows.neural_spline and num_numbers == 1:
        options.setdefault("autoregressive", True)  # couplings need two
    if not num_angles:
        return _made(recipe, num_numbers, options)
    context_size = _checks.integer_at_least(options.get("context_size", 0), 0, "context_size")
    options["context_size"] = context_size + 2 * num_angles
    numbers = _made(recipe, num_numbers, options)
    shared = {name: recipe_kwargs[name] for name in _SHARED if name in recipe_kwargs}
    shared |= {"context_size": context_size, "dtype": dtype, "seed": seeds[1]}
    angles = flows.circular_spline(num_angles, **shared)
    return WithAngles(numbers, angles, context_size=context_size)


def _made(recipe, size, options):
    flow = recipe(size, **options)
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(f"`recipe` must give a TFP distribution. Received: {flow!r}")
    if flow.event_shape != [size] or flow.dtype.name != options["dtype"]:
        raise ValueError(
            f"`recipe` must give a distribution over {size} dimensions in {options['dtype']}. "
            f"Received: {flow!r}"
        )
    return flow
