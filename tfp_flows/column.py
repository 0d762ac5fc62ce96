"""What a column of a table holds."""

import dataclasses
import math

from tfp_flows import _checks

KINDS = ("real", "positive", "bounded", "integer", "angle", "category")


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table: its kind, and the range of its values.

    | kind | values | `low`, `high` |
    |---|---|---|
    | "real" | all numbers | none |
    | "positive" | numbers above `low` | `low` is 0 by default |
    | "bounded" | numbers between `low` and `high` | both needed |
    | "integer" | whole numbers from `low` to `high`, both included | both needed |
    | "angle" | numbers on a circle, where `high` is `low` again | -pi and pi by default |

    Angles may be in any unit: hours of a day are `Column("angle", 0, 24)`.

    The kind "category" is refused, since labels have no density and no order. A category that is
    known when you sample is a context: `context_size=K` with one-hot rows. Labels from 0 to K - 1
    may also be an "integer" column, whose bound has to fit steps between labels.

    Args:
      kind: one of the kinds of the table above.
      low: a number, or `None`.
      high: a number above `low`, or `None`.

    Raises:
      TypeError: if a bound is no number.
      ValueError: for an unknown kind, a bound that the kind does not take, one that is missing, is
        not finite, or for "integer" is not whole, or a `high` that is not above `low`.
    """

    kind: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self):
        _checks.one_of(self.kind, KINDS, "kind")
        if self.kind == "category":
            raise ValueError(
                "`kind` must not be 'category' in a flow: labels have no density. Give them as a "
                "context, one-hot, to a flow with `context_size=K`; or, with a bound in place of "
                "the density, as Column('integer', 0, K - 1). Received: kind='category'"
            )
        defaults = {"positive": (0.0, None), "angle": (-math.pi, math.pi)}
        for name, default in zip(
            ("low", "high"), defaults.get(self.kind, (None, None)), strict=True
        ):
            if getattr(self, name) is None and default is not None:
                object.__setattr__(self, name, default)
        takes = {"real": (), "positive": ("low",)}.get(self.kind, ("low", "high"))
        for name in ("low", "high"):
            self._check_bound(name, name in takes)
        if len(takes) == 2 and not self.low < self.high:
            raise ValueError(
                f"`high` must be above `low`. Received: low={self.low!r}, high={self.high!r}"
            )

    def _check_bound(self, name, is_taken):
        value = getattr(self, name)
        if not is_taken:
            if value is not None:
                raise ValueError(
                    f"`{name}` must be None in a column of kind {self.kind!r}. "
                    f"Received: {name}={value!r}"
                )
            return
        if value is None:
            raise ValueError(
                f"`{name}` must be given for a column of kind {self.kind!r}. Received: {name}=None"
            )
        number = _checks.finite_number(value, name)
        if self.kind == "integer" and not number.is_integer():
            raise ValueError(
                f"`{name}` must be a whole number in a column of kind 'integer'. "
                f"Received: {name}={value!r}"
            )
