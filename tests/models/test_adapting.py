"""Parts that learn from data see them as the parts before leave them; `ActNorm` also in `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions
ActNorm = tfpf.bijectors.ActNorm
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
    with pytest.raises(ValueError, match="data must reach.*Received: no data for standardize"):
        tfpf.FlowModel(hidden).adapt(rows())


def test_adapted_numbers_are_saved(tmp_path):
    x = rows()
    model = tfpf.FlowModel(Standardize(2)(flow()))
    model.adapt(x)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


# --- ActNorm: the first batch of `fit` ---------------------------------------------------------


def steep(context_size=0):
    """A flow of two `ActNorm` with a layer between them that is not the identity."""
    if context_size:
        layers = flow(tfpf.flows.maf, context_size=context_size).bijector.bijectors
    else:
        layers = [tfpf.bijectors.LULinear(2)]
    for layer in layers:
        perturb(layer.trainable_variables)
    parts = [ActNorm(2), *layers, ActNorm(2)]
    made = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfb.Chain(parts))
    return made, parts[0], parts[-1], parts[1:-1]


def expected_moments(layers, x, context=None):
    """What the second `ActNorm` has to learn, from the data as the first leaves them."""
    z = (x - x.mean(0)) / x.std(0)
    for layer in layers:
        layer = layer if context is None else tfpf.condition(layer, context)
        z = layer.inverse(tf.constant(z, tf.float32)).numpy()
    return z.mean(0), np.log(z.std(0))


def frozen_model(distribution, run_eagerly=True, jit_compile=False):
    """A model whose training does not move a weight, and needs no graph for its few steps."""
    model = tfpf.FlowModel(distribution)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=run_eagerly, jit_compile=jit_compile)
    return model


def assert_adapted(parts, x, context=None):
    _, first, second, layers = parts
    assert first.initialized and second.initialized
    np.testing.assert_allclose(first.shift, x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(first.log_scale, np.log(x.std(0)), rtol=1e-4)
    shift, log_scale = expected_moments(layers, x, context)
    assert np.abs(log_scale).max() > 0.01
    np.testing.assert_allclose(second.shift, shift, atol=1e-4)
    np.testing.assert_allclose(second.log_scale, log_scale, atol=1e-4)


def test_fit_adapts_each_act_norm_to_what_reaches_it():
    x = rows()
    parts = steep()
    model = frozen_model(parts[0], run_eagerly=False, jit_compile=True)
    model.fit(x, epochs=1, verbose=0)
    assert_adapted(parts, x)


def test_the_first_batch_decides_and_fit_adapts_once():
    x = rows()
    parts = steep()
    model = frozen_model(parts[0])
    model.fit(x[:100], batch_size=50, shuffle=False, verbose=0)
    assert_adapted(parts, x[:50])
    model.fit(10.0 * x[:50], shuffle=False, verbose=0)
    assert_adapted(parts, x[:50])
    model.adapt(10.0 * x)
    assert_adapted(parts, 10.0 * x)


def test_training_goes_on_from_the_start_that_the_data_gave():
    x = rows()
    parts = steep()
    model = tfpf.FlowModel(parts[0])
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False, run_eagerly=True)
    history = model.fit(x, epochs=2, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert np.abs(parts[1].shift - x.mean(0)).max() > 1e-3


def test_train_on_batch_adapts_too_and_once():
    x = rows()
    parts = steep()
    model = frozen_model(parts[0])
    loss = model.train_on_batch(x)
    assert_adapted(parts, x)
    np.testing.assert_allclose(loss, model.evaluate(x, verbose=0), rtol=1e-5)
    weight = np.ones(200, "float32")
    model.train_on_batch(10.0 * x, sample_weight=weight)
    assert_adapted(parts, x)
    context = np.ones([200, 3], "float32")
    parts = steep(context_size=3)
    weight[100:] = 0.0
    frozen_model(parts[0]).train_on_batch(context, x, sample_weight=weight)
    assert_adapted(parts, x[:100], context[:100])


def test_act_norm_in_a_conditional_flow():
    x, context = rows(), np.random.default_rng(5).normal(size=[200, 3]).astype("float32")
    parts = steep(context_size=3)
    model = frozen_model(parts[0])
    model.fit(context, x, verbose=0)
    assert_adapted(parts, x, context)
    model.adapt(context[:100], 2.0 * x[:100])
    assert_adapted(parts, 2.0 * x[:100], context[:100])
    with pytest.raises(ValueError, match="needs a context"):
        model.adapt(x)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return (rows()[50 * index : 50 * index + 50],)


def generated():
    for i in range(4):
        yield (rows()[50 * i : 50 * i + 50],)


SOURCES = {
    "dataset": lambda: tf.data.Dataset.from_tensor_slices(rows()).batch(50),
    "generator": generated,
    "py_dataset": Batches,
}


@pytest.mark.parametrize("source", SOURCES)
def test_act_norm_adapts_to_the_first_batch_of(source):
    parts = steep()
    model = frozen_model(parts[0])
    history = model.fit(SOURCES[source](), verbose=0).history["loss"]
    assert_adapted(parts, rows()[:50])
    # Looking at the first batch has not used it up.
    np.testing.assert_allclose(history[-1], model.evaluate(rows(), verbose=0), rtol=1e-5)


def test_rows_of_weight_zero_are_not_learned_from():
    x = rows()
    weight = (np.arange(200) % 2).astype("float32")
    x[weight == 0] = 1e30
    parts = steep()
    frozen_model(parts[0]).fit(x, sample_weight=weight, verbose=0)
    assert_adapted(parts, x[weight > 0])


def test_a_loaded_model_does_not_adapt_again(tmp_path):
    x = rows()
    parts = steep()
    model = frozen_model(parts[0])
    model.fit(x, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    loaded.run_eagerly = True  # which no file keeps
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    loaded.fit(100.0 + x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)


def test_inside_of_invert_act_norm_adapts_to_what_passes_forward():
    x = rows()
    part = ActNorm(2)
    distribution = tfpf.distributions.Flow(
        tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfb.Invert(tfb.Chain([part]))
    )
    frozen_model(distribution).fit(x, verbose=0)
    u = part.forward(x).numpy()
    np.testing.assert_allclose(u.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(u.std(0), 1.0, rtol=1e-4)


def test_images_are_adapted_by_channel():
    x = np.random.default_rng(0).normal([1.0, 5.0], [2.0, 0.1], [30, 4, 4, 2]).astype("float32")
    part = ActNorm(2)
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [4, 4, 2])
    frozen_model(tfpf.distributions.Flow(base, part)).fit(x, verbose=0)
    np.testing.assert_allclose(part.shift, x.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(part.log_scale, np.log(x.std((0, 1, 2))), rtol=1e-4)


def test_no_batches_are_refused():
    with pytest.raises(ValueError, match="`x` must have batches. Received: "):
        frozen_model(steep()[0]).fit((row for row in ()), verbose=0)


def test_one_row_is_no_nan():
    parts = steep()
    history = frozen_model(parts[0]).fit(rows()[:1], verbose=0).history
    assert parts[1].initialized and np.isfinite(history["loss"]).all()
