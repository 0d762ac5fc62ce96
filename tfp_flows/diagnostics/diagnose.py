"""The examination of a flow, layer by layer."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows import _checks
from tfp_flows.conditioning import context_size
from tfp_flows.diagnostics._context_effect import context_effect
from tfp_flows.diagnostics._layers import hides_layers, layers_to_base
from tfp_flows.diagnostics._optional import axes_or_new
from tfp_flows.diagnostics._report_table import report_text
from tfp_flows.diagnostics._rows import checked_rows, continuous, distribution_of
from tfp_flows.diagnostics.columns import Columns, find_columns
from tfp_flows.diagnostics.fault import Fault
from tfp_flows.diagnostics.layer_row import all_weights_finite, examine, has_network

# The most numbers in one pass over all layers, because all results of a pass are kept.
_NUMBERS = 2**20


@dataclasses.dataclass(frozen=True)
class BaseRow:
    """What `diagnose` found in the base.

    Attributes:
      finite: of the rows that arrive finite, the share with a finite log-density in the base.
      log_probs: the least and the largest log-density in the base, in nats; of a `WithAngles`,
        with the layers of its two parts.
      context_effect: the most that log-densities move when rows exchange contexts. `None` if the
        base takes none, NaN if it is not trained yet.
      faults: words for what is wrong (see `Fault`).
      hides_layers: whether it holds layers that were not examined, as a mixture of flows does.

    Example:
      >>> import numpy as np
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> base = tfp.distributions.Sample(tfp.distributions.Uniform(0.0, 1.0), 2)
      >>> flow = tfpf.distributions.Flow(base, tfpf.bijectors.Affine(0.0))
      >>> x = np.random.default_rng(1).normal(size=[50, 2])
      >>> tfpf.diagnose(flow, x).base.faults
      ('outside the support',)
    """

    finite: float
    log_probs: tuple
    context_effect: float | None
    faults: tuple
    hides_layers: bool = False


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of `diagnose`; `str(report)` is a table, with what usually helps.

    Attributes:
      rows: a `LayerRow` for each layer, from data to base.
      data: `Columns`, what was found in the data.
      base: a `BaseRow`, or `None` if a bijector was examined.
      num_rows: the number of rows that were examined.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=1, hidden_units=(4,))
      >>> report = tfpf.diagnose(flow, np.random.default_rng(1).normal(size=[50, 2]))
      >>> [row.layer for row in report.rows], report.first_fault
      (['0 coupling', '1 scale'], None)
    """

    rows: tuple
    data: Columns
    base: BaseRow | None
    num_rows: int

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults, from data to base, each a `Fault` with the layer and a word."""
        data = {
            "data not finite": self.data.not_finite > 0,
            "constant column": bool(self.data.constant),
            "dependent columns": bool(self.data.dependent),
        }
        found = [Fault("data", word) for word, is_so in data.items() if is_so]
        found += [Fault(row.layer, word) for row in self.rows for word in row.faults]
        base = () if self.base is None else self.base.faults
        return tuple(found + [Fault("base", word) for word in base])

    @property
    def first_fault(self) -> Fault | None:
        """The first `Fault`, `(layer, word)`, which may cause the others; or `None`."""
        return self.faults[0] if self.faults else None

    def __str__(self) -> str:
        return report_text(self)

    def plot(self, ax: Any = None) -> Any:
        """Draws the range of values after each layer; a layer with a fault is red.

        Args:
          ax: axes of matplotlib, or `None` for a new figure.

        Returns:
          The axes.
        """
        ax = axes_or_new(ax)
        for i, row in enumerate(self.rows):
            ax.plot(row.values, [i, i], color="C3" if row.faults else "C0", linewidth=6)
        ax.set_yticks(range(len(self.rows)), [row.layer for row in self.rows])
        ax.invert_yaxis()
        ax.set_xlabel("values after the layer, on the way from data to base")
        return ax


def diagnose(
    flow_or_bijector: tfb.Bijector | tfd.Distribution | keras.Layer,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    num_rows: int = 512,
    num_jacobian_rows: int = 4,
    max_jacobian_size: int = 512,
    seed: int = 0,
) -> Report:
    r"""$x \to f_1^{-1}(x) \to f_2^{-1}(f_1^{-1}(x)) \to \ldots \to u$

    Examines every layer on the way from data to base, and names the faults that it finds.

    The layers are the parts of chains, flows within flows, scales of images, and the flows of the
    numbers and of the angles in a `WithAngles`. They may come from this package or TFP, or be your
    own. Each layer is examined alone:

    - Do values and log-dets stay finite?
    - Do rows return to where they began?
    - Is the log-det that of the Jacobian by autodiff, and how well conditioned is the Jacobian?
    - How many rows lie outside of the bound of a spline, have saturated scales, or were given up
      by a search?
    - Does the context matter?

    In the data it looks for columns that are constant or determine each other.

    Everything runs eagerly. The cost is a few passes over `num_rows` rows, a way back of up to 64
    rows, and in each layer D evaluations with gradients for each of `num_jacobian_rows` rows (fewer
    where D is above 1,000). A layer of more than `max_jacobian_size` numbers is not compared with
    autodiff, unless it is elementwise. All rows are searched for constant columns.

    Args:
      flow_or_bijector: a `TransformedDistribution`, as recipes return, a model or layer around one,
        or a bijector.
      x: data `[N, *event]`, at least two rows. Whole numbers of a `WholeColumns` or `Dequantized`
        get noise, and the layers of the continuous `.distribution` are examined.
      context: contexts `[N, *context]` of a conditional flow.
      num_rows: the most rows that are examined; `seed` decides which.
      num_jacobian_rows: the number of rows whose Jacobian is computed.
      max_jacobian_size: the largest D for which it is computed.
      seed: a Python `int`.

    Returns:
      A `Report` with `.rows`, `.faults`, `.first_fault` and `str()`.

    Raises:
      TypeError: if `flow_or_bijector` is neither, or `x` or `context` are not numbers.
      ValueError: if shapes do not fit, or a context is missing or is given where none is taken.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.nice(2, num_layers=1, hidden_units=(4,))
      >>> x = 100.0 + np.random.default_rng(1).normal(size=[50, 2])
      >>> report = tfpf.diagnose(flow, x)  # print(report) shows a table, and what helps
      >>> tuple(report.first_fault)
      ('0 coupling', 'not standardised')

    See also: `tfpf.diagnostics.latent_normality`, `tfpf.diagnostics.coverage`.
    """
    flow = flow_or_bijector
    if not isinstance(flow, tfb.Bijector):
        flow, x = continuous(distribution_of(flow, "flow_or_bijector"), x)
    num_jacobian_rows = _checks.integer_at_least(num_jacobian_rows, 1, "num_jacobian_rows")
    max_jacobian_size = _checks.integer_at_least(max_jacobian_size, 0, "max_jacobian_size")
    rows, contexts = checked_rows(flow, x, context, num_rows, seed)
    most = max(2, _NUMBERS // max(rows[0].size, 1))
    rows, contexts = rows[:most], None if contexts is None else contexts[:most]
    layers, base, u = layers_to_base(flow, tf.constant(rows), contexts)
    sees_data = next((layer for layer in layers if has_network(layer)), None)
    # Before the last layer that changes the size, columns may determine each other by design, as
    # those of a symmetric matrix do.
    start = max((i + 1 for i, layer in enumerate(layers) if layer.changes_size), default=0)
    sizes = [0] * start + [max_jacobian_size] * (len(layers) - start)
    free = np.asarray(layers[start - 1].y) if start else np.asarray(x, rows.dtype)
    return Report(
        rows=tuple(
            examine(layer, layer is sees_data, num_jacobian_rows, size)
            for layer, size in zip(layers, sizes, strict=True)
        ),
        data=find_columns(free),
        base=base and _base_row(base, u, contexts),
        num_rows=len(rows),
    )


def _base_row(base: tfd.Distribution, u: tf.Tensor, context: np.ndarray | None) -> BaseRow:
    log_prob = np.asarray(base.log_prob(u))
    arrives = np.isfinite(np.reshape(u, [len(u), -1])).all(axis=1)
    finite = np.isfinite(log_prob)
    effect = None
    if context is not None and context_size(base):
        effect = context_effect(base, lambda given: (given.log_prob(u),), context)
    faults = {
        "weights not finite": not all_weights_finite(base),
        "outside the support": bool((arrives & ~finite).any()),
        "ignores context": effect == 0,
    }
    shown = log_prob[finite]
    return BaseRow(
        finite=float((arrives & finite).sum() / max(arrives.sum(), 1)),
        log_probs=(float(shown.min()), float(shown.max())) if len(shown) else (np.nan, np.nan),
        context_effect=effect,
        faults=tuple(word for word, is_so in faults.items() if is_so),
        hides_layers=hides_layers(base),
    )
