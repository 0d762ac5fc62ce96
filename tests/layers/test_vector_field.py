"""The network of a velocity, and the regularisers of paths."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf

Z = tf.constant(np.random.default_rng(0).normal(size=[5, 3]), tf.float32)
C = tf.constant(np.random.default_rng(1).normal(size=[5, 2]), tf.float32)


def made(**options):
    options = {"hidden_units": (8,), "context_size": 2, "seed": 1, **options}
    field = tfpf.layers.VectorField(3, **options)
    field.build()
    return field


def moved(field):
    rng = np.random.default_rng(2)
    for weight in field.weights:
        weight.assign(rng.normal(size=weight.shape))
    return field


def test_stands_still_at_the_start():
    f = made()(0.3, Z, context=C)
    np.testing.assert_array_equal(f, tf.zeros([5, 3]))


def test_is_the_network_of_place_time_and_context():
    field = moved(made())
    f = field(0.3, Z, context=C)
    h = tf.concat([Z, tf.fill([5, 1], 0.3), C], axis=-1)
    first, last = field.network._dense[0], field.network._output
    expected = tf.tanh(h @ first.kernel + first.bias) @ last.kernel + last.bias
    np.testing.assert_allclose(f, expected, rtol=1e-5, atol=1e-6)


def test_times_of_rows():
    field = moved(made())
    times = np.linspace(0.0, 1.0, 5, dtype="float32")[:, np.newaxis]
    f = field(times, Z, context=C)
    for i in range(5):
        one = field(times[i, 0], Z[i : i + 1], context=C[i : i + 1])
        np.testing.assert_allclose(f[i], one[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_dtypes(dtype):
    field = made(dtype=dtype)
    f = field(0.5, tf.cast(Z, field.compute_dtype), context=C)
    assert f.dtype == field.compute_dtype


def test_config_makes_it_again():
    field = moved(made(activation="softplus"))
    config = keras.saving.serialize_keras_object(field)
    again = keras.saving.deserialize_keras_object(config)
    assert again.built and again.get_config() == field.get_config()
    again.set_weights(field.get_weights())
    np.testing.assert_array_equal(again(0.1, Z, context=C), field(0.1, Z, context=C))
    penalty = tfpf.layers.TransportRegularizer(kinetic=0.1)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(penalty))
    assert again.get_config() == penalty.get_config()


def test_bad_input():
    field = made()
    with pytest.raises(ValueError, match=r"`z` of shape \[N, 3\]. Received"):
        field(0.0, Z[:, :2], context=C)
    with pytest.raises(ValueError, match="`context`"):
        field(0.0, Z)
    with pytest.raises(ValueError, match="`event_size`.*Received: event_size=0"):
        tfpf.layers.VectorField(0)
    with pytest.raises(ValueError, match="`kinetic`.*Received"):
        tfpf.layers.TransportRegularizer()
    with pytest.raises(ValueError, match="`kinetic`.*Received"):
        tfpf.layers.TransportRegularizer(kinetic=-1.0)
