"""The base class of every bijector here: value and log-det in one evaluation."""

import abc

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.bijectors import chain, invert
from tensorflow_probability.python.internal import prefer_static as ps

from tfp_flows._tree import deep_copy
from tfp_flows.bijectors._pass_cache import PassCache

tfb = tfp.bijectors


class FlowBijector(tfb.Bijector):
    """y = f(x), with log |det df/dx| from the same evaluation.

    A subclass implements `_forward_and_log_det(x)`, which returns `(y, log |det df/dx|)`, and
    `_inverse_and_log_det(y)`, which returns `(x, log |det dx/dy|)`. The log-dets are those of one
    event of `forward_min_event_ndims` dimensions: elementwise for 0, summed over the last axis
    for 1. TFP's four hooks are derived from the two here, once.

    `log_prob` and `experimental_sample_and_log_prob` of a distribution that holds the bijector
    evaluate each of the two methods at most once (see `PassCache`).

    As in TFP, two equal bijectors share what is remembered, and `forward(x)` on one and the same
    `x` returns the remembered `y` as long as that `y` is alive, even if variables have changed in
    between; `tf.identity(x)` asks anew. A flow's `log_prob` always asks anew.
    """

    _cache = PassCache()
    __deepcopy__ = deep_copy

    @abc.abstractmethod
    def _forward_and_log_det(self, x):
        """Returns `(y, log |det dy/dx|)`."""

    @abc.abstractmethod
    def _inverse_and_log_det(self, y):
        """Returns `(x, log |det dx/dy|)`."""

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def _forward(self, x):
        return self._forward_and_log_det(x)[0]

    def _forward_log_det_jacobian(self, x):
        return self._forward_and_log_det(x)[1]

    def _inverse(self, y):
        return self._inverse_and_log_det(y)[0]

    def _inverse_log_det_jacobian(self, y):
        return self._inverse_and_log_det(y)[1]

    def _remembered_forward(self, x):
        y, log_det = self._forward_and_log_det(x)
        return y, {"ildj": -log_det}

    def _remembered_inverse(self, y):
        x, log_det = self._inverse_and_log_det(y)
        return x, {"ildj": log_det}


def forward_and_log_det(bijector, x, event_ndims=0):
    """Returns `(y, log |det dy/dx|)` of any `tfb.Bijector`, in one evaluation of parts of ours.

    Args:
      bijector: a `tfb.Bijector`.
      x: a `Tensor`.
      event_ndims: the number of trailing dimensions of `x` that make one event. The log-det of
        an elementwise bijector (`forward_min_event_ndims == 0`) is elementwise for 0.
    """
    if isinstance(bijector, invert._Invert):
        return inverse_and_log_det(bijector.bijector, x, event_ndims)
    if _is_chain(bijector):
        total = 0.0
        for part in reversed(bijector.bijectors):
            x, log_det = forward_and_log_det(part, x, event_ndims)
            total, event_ndims = total + log_det, part.forward_event_ndims(event_ndims)
        return x, total
    if _is_direct(bijector, bijector.forward_min_event_ndims, event_ndims):
        return bijector._forward_and_log_det(x)
    y = bijector.forward(x)
    return y, _for_each(y, bijector.forward_log_det_jacobian(x, event_ndims), event_ndims)


def inverse_and_log_det(bijector, y, event_ndims=0):
    """Returns `(x, log |det dx/dy|)` of any `tfb.Bijector`, in one evaluation of parts of ours."""
    if isinstance(bijector, invert._Invert):
        return forward_and_log_det(bijector.bijector, y, event_ndims)
    if _is_chain(bijector):
        total = 0.0
        for part in bijector.bijectors:
            y, log_det = inverse_and_log_det(part, y, event_ndims)
            total, event_ndims = total + log_det, part.inverse_event_ndims(event_ndims)
        return y, total
    if _is_direct(bijector, bijector.inverse_min_event_ndims, event_ndims):
        return bijector._inverse_and_log_det(y)
    x = bijector.inverse(y)
    return x, _for_each(x, bijector.inverse_log_det_jacobian(y, event_ndims), event_ndims)


def _for_each(value, log_det, event_ndims):
    """The log-det of each element: TFP's is a scalar where the slope is one number for all."""
    return tf.broadcast_to(log_det, ps.shape(value)) if event_ndims == 0 else log_det


def _is_chain(bijector):
    # `tfb.Chain` and `tfb.Invert` make their base classes when a part is no composite tensor.
    return isinstance(bijector, chain._Chain) and len(bijector.bijectors) > 0


def _is_direct(bijector, min_event_ndims, event_ndims):
    # TFP runs the assertions of `validate_args` in its public methods only.
    return (
        isinstance(bijector, FlowBijector)
        and min_event_ndims == event_ndims
        and not bijector.validate_args
    )
