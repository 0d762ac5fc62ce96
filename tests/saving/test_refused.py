"""What cannot be saved says so, and where, and leaves the file that was there."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from saving_cases import X, network, standard_normal, with_conditioner

import tfp_flows as tfpf
from tfp_flows import saving

tfb = tfp.bijectors
tfd = tfp.distributions


class Instance:
    def __call__(self, x):
        return tf.zeros([tf.shape(x)[0], 2])


def tf_keras_network():
    network = tfb.AutoregressiveNetwork(params=2, event_shape=[3], hidden_units=[8])
    network(np.zeros([1, 3], "float32"))
    return tfd.TransformedDistribution(standard_normal(), tfb.MaskedAutoregressiveFlow(network))


CONDITIONER = "distribution.bijector.bijectors[1].conditioner"


@pytest.mark.parametrize(
    ("make", "place", "received"),
    [
        (lambda: with_conditioner(lambda x: 0.0 * x), CONDITIONER, "lambda"),
        (lambda: with_conditioner(Instance()), CONDITIONER, "Instance"),
        (
            lambda: with_conditioner(functools.partial(lambda x, n: n * x, n=0.0)),
            CONDITIONER,
            "functools.partial",
        ),
        (tf_keras_network, "distribution.bijector.shift_and_log_scale_fn", "AutoregressiveNetwork"),
        (
            lambda: tfd.Independent(tfd.Normal(keras.Variable(tf.ones([3])), tf.Variable(1.0)), 1),
            "distribution.distribution.loc",
            "Variable",
        ),
        (
            lambda: tfd.TransformedDistribution(
                standard_normal(),
                tfb.Chain(
                    [
                        tfb.Scale(tf.Variable(1.0)),
                        tfb.Inline(lambda x: x, forward_min_event_ndims=0),
                    ]
                ),
            ),
            "distribution.bijector.bijectors[1].forward_fn",
            "lambda",
        ),
    ],
    ids=["lambda", "instance", "partial", "tf_keras", "keras_variable", "inline"],
)
def test_what_cannot_be_saved_is_named_with_its_place(make, place, received, tmp_path):
    model = tfpf.FlowModel(make())
    with pytest.raises(ValueError) as info:
        model.save(tmp_path / "m.keras")
    message = str(info.value)
    assert f"`{place}`" in message
    assert received in message.rpartition("Received: ")[2]


def test_a_lambda_within_a_network_is_refused(tmp_path):
    dense = keras.layers.Dense(2, activation=lambda t: t * t)
    for conditioner in (
        tfpf.layers.MLP(2, (4,), activation=lambda t: t * t),
        keras.Sequential([keras.Input((2,)), dense]),
    ):
        conditioner.build((None, 2))
        model = tfpf.FlowModel(with_conditioner(conditioner))
        with pytest.raises(ValueError, match="conditioner` cannot be saved.*with a lambda$"):
            model.save(tmp_path / "m.keras")


def test_a_file_stays_when_another_model_cannot_be_saved(tmp_path):
    model = tfpf.FlowModel(with_conditioner(network(2, 2)))
    model.save(tmp_path / "m.keras")
    other = tfpf.FlowModel(with_conditioner(network(2, 2, activation=lambda t: t)))
    with pytest.raises(ValueError, match="cannot be saved"):
        other.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def test_a_bijector_that_does_not_say_what_it_is_made_of_is_refused():
    class Silent(tfp.bijectors.Bijector):
        def __init__(self):
            super().__init__(forward_min_event_ndims=0)

    with pytest.raises(ValueError, match=r"`distribution.bijectors\[0\]`.*parameters=dict"):
        saving.encode(tfp.bijectors.Chain([Silent()]))


def test_hdf5_is_refused(tmp_path):
    model = tfpf.FlowModel(tfpf.flows.maf(2, num_layers=1, hidden_units=(4,)))
    with pytest.raises(ValueError, match="`filepath` must end with '.keras'.*Received: .*a.h5"):
        model.save(tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())
