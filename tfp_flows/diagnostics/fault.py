"""The faults that `diagnose` names, and what usually helps."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A layer, or "data" or "base", and the word for what is wrong with it.

    Attributes:
      layer: the label of the layer, "2 coupling", which counts from the data's end.
      word: one of the keys of `HELP`.
    """

    layer: str
    word: str


# Word: what is seen, and what usually helps. In the order in which one layer's faults are named:
# the first may cause the others.
HELP = {
    "data not finite": "Rows hold NaN or infinity. Leave them out, or mend what made them.",
    "constant column": (
        "A column is the same number in all rows and has no density. Leave it out, or add noise as "
        "`Dequantized` does."
    ),
    "dependent columns": (
        "Columns determine each other, as a copy or a sum does, and have no joint density. Leave "
        "one of them out."
    ),
    "weights not finite": (
        "A variable holds NaN or infinity. Load an earlier state; train with a smaller rate or "
        "`clipnorm`."
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
        "Scales are at their limit, or beyond a factor of a thousand. Train with a smaller rate or "
        "`clipnorm`; look for columns that are nearly constant or nearly equal."
    ),
    "unconverged": (
        "A search or a solver gave up, and the rows are NaN. Raise its number of steps; for a "
        "contraction, give the bound that holds."
    ),
    "not finite": (
        "Finite rows become NaN or infinite: they lie outside of the layer's domain, or overflow, "
        "or a search has not converged."
    ),
    "inverse wrong": (
        "There and back does not end where it began. `forward` and `inverse` do not fit each "
        "other; for an equation, more steps or a smaller tolerance."
    ),
    "log-det wrong": (
        "The log-det is not that of the layer's Jacobian, so no density is right. Look at its "
        "sign, and that it is summed over the event."
    ),
    "ill-conditioned": (
        "The Jacobian nearly loses a direction in this dtype. Standardise, look for columns that "
        "are nearly equal, or take float64."
    ),
    "ignores context": (
        "Rows may exchange their contexts and nothing changes. Look at whether the network uses "
        "the context that it is given."
    ),
    "outside the support": (
        "Rows end where the base has no density. Look at the support of the base and the range of "
        "the last layer."
    ),
}
