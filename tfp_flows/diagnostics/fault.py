"""The faults that `diagnose` names, and what usually helps."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A layer, or "data" or "base", and the word for what is wrong with it.

    The words for the data are:

    - "data not finite": rows hold NaN or infinity.
    - "constant column": a column has the same number in all rows.
    - "dependent columns": columns determine each other.

    Those for a layer, in the order in which they are named:

    - "weights not finite": a variable holds NaN or infinity.
    - "not standardised": columns come with a mean or a scale far from 0 and 1.
    - "outside the bound": many rows lie outside of the interval in which a spline bends.
    - "saturated scales": scales are at their limit, or beyond a factor of a thousand.
    - "unconverged": a search or a solver gave up.
    - "not finite": finite rows become NaN or infinite.
    - "inverse wrong": rows do not return to where they began.
    - "log-det wrong": the log-det is not that of the Jacobian.
    - "ill-conditioned": the Jacobian is nearly singular in this dtype.
    - "ignores context": nothing changes when rows exchange their contexts.

    Those for the base are "weights not finite", "ignores context" and:

    - "outside the support": rows end where the base has no density.

    Attributes:
      layer: the label of the layer, such as "2 coupling"; the layer at the data's end is 0.
      word: one of the words above. The text of a report says what usually helps.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> x = np.random.default_rng(1).normal(size=[50, 2]) * [1.0, 0.0]
      >>> fault = tfpf.diagnose(tfpf.bijectors.Affine(0.0), x).first_fault
      >>> fault.layer, fault.word
      ('data', 'constant column')
    """

    layer: str
    word: str


# For each word: what is seen, and what usually helps. The order is that in which the faults of a
# layer are named: the first may cause the others.
HELP = {
    "data not finite": "Rows hold NaN or infinity. Leave them out, or fix the step that made them.",
    "constant column": (
        "A column has the same number in all rows, so it has no density. Leave it out, or add "
        "noise as `Dequantized` does."
    ),
    "dependent columns": (
        "Columns determine each other, as a copy or a sum does, so they have no joint density. "
        "Leave one of them out."
    ),
    "weights not finite": (
        "A variable holds NaN or infinity. Load an earlier state, and train with a smaller "
        "learning rate or `clipnorm`."
    ),
    "not standardised": (
        "Columns come with a mean or a scale far from 0 and 1. Put `Standardize` at the data's end "
        "and call `model.adapt(x)` before `fit`."
    ),
    "outside the bound": (
        "Many rows lie outside of the interval in which the spline bends. Raise `bound`, or "
        "standardise the data."
    ),
    "saturated scales": (
        "Scales are at their limit, or beyond a factor of a thousand. Train with a smaller "
        "learning rate or `clipnorm`; look for columns that are nearly constant or nearly equal."
    ),
    "unconverged": (
        "A search or a solver gave up, and its rows are NaN. Raise its number of steps. For a "
        "contraction, give a bound that holds."
    ),
    "not finite": (
        "Finite rows become NaN or infinite. They lie outside of the layer's domain, they "
        "overflow, or a search has not converged."
    ),
    "inverse wrong": (
        "Rows do not return to where they began. `forward` and `inverse` do not match. If an "
        "equation is solved, take more steps or a smaller tolerance."
    ),
    "log-det wrong": (
        "The log-det is not that of the layer's Jacobian, so no density is right. Check its sign, "
        "and that it is summed over the event."
    ),
    "ill-conditioned": (
        "The Jacobian is nearly singular in this dtype. Standardize the data, look for columns "
        "that are nearly equal, or use float64."
    ),
    "ignores context": (
        "Nothing changes when rows exchange their contexts. Check that the network uses the "
        "context that it gets."
    ),
    "outside the support": (
        "Rows end where the base has no density. Check the support of the base against the range "
        "of the last layer."
    ),
}
