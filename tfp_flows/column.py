"""The kind and the range of a column of a table."""

import dataclasses
import math

from tfp_flows import _checks

KINDS = ("real", "positive", "bounded", "integer", "angle")


@dataclasses.dataclass(frozen=True)
class Column:
    r"""The kind of one column of a table and the range of its values, for `tfpf.table_flow`.

    The kinds are:

    - "real": all numbers. It takes neither `low` nor `high`.
    - "positive": numbers above `low`, which is 0 by default.
    - "bounded": numbers between `low` and `high`. Both are needed.
    - "integer": whole numbers from `low` to `high`, both included. Both are needed.
    - "angle": numbers on a circle, where `high` is `low` again. They are $-\pi$ and $\pi$ by
      default.

    Angles may be in any unit: for the hours of a day use `Column("angle", 0, 24)`.

    The kind "category" is refused, since labels have no density and no order. If you know the
    category when you sample, give it as a context: `context_size=K` with one-hot rows. Labels from
    0 to K - 1 can also be an "integer" column; the flow then has to learn steps between labels.

    Args:
      kind: one of the kinds above.
      low: a number, or `None`.
      high: a number above `low`, or `None`.

    Raises:
      TypeError: if a bound is not a number.
      ValueError: if the kind is unknown, if a bound is missing, not finite or not taken by the
        kind, if a bound of "integer" is not whole, or if `high` is not above `low`.

    Example:
      >>> import tfp_flows as tfpf
      >>> columns = [tfpf.Column("positive"), tfpf.Column("angle", low=0, high=24)]
      >>> [(column.kind, column.low, column.high) for column in columns]
      [('positive', 0.0, None), ('angle', 0, 24)]

    See also: `tfpf.table_flow`.
    """

    kind: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.kind == "category":
            raise ValueError(
                "`kind` must not be 'category', since labels have no density. Give one-hot labels "
                "as the context of a flow with `context_size=K`; or use Column('integer', 0, "
                "K - 1), with a bound in place of the density. Received: kind='category'"
            )
        _checks.one_of(self.kind, KINDS, "kind")
        defaults = {"positive": (0.0, None), "angle": (-math.pi, math.pi)}
        for name, default in zip(
            ("low", "high"), defaults.get(self.kind, (None, None)), strict=True
        ):
            if getattr(self, name) is None and default is not None:
                object.__setattr__(self, name, default)
        takes = {"real": (), "positive": ("low",)}.get(self.kind, ("low", "high"))
        for name in ("low", "high"):
            self._check_bound(name, name in takes)
        is_interval = len(takes) == 2  # then both bounds are numbers
        if is_interval and not self.low < self.high:  # type: ignore[operator]  # see above
            raise ValueError(
                f"`high` must be above `low`. Received: low={self.low!r}, high={self.high!r}"
            )

    def _check_bound(self, name: str, is_taken: bool) -> None:
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
