"""`new` of a `tf.Variable`: the bijector holds it, follows it, is trained and saved with it."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

B = tfpf.bijectors
tfd = tfp.distributions

TRANSFORMERS = {
    B.Affine: {},
    B.CircularSpline: {"num_bins": 3},
    B.CubicSpline: {"num_bins": 3},
    B.DeepSigmoid: {"num_layers": 1, "num_units": 2},
    B.DenseDeepSigmoid: {"num_layers": 1, "num_units": 2},
    B.LinearSpline: {"num_bins": 3},
    B.LogisticMixtureCDF: {"num_components": 2},
    B.MonotoneActivations: {"num_units": 2},
    B.MonotoneIntegral: {"hidden_units": (2,)},
    B.QuadraticSpline: {"num_bins": 3},
    B.RationalQuadraticSpline: {"num_bins": 3},
    B.SumOfSquares: {"num_polynomials": 1, "degree": 1},
}
X = tf.constant([-1.1, 0.3, 0.9], tf.float64)


def raw(transformer, seed=0, shape=()):
    size = transformer.params_size(**TRANSFORMERS[transformer])
    return np.random.default_rng(seed).normal(size=[*shape, size])


def test_all_transformers_are_here():
    from tfp_flows.bijectors import transformers

    assert {cls.__name__ for cls in TRANSFORMERS} == set(transformers.__all__)


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=lambda cls: cls.__name__)
def test_a_variable_is_kept_and_followed(transformer):
    kwargs = TRANSFORMERS[transformer]
    variable = tf.Variable(raw(transformer))
    bijector = transformer.new(variable, **kwargs)
    assert type(bijector) is transformer
    assert [id(v) for v in bijector.trainable_variables] == [id(variable)]
    for seed in (0, 1):
        variable.assign(raw(transformer, seed))
        fixed = transformer.new(tf.constant(raw(transformer, seed)), **kwargs)
        y = fixed.forward(X)
        np.testing.assert_allclose(bijector.forward(tf.identity(X)), y, rtol=1e-12)
        np.testing.assert_allclose(bijector.inverse(tf.identity(y)), X, atol=1e-8)
        expected = fixed.forward_log_det_jacobian(tf.identity(X), 0)
        log_det = bijector.forward_log_det_jacobian(tf.identity(X), 0)
        np.testing.assert_allclose(log_det, expected, atol=1e-10)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(bijector.forward(tf.identity(X)))
    params = tf.constant(raw(transformer, 1))
    with tf.GradientTape() as expected_tape:
        expected_tape.watch(params)
        expected = tf.reduce_sum(transformer.new(params, **kwargs).forward(X))
    gradient = tape.gradient(value, variable)
    assert np.any(gradient.numpy() != 0)
    np.testing.assert_allclose(gradient, expected_tape.gradient(expected, params), rtol=1e-8)


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=lambda cls: cls.__name__)
def test_saved_and_copied(transformer, tmp_path):
    variable = tf.Variable(raw(transformer, shape=[2]), dtype=tf.float32)
    bijector = transformer.new(variable, **TRANSFORMERS[transformer])
    # Inverted, so that densities take the direction in closed form.
    uniform = tfd.Sample(tfd.Uniform(-np.float32(np.pi), np.float32(np.pi)), 2)
    base = uniform if transformer is B.CircularSpline else tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    flow = tfpf.distributions.Flow(base, tfp.bijectors.Invert(bijector))
    model = tfpf.FlowModel(flow)
    assert len(model.trainable_weights) == 1
    model.save(tmp_path / "of.keras")
    loaded = keras.saving.load_model(tmp_path / "of.keras").distribution
    x = tf.constant([[-1.1, 0.3], [0.9, -0.2], [0.1, 1.4]])
    before = flow.log_prob(x).numpy()
    assert np.all(np.isfinite(before))
    np.testing.assert_array_equal(loaded.log_prob(x), before)
    copied = copy.deepcopy(flow)
    variable.assign_add(tf.ones_like(variable) * 0.3 * np.arange(variable.shape[-1]))
    np.testing.assert_array_equal(copied.log_prob(x), before)
    after = flow.log_prob(x).numpy()
    assert np.any(after != before)
    loaded.trainable_variables[0].assign(variable)
    np.testing.assert_array_equal(loaded.log_prob(x), after)


def test_batches_copies_and_keras_variables():
    variable = keras.Variable(np.zeros([3, 2], "float32"))
    bijector = B.Affine.new(variable)
    assert bijector.experimental_batch_shape() == [3]
    assert bijector.trainable_variables[0] is variable.value
    other = bijector.copy(name="other")
    variable.assign(np.ones([3, 2], "float32"))
    np.testing.assert_allclose(other.forward([0.0, 0.0, 0.0]), np.ones(3))
    assert bijector.log_scale.shape == [3]
    np.testing.assert_array_equal(bijector.log_scale, np.ones(3))


@pytest.mark.slow  # Thirteen seconds; the guide trains the same without XLA.
def test_a_flow_of_one_dimension_is_fitted_under_xla():
    x = np.random.default_rng(0).normal(3.0, 0.5, size=256).astype("float32")
    variable = tf.Variable([0.0, 0.0])
    flow = tfpf.distributions.Flow(tfd.Normal(0.0, 1.0), B.Affine.new(variable))
    model = tfpf.FlowModel(flow)
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(x, epochs=200, batch_size=256, verbose=0)
    np.testing.assert_allclose(variable, [x.mean(), np.log(x.std())], atol=0.02)


def test_validation_of_what_follows():
    variable = tf.Variable([[0.0, 1.0, 0.5, 0.2, 0.1, 0.0, 0.3, 0.4]])
    spline = B.RationalQuadraticSpline.new(variable, num_bins=3, validate_args=True)
    assert np.isfinite(spline.forward([0.5])).all()
    with pytest.raises(ValueError, match="`params` must have 8 numbers.*Received: "):
        B.RationalQuadraticSpline.new(tf.Variable([0.0]), num_bins=3)
