"""Warnings where Keras 3 would silently ignore the weights of a TFP object."""

import inspect
import warnings
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _checks


class LostInKeras:
    """A TFP object that warns where a Keras layer or model holds it as an attribute.

    Keras tracks only its own layers and variables. If a distribution is an attribute of a layer,
    Keras neither trains nor saves its weights, and does not say so.
    """

    def _maybe_initialize_trackable(self) -> None:
        # TensorFlow calls this when an object becomes an attribute of a layer. Only the stack tells
        # which layer that is.
        super()._maybe_initialize_trackable()
        holder, level = _holder()
        # While TFP is still making the object, it has no parameters.
        if holder is not None and getattr(self, "variables", None):
            warnings.warn(
                f"Keras does not see the weights of {self.name!r}, an attribute of {holder.name!r} "
                f"({type(holder).__name__}): it neither trains nor saves them there. Use "
                f"{_remedy(self)} as the attribute instead.",
                stacklevel=level,
            )


class LostDistribution(LostInKeras):
    """A distribution that also refuses the symbolic inputs of functional models."""

    def _call_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        _checks.not_symbolic(value, "value")
        return super()._call_log_prob(value, name, **kwargs)

    def _call_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        _checks.not_symbolic(value, "value")
        return super()._call_prob(value, name, **kwargs)


def _remedy(part: tf.Module) -> str:
    if isinstance(part, tfp.distributions.Distribution):
        return "`tfp_flows.DistributionLayer(distribution)`"
    return "`tfp_flows.DistributionLayer(distribution)` of the distribution that it is part of"


def _holder() -> tuple[keras.Layer | None, int]:
    """The Keras layer that is getting an attribute, or `None`, and the level of the stack."""
    level, holder, frame = 2, None, inspect.currentframe().f_back.f_back
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("tensorflow.python.checkpoint."):
            # TensorFlow walks over a model that is made already, to export it.
            return None, level
        if not module.startswith(("keras.", "tensorflow.")):
            # Layers of this package adopt the weights of what they hold.
            return (None if module.startswith("tfp_flows.") else holder), level
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.Layer):
            holder = owner
        frame, level = frame.f_back, level + 1
    return None, level
