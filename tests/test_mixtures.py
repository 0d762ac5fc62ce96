"""Mixtures of conditional flows: bound, drawn from, fitted."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfd = tfp.distributions
Flow = tfpf.distributions.Flow
C = np.random.default_rng(0).normal(size=[6, 3]).astype("float32")
X = np.random.default_rng(1).normal(size=[6, 2]).astype("float32")


def maf(context_size, seed=1):
    flow = tfpf.flows.maf(
        2, num_layers=1, hidden_units=(4,), context_size=context_size, seed=seed
    )
    perturb(flow.trainable_variables)
    return flow


@functools.cache
def of_flows():
    """Two with a context and one without."""
    return tfd.Mixture(
        tfd.Categorical(logits=tf.Variable([0.0, 1.0, -1.0])), [maf(3), maf(3, seed=2), maf(0)]
    )


@functools.cache
def of_a_family():
    """Two bases under one conditional bijector."""
    loc = tf.Variable([[0.0, 1.0], [2.0, 3.0]])
    components = Flow(tfd.MultivariateNormalDiag(loc, tf.ones([2, 2])), maf(3).bijector)
    return tfd.MixtureSameFamily(tfd.Categorical(logits=tf.Variable([0.0, 1.0])), components)


def expected(mixture):
    if mixture is of_flows():
        weights = tf.nn.log_softmax(mixture.cat.logits)
        parts = [tfpf.condition(part, C) for part in mixture.components[:2]]
        log_probs = [part.log_prob(X) for part in [*parts, mixture.components[2]]]
    else:
        weights = tf.nn.log_softmax(mixture.mixture_distribution.logits)
        components = mixture.components_distribution
        bijector = tfpf.condition(components.bijector, C)
        bases = [tfd.MultivariateNormalDiag(loc) for loc in tf.unstack(components.distribution.loc)]
        log_probs = [Flow(base, bijector).log_prob(X) for base in bases]
    return tf.reduce_logsumexp(tf.stack(log_probs, axis=-1) + weights, axis=-1)


each_kind = pytest.mark.parametrize("make", [of_flows, of_a_family], ids=lambda make: make.__name__)


@each_kind
def test_is_bound(make):
    mixture = make()
    bound = tfpf.condition(mixture, C)
    assert bound.batch_shape == [6] and bound.event_shape == [2]
    np.testing.assert_allclose(bound.log_prob(X), expected(mixture), rtol=1e-5)
    assert bound.sample(5, seed=1).shape == [5, 6, 2]
    assert tfpf.condition(mixture, C[0]).log_prob(X).shape == [6]
    assert tfpf.condition(mixture, C.reshape([2, 3, 3])).batch_shape == [2, 3]
    again = tfpf.condition(tfpf.condition(mixture, C[:2]), C)
    np.testing.assert_allclose(again.log_prob(X), expected(mixture), rtol=1e-5)


@each_kind
def test_shares_variables_with_gradients(make):
    """Also those of the weights, of a mixture that was bound before they changed."""
    mixture = make()
    bound = tfpf.condition(mixture, C)
    assert {id(v) for v in bound.variables} == {id(v) for v in mixture.variables}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(bound.log_prob(X))
    gradients = tape.gradient(loss, mixture.trainable_variables)
    assert all(gradient is not None and np.abs(gradient).max() > 0 for gradient in gradients)
    perturb(mixture.trainable_variables, seed=5)
    np.testing.assert_allclose(bound.log_prob(X), expected(mixture), rtol=1e-5)


@each_kind
def test_number_of_contexts_is_not_known(make):
    mixture = make()

    signature = [tf.TensorSpec([None, 3]), tf.TensorSpec([None, 2])]

    # With the gradient: this is all of a step that XLA has to compile.
    @tf.function(input_signature=signature, jit_compile=True, autograph=False)
    def log_prob(c, x):
        with tf.GradientTape() as tape:
            values = tfpf.condition(mixture, c).log_prob(x)
        gradients = tape.gradient(values, mixture.trainable_variables)
        return values, gradients

    values, gradients = log_prob(C, X)
    np.testing.assert_allclose(values, expected(mixture), rtol=1e-5)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


def test_is_fitted_and_saved(tmp_path):
    mixture = of_flows()
    model = tfpf.FlowModel(mixture)
    before = [v.numpy() for v in model.trainable_variables]
    model.compile("adam", jit_compile=False, run_eagerly=True)
    model.fit(C, X, epochs=2, verbose=0)
    assert len(before) == 13
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert np.abs(variable.numpy() - value).max() > 0, variable.path
    np.testing.assert_allclose(model.predict((C, X), verbose=0), expected(mixture), rtol=1e-5)
    model.save(tmp_path / "mixture.keras")
    loaded = keras.saving.load_model(tmp_path / "mixture.keras")
    loaded.run_eagerly = True  # which no file keeps
    np.testing.assert_array_equal(
        loaded.predict((C, X), verbose=0), model.predict((C, X), verbose=0)
    )
