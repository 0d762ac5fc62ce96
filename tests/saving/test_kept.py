"""What a file keeps: training goes on, what is frozen stays frozen, weights are complete."""

import keras
import numpy as np
import tensorflow_probability as tfp
from cases import perturb
from saving_cases import FLOWS, SMALL, X, made_model, network, scored, standard_normal, standardized

import tfp_flows as tfpf
from tfp_flows import saving

tfb = tfp.bijectors
tfd = tfp.distributions


def test_compiled_predictions_are_the_same_bits(tmp_path):
    model = made_model("on_constant_base")
    model.compile()
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)


def test_training_goes_on_where_it_was(tmp_path):
    """Two epochs, saved, two more: the same weights as four, with the optimizer's moments."""
    whole = made_model("on_constant_base")
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 40)
    whole.compile(
        keras.optimizers.Adam(schedule, clipnorm=1.0), jit_compile=False, run_eagerly=True
    )
    fit = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    whole.fit(X, **fit)
    whole.save(tmp_path / "m.keras")
    whole.fit(X, **fit)
    second = keras.saving.load_model(tmp_path / "m.keras")
    assert second.optimizer.iterations == 4
    assert second.jit_compile is False
    second.run_eagerly = True  # which no file keeps
    # Without moments of the first epochs the numbers below would not tell that they are kept.
    moments = second.optimizer.variables[2:]
    assert moments and all(np.any(moment) for moment in moments)
    second.fit(X, **fit)
    for a, b in zip(second.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_model_that_was_never_compiled_loads_uncompiled(tmp_path):
    made_model("no_flow").save(tmp_path / "m.keras")
    assert not keras.saving.load_model(tmp_path / "m.keras").compiled


def test_weights_alone_are_complete(tmp_path):
    model = made_model("on_mixture_base")
    expected = scored(model, False)
    model.save_weights(tmp_path / "m.weights.h5")
    other = tfpf.FlowModel(FLOWS["on_mixture_base"]())
    assert np.any(scored(other, False)[0] != expected[0])
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(scored(other, False)[0], expected[0])


def test_standardization_is_kept_by_the_file_and_not_trained(tmp_path):
    made_model("standardized").save(tmp_path / "m.keras")
    (part,) = [
        part
        for part in keras.saving.load_model(tmp_path / "m.keras").distribution.bijector.bijectors
        if isinstance(part, tfpf.bijectors.Standardize)
    ]
    np.testing.assert_allclose(part.mean, 5.0 + 3.0 * X.mean(0), rtol=1e-5)
    assert not part.mean.trainable and not part.scale.trainable


def test_variables_and_layers_that_are_frozen_stay_frozen(tmp_path):
    base = tfpf.distributions.mixture_of_gaussians(3, num_components=2, seed=1)
    model = tfpf.FlowModel(tfpf.flows.maf(3, base=base, **SMALL))
    model.loose_variables.adopted[0].trainable = False
    model.networks[0].masked_layers()[1].trainable = False
    model.compile("adam", jit_compile=False, run_eagerly=True)
    model.fit(X, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    flags, expected = ([w.trainable for w in m.weights] for m in (loaded, model))
    assert flags == expected and flags.count(False) == 3
    assert loaded.optimizer.iterations == 1
    layer = loaded.networks[0].masked_layers()[1]
    assert not layer.trainable
    layer.trainable = True
    assert len(layer.trainable_weights) == 2
    model.trainable = False
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert not loaded.trainable and not loaded.trainable_weights


def test_a_clone_has_the_values_of_variables_and_new_networks():
    model = tfpf.FlowModel(standardized())
    for clone in (keras.models.clone_model(model), tfpf.FlowModel.from_config(model.get_config())):
        values = zip(clone.loose_variables.weights, model.loose_variables.weights, strict=True)
        for own, value in values:
            np.testing.assert_array_equal(own, value)
            assert own.value is not value.value
        assert np.isfinite(clone(X)).all()


def test_numpy_numbers_come_back_as_numbers(tmp_path):
    flow = tfpf.flows.neural_spline(3, num_bins=np.int64(4), bound=np.float32(2.0), **SMALL)
    model = tfpf.FlowModel(flow)
    perturb(flow.variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), model(X))


def test_a_frozen_network_stays_frozen(tmp_path):
    frozen, trained = network(1, 4), network(1, 4)
    frozen.trainable = False
    parts = [
        tfpf.bijectors.Coupling(layer, mask=[True, False, False]) for layer in (frozen, trained)
    ]
    model = tfpf.FlowModel(tfd.TransformedDistribution(standard_normal(), tfb.Chain(parts)))
    assert len(model.trainable_variables) == 4
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.trainable_variables) == 4
    assert len(loaded.variables) == len(model.variables)


def test_an_order_given_as_a_range_is_saved():
    made = tfpf.layers.MADE(3, 2, (4,))
    made.build((None, 3))
    bijector = tfpf.bijectors.Autoregressive(made, order=range(3))
    again = saving.decode(saving.encode(bijector))
    assert again.order == (0, 1, 2)
