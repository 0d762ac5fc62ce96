"""Transformers made from a variable, whose parameters follow the variable."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import tensor_util


class RawParameter(tfp.util.DeferredTensor):
    """One parameter of `transformer.new(params, **kwargs)`, computed whenever it is read.

    Args:
      transformer: a class with `new`.
      params: a `tf.Variable`, the raw parameters.
      kwargs: a `dict`, the other arguments of `new`.
      parameter: the name of an argument of the transformer's constructor.
      shape: the shape of this parameter.
    """

    def __init__(
        self,
        transformer: type[tfp.bijectors.Bijector],
        params: tf.Variable,
        kwargs: Mapping[str, Any],
        parameter: str,
        shape: tf.TensorShape,
    ) -> None:
        self.transformer = transformer
        self.params = params
        self.kwargs = self._no_dependency(dict(kwargs))
        self.parameter = parameter
        super().__init__(params, self._computed, params.dtype, shape, name=parameter)

    def _computed(self, params: ArrayLike) -> tf.Tensor:
        params = tf.convert_to_tensor(params)
        return self.transformer.new(params, **self.kwargs).parameters[self.parameter]


def follows_variables(new: Callable[..., Any]) -> Callable[..., Any]:
    """Lets `new`, a class method, make a bijector of `RawParameter`s when given a `tf.Variable`.

    Each of them computes all parameters. XLA merges these computations into one.
    """

    @functools.wraps(new)
    def wrapped(cls: type[Any], params: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(params, keras.Variable):
            params = params.value
        if not tensor_util.is_ref(params):
            return new(cls, params, *args, **kwargs)
        given = inspect.signature(new).bind(cls, params, *args, **kwargs).arguments
        kwargs = dict(list(given.items())[2:])
        parameters = new(cls, tf.convert_to_tensor(params), **kwargs).parameters
        followed = {
            name: RawParameter(cls, params, kwargs, name, value.shape)
            for name, value in parameters.items()
            if tf.is_tensor(value)
        }
        return cls(**{**parameters, **followed})

    return wrapped
