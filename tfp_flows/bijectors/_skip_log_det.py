"""A promise that no log-det will be needed, which makes sampling cheaper."""

import contextlib
import contextvars
from collections.abc import Iterator

_promised = contextvars.ContextVar("skip_log_det", default=False)


@contextlib.contextmanager
def skip_log_det() -> Iterator[None]:
    """Lets `forward` and `inverse` skip the log-det within the block.

    A bijector whose log-det costs more than its value (`Continuous`) then leaves the log-det out.
    If it is needed after all, this takes another evaluation.
    """
    token = _promised.set(True)
    try:
        yield
    finally:
        _promised.reset(token)


def is_log_det_skipped() -> bool:
    """Returns whether the caller has promised that no log-det will be needed."""
    return _promised.get()
