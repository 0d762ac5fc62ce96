"""Layers, functions and bijectors of the user: found by a registered name, or handed over."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb
from saving_cases import X, coupling, standard_normal, with_conditioner

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="test_saving")
def registered_conditioner(x):
    return 0.1 * x


def test_registered_function_is_kept_by_its_name(tmp_path):
    model = tfpf.FlowModel(with_conditioner(registered_conditioner))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.distribution.bijector.bijectors[1].conditioner is registered_conditioner
    np.testing.assert_array_equal(loaded(X), model(X))


class Custom(keras.layers.Layer):
    """A user's own network, with a sublayer that may be shared."""

    def __init__(self, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner or keras.layers.Dense(2, kernel_initializer="glorot_normal")

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        inner = keras.saving.deserialize_keras_object(config.pop("inner"))
        return cls(inner, **config)


@keras.saving.register_keras_serializable(package="test_saving")
class Registered(Custom):
    pass


def custom_flow(layer):
    layer(np.zeros([1, 2], "float32"))
    return with_conditioner(layer)


def test_registered_layer(tmp_path):
    model = tfpf.FlowModel(custom_flow(Registered()))
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(X), model(X))


def test_layer_in_custom_objects(tmp_path):
    model = tfpf.FlowModel(custom_flow(Custom()))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Custom": Custom})
    np.testing.assert_array_equal(loaded(X), model(X))


def test_layer_that_is_neither_is_refused_by_name(tmp_path):
    tfpf.FlowModel(custom_flow(Custom())).save(tmp_path / "m.keras")
    with pytest.raises((TypeError, ValueError), match="Custom"):
        keras.saving.load_model(tmp_path / "m.keras")


class Doubling(tfpf.bijectors.FlowBijector):
    """A user's own bijector; `get_config` is only what Keras asks of a class to register it."""

    def __init__(self, factor, name="doubling"):
        parameters = dict(locals())
        self.factor = factor
        super().__init__(
            forward_min_event_ndims=0, dtype=tf.float32, parameters=parameters, name=name
        )

    def _forward_and_log_det(self, x):
        return x * self.factor, tf.fill(tf.shape(x), tf.math.log(self.factor))

    def _inverse_and_log_det(self, y):
        return y / self.factor, tf.fill(tf.shape(y), -tf.math.log(self.factor))


def test_bijector_of_the_user(tmp_path):
    flow = tfd.TransformedDistribution(
        standard_normal(), tfb.Chain([Doubling(tf.Variable(1.0)), coupling(mask="halves")])
    )
    perturb(flow.variables)
    model = tfpf.FlowModel(flow)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="Doubling.* import the module that defines it before"):
        keras.saving.load_model(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Doubling": Doubling})
    np.testing.assert_array_equal(loaded(X), model(X))


def test_shared_objects_stay_shared(tmp_path):
    network = Registered()
    network(np.zeros([1, 2], "float32"))
    scale = tf.Variable(2.0)
    first = tfpf.bijectors.Coupling(network, mask=[True, True, False])
    second = tfpf.bijectors.Coupling(network, mask=[False, True, True])
    parts = [first, second, first, tfb.Scale(scale), tfb.Shift(scale)]
    flow = tfd.TransformedDistribution(standard_normal(), tfb.Chain(parts))
    perturb(flow.variables)
    model = tfpf.FlowModel(flow)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    a, b, again, d, e = loaded.distribution.bijector.bijectors
    assert a is again
    assert a.conditioner is b.conditioner
    assert d.scale is e.shift
    assert len(loaded.weights) == len(model.weights) == 3
    np.testing.assert_array_equal(loaded(X), model(X))
