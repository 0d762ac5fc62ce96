"""A step that is not finite changes no variable at all, and training ends there."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions
tfpu = tfp.util

RNG = np.random.default_rng(0)
GOOD = RNG.normal(size=[4, 2]).astype("float32")
BAD = np.full([4, 2], np.nan, "float32")
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "decayed": lambda: keras.optimizers.AdamW(0.01, use_ema=True),
    "accumulated": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
}


def flow_with_statistics():
    """With dropout, whose seeds count, and a `BatchNorm` of running moments."""
    network = tfpf.layers.MLP(2, (4,), dropout=0.5, seed=1)
    network.build((None, 1))
    coupling = tfpf.bijectors.Coupling(network, mask=[True, False])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [2])
    chain = tfb.Chain([tfpf.bijectors.BatchNorm(2), coupling])
    return tfd.TransformedDistribution(base, chain)


def batches_of(*arrays):
    """A dataset in which nobody looks for NaN."""
    return tf.data.Dataset.from_tensor_slices(np.concatenate(arrays)).batch(len(arrays[0]))


def values(model):
    variables = [*model.weights, *model.optimizer.variables]
    return [np.array(variable.value) for variable in variables]


def assert_same(these, those):
    for this, that in zip(these, those, strict=True):
        np.testing.assert_array_equal(this, that)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_loss_that_is_not_finite_changes_nothing(optimizer):
    model = tfpf.FlowModel(flow_with_statistics())
    is_compiled = optimizer is OPTIMIZERS["adam"]
    model.compile(optimizer(), jit_compile=is_compiled, run_eagerly=not is_compiled)
    model.fit(batches_of(GOOD, GOOD), verbose=0)
    before = values(model)
    with pytest.raises(FloatingPointError, match="loss must stay finite.* step 1 of epoch 1"):
        model.fit(batches_of(BAD, GOOD), verbose=0)
    assert_same(values(model), before)
    model.fit(batches_of(GOOD), verbose=0)
    assert any(np.any(a != b) for a, b in zip(values(model), before, strict=True))


# Without XLA the same steps run in the same loop, and no step of it alone changes anything below.
@pytest.mark.parametrize(
    "optimizer, jit_compile",
    [("adam", True), pytest.param("sgd", False, marks=pytest.mark.slow)],
)
def test_of_several_steps_in_one_call_those_after_it_change_nothing(optimizer, jit_compile):
    def fitted(*arrays, **kwargs):
        keras.utils.set_random_seed(0)
        model = tfpf.FlowModel(flow_with_statistics())
        model.compile(OPTIMIZERS[optimizer](), jit_compile=jit_compile, **kwargs)
        if len(arrays) == 1:
            model.fit(batches_of(*arrays), verbose=0)
        else:
            with pytest.raises(FloatingPointError, match="step 2 of epoch 1"):
                model.fit(batches_of(*arrays), verbose=0)
        return values(model)

    assert_same(fitted(GOOD, BAD, GOOD, GOOD, steps_per_execution=4), fitted(GOOD))


def root_model(start, optimizer):
    """Of N(sqrt(v), 1), whose gradient to v is infinite at zero, and a weight that stays fine."""
    v, fine = tf.Variable(start, name="v"), tf.Variable(0.5, name="fine")
    normal = tfd.Normal(tfpu.DeferredTensor(v, tf.sqrt), 1.0)
    model = tfpf.FlowModel(tfd.TransformedDistribution(normal, tfb.Shift(fine)))
    model.compile(optimizer, jit_compile=False)
    return model


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_gradient_that_is_not_finite_changes_nothing(optimizer):
    model = root_model(0.0, OPTIMIZERS[optimizer]())
    with pytest.raises(FloatingPointError, match="gradient of `.*v.*` must stay finite"):
        model.fit(GOOD[:, 0], verbose=0)
    assert sorted(float(w.value) for w in model.weights) == [0.0, 0.5]
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(1e38),
        keras.optimizers.Adam(1e38),
        keras.optimizers.RMSprop(1e38, epsilon=1e-30),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_finite_gradients_that_lead_too_far_change_nothing(optimizer):
    model = root_model(100.0, optimizer)
    with pytest.raises(FloatingPointError, match="updated weight of `.*` must stay finite"):
        model.fit(1e3 * GOOD[:, 0], verbose=0)
    assert sorted(float(w.value) for w in model.weights) == [0.5, 100.0]


def test_second_moments_do_not_overflow():
    """Where the square of a gradient is infinite, Adam would never move that weight again."""
    location = tfpu.DeferredTensor(tf.Variable(0.0), lambda v: 1e12 * v)
    model = tfpf.FlowModel(tfd.Normal(location, 1.0))
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    model.train_on_batch(np.float32([1.0]))
    with pytest.raises(FloatingPointError, match="updated weight"):
        model.train_on_batch(np.float32([1e8]))
    assert np.isfinite(values(model)).all()


def test_callbacks_of_the_user_meet_good_weights_only(tmp_path):
    """A backup and a checkpoint after every step: training goes on from either."""
    path = tmp_path / "model.keras"
    model = tfpf.FlowModel(flow_with_statistics())
    model.compile(OPTIMIZERS["adam"](), jit_compile=False)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_freq=1)
    with pytest.raises(FloatingPointError):
        model.fit(batches_of(GOOD, GOOD, BAD), callbacks=[backup, checkpoint], verbose=0)
    assert_same(values(keras.saving.load_model(path)), values(model))
    again = tfpf.FlowModel(flow_with_statistics())
    again.compile(OPTIMIZERS["adam"](), jit_compile=False)
    again.fit(batches_of(GOOD, GOOD, GOOD), callbacks=[backup], verbose=0)
    assert int(again.optimizer.iterations) == 2 + 3  # Keras begins the epoch anew


def test_a_single_batch_raises_too_and_the_next_one_trains():
    model = tfpf.FlowModel(flow_with_statistics())
    model.compile(OPTIMIZERS["adam"](), jit_compile=False)
    model.train_on_batch(GOOD)
    before = values(model)
    with pytest.raises(FloatingPointError, match="loss must stay finite"):
        model.train_on_batch(tf.constant(BAD))
    assert_same(values(model), before)
    assert np.isfinite(model.train_on_batch(GOOD))
    assert int(model.optimizer.iterations) == 2


def test_variational_models_keep_their_weights_too():
    normal = tfd.Normal(tf.Variable(1.0), 1.0)
    model = tfpf.VariationalModel(normal, lambda x: tf.math.log(x - x), num_samples=4, seed=1)
    model.compile(OPTIMIZERS["adam"](), jit_compile=False)
    with pytest.raises(FloatingPointError, match="first samples already have no finite ELBO"):
        model.fit(steps_per_epoch=2, verbose=0)
    assert float(normal.loc) == 1.0
