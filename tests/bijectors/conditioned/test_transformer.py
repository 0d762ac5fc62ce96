"""A transformer that is not one is refused: by its methods, or by the shape of what it gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.bijectors import Affine, Amortized, Autoregressive, Coupling


class Skew(tfp.bijectors.Shift):
    """y = x + t, whose `new` takes all raw numbers where it should take `params[..., 0]`."""

    params_size = staticmethod(lambda: 1)
    new = classmethod(lambda cls, params: cls(params))


class OnlyNew(tfp.bijectors.Shift):
    new = classmethod(lambda cls, params: cls(params[..., 0]))


class Nothing(tfp.bijectors.Shift):
    pass


def maf():
    made = tfpf.layers.MADE(2, 1, hidden_units=(4,))
    made.build([None, 2])
    return Autoregressive(made, Skew)


def amortized():
    bijector = Amortized(lambda c: c, Skew, context_size=2)
    return tfpf.condition(bijector, tf.zeros([2, 2]))


CASES = {
    "maf": (maf, 2),
    "jacobi": (lambda: Autoregressive(lambda y: y, Skew, solver="jacobi"), 2),
    "sequential": (lambda: Autoregressive(lambda y: y, Skew), 2),
    "coupling": (lambda: Coupling(lambda x: x[:, :1], Skew, mask=[True, True, False]), 3),
    "identity_half": (
        lambda: Coupling(
            lambda x: keras.ops.concatenate([x, x], axis=-1),
            mask=[True, True, False],
            identity_transformer=Skew,
        ),
        3,
    ),
    "amortized": (amortized, 2),
}


@pytest.mark.parametrize("method", ["forward", "inverse"])
@pytest.mark.parametrize("name", CASES)
def test_a_new_that_takes_all_numbers_is_refused(name, method):
    """In a batch of as many rows as coordinates everything else would broadcast, in silence."""
    make, size = CASES[name]
    x = tf.zeros([2, size])
    message = r"`Skew.new` gave a bijector that maps shape \(.*\) to \(.*\). Take its raw numbers"
    with pytest.raises(ValueError, match=message + r".*Received: params of shape"):
        getattr(make(), method)(x)


def test_the_density_of_a_flow_is_refused():
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), 2)
    with pytest.raises(ValueError, match="`Skew.new` gave"):
        tfpf.distributions.Flow(base, maf()).log_prob(np.zeros([2, 2], "float32"))


@pytest.mark.parametrize(
    ("cls", "missing"),
    [(OnlyNew, "no `params_size`$"), (Nothing, "no `params_size` and no `new`$")],
)
def test_a_missing_method_is_named(cls, missing):
    message = f"must be a class.*{cls.__name__}, which has {missing}"
    with pytest.raises(TypeError, match=f"`transformer` {message}"):
        Coupling(lambda x: x, cls)
    with pytest.raises(TypeError, match=f"`identity_transformer` {message}"):
        Coupling(lambda x: x, Affine, mask=[True, False], identity_transformer=cls)
