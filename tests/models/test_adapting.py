"""Parts that learn from data see them as the parts before leave them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions
Standardize = tfpf.bijectors.Standardize


def flow(recipe=tfpf.flows.real_nvp, **options):
    return recipe(2, num_layers=1, hidden_units=(4,), seed=0, **options)


def rows(seed=0):
    return np.random.default_rng(seed).normal([3.0, -1.0], [2.0, 0.1], [200, 2]).astype("float32")


def test_densities_stay_in_data_units():
    x = rows()
    model = tfpf.FlowModel(Standardize(2)(flow()))
    model.adapt(x)
    normal = tfd.MultivariateNormalDiag(x.mean(0), x.std(0))
    np.testing.assert_allclose(model.predict(x, verbose=0), normal.log_prob(x), rtol=1e-4)


def test_behind_tfp_bijectors_it_sees_what_they_leave():
    x = tf.nn.sigmoid(rows()).numpy()
    part = Standardize(2)
    chain = tfb.Chain(
        [tfb.Sigmoid(), tfb.Blockwise([tfb.Identity(), tfb.Scale(2.0)], [1, 1]), part]
    )
    tfpf.FlowModel(tfpf.distributions.Flow(flow(), chain)).adapt(x)
    logits = np.log(x) - np.log1p(-x)
    np.testing.assert_allclose(part.mean, logits.mean(0) / [1.0, 2.0], rtol=1e-3)
    np.testing.assert_allclose(part.scale, logits.std(0) / [1.0, 2.0], rtol=1e-3)


def test_a_conditional_flow_behind_it_is_not_asked():
    x = rows()
    part = Standardize(2)
    tfpf.FlowModel(part(flow(context_size=3))).adapt(x)
    np.testing.assert_allclose(part.mean, x.mean(0), rtol=1e-5)


def test_nothing_to_adapt_or_out_of_reach_is_refused():
    with pytest.raises(ValueError, match="must have a part that adapts.*Received: "):
        tfpf.FlowModel(flow()).adapt(rows())
    hidden = tfpf.distributions.Flow(flow(), tfb.Invert(Standardize(2)))
    with pytest.raises(ValueError, match="stand in a `Chain`.*Received: standardize elsewhere"):
        tfpf.FlowModel(hidden).adapt(rows())


def test_adapted_numbers_are_saved(tmp_path):
    x = rows()
    model = tfpf.FlowModel(Standardize(2)(flow()))
    model.adapt(x)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
