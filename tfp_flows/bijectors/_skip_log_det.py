"""A promise that no log-det will be asked for, by which sampling may cost less."""

import contextlib
import contextvars
from collections.abc import Iterator

_promised = contextvars.ContextVar("skip_log_det", default=False)


@contextlib.contextmanager
def skip_log_det() -> Iterator[None]:
    """Within it, `forward` and `inverse` need not compute log-dets in the same evaluation.

    A bijector whose log-det costs more than its value (`Continuous`) leaves it out. One that is
    asked for all the same takes another evaluation.
    """
    token = _promised.set(True)
    try:
        yield
    finally:
        _promised.reset(token)


def is_log_det_skipped() -> bool:
    """Whether the caller has promised it."""
    return _promised.get()
