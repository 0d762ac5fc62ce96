"""A base that moves with the context, alone and under a recipe."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfd = tfp.distributions

RNG = np.random.default_rng(0)
CONTEXT = RNG.normal(size=[4, 3])


def made(dtype="float64", moved=True, **options):
    network = tfpf.layers.MLP(4, (8,), activation="tanh", seed=1, dtype=dtype)
    network.build((None, 3))
    if moved:
        perturb([variable.value for variable in network.variables])
    base = tfpf.distributions.ConditionalNormal(network, event_size=2, context_size=3, **options)
    return base, network


def formula(network, context, max_log_scale=5.0):
    h = np.reshape(network(context), [-1, 2, 2])
    a = h[..., 1]
    return tfd.Normal(h[..., 0], np.exp(a / (1 + np.abs(a) / max_log_scale)))


@pytest.mark.parametrize("compiled", [False, True])
def test_formula(compiled):
    base, network = made(max_log_scale=2.0)
    normal = formula(network, CONTEXT, 2.0)
    bound = tfpf.condition(base, CONTEXT)
    assert bound.batch_shape == [4] and bound.event_shape == [2]
    u = RNG.normal(size=[4, 2])
    score = (
        tf.function(bound.log_prob, jit_compile=True, autograph=False)
        if compiled
        else bound.log_prob
    )
    np.testing.assert_allclose(score(tf.constant(u)), normal.log_prob(u).numpy().sum(-1))
    np.testing.assert_allclose(bound.mean(), normal.mean())
    np.testing.assert_allclose(bound.mode(), normal.mean())
    np.testing.assert_allclose(bound.stddev(), normal.stddev())
    np.testing.assert_allclose(bound.variance(), normal.variance())
    np.testing.assert_allclose(bound.entropy(), normal.entropy().numpy().sum(-1))


def test_samples_follow_the_context():
    base, network = made()
    bound = tfpf.condition(base, CONTEXT)
    u = bound.sample(20_000, seed=tf.constant([1, 2])).numpy()
    normal = formula(network, CONTEXT)
    z = (u - normal.mean().numpy()) / normal.stddev().numpy()
    np.testing.assert_allclose(z.mean(0), 0.0, atol=5 / np.sqrt(20_000))
    np.testing.assert_allclose(z.var(0), 1.0, atol=5 * np.sqrt(2 / 20_000))
    u, log_prob = bound.experimental_sample_and_log_prob(5, seed=tf.constant([1, 2]))
    assert u.shape == [5, 4, 2]
    np.testing.assert_allclose(log_prob, bound.log_prob(u), rtol=1e-10)


def test_starts_as_the_standard_normal():
    base, _ = made(moved=False)
    u = RNG.normal(size=[4, 2])
    expected = tfd.Normal(np.zeros(2), 1.0).log_prob(u).numpy().sum(-1)
    np.testing.assert_allclose(tfpf.condition(base, CONTEXT).log_prob(u), expected)


def test_batches_of_contexts_broadcast_and_slice():
    base, _ = made()
    contexts = RNG.normal(size=[2, 4, 3])
    bound = tfpf.condition(base, contexts)
    assert bound.batch_shape == [2, 4]
    u = RNG.normal(size=[7, 1, 1, 2])
    every = bound.log_prob(u)
    assert every.shape == [7, 2, 4]
    one = tfpf.condition(base, contexts[1, 2])
    assert one.batch_shape == []
    np.testing.assert_allclose(one.log_prob(u[3, 0, 0]), every[3, 1, 2])
    np.testing.assert_allclose(bound[1].log_prob(u[0, 0]), every[0, 1])


def test_gradients_reach_network_and_context():
    base, network = made()
    context = tf.constant(CONTEXT)
    with tf.GradientTape() as tape:
        tape.watch(context)
        loss = tf.reduce_sum(tfpf.condition(base, context).log_prob(np.ones([4, 2])))
    gradients = tape.gradient(loss, [context, *base.trainable_variables])
    assert len(gradients) == 1 + len(network.trainable_variables) == 5
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


@pytest.mark.parametrize("value", [1e30, -1e30])
def test_saturated_scales(value):
    base, network = made("float32", moved=False)
    network.weights[-1].assign([0.0, value, 0.0, value])
    bound = tfpf.condition(base, CONTEXT)
    assert np.isfinite(bound.log_prob(np.ones([4, 2], "float32"))).all()
    np.testing.assert_allclose(np.log(bound.stddev()), np.sign(value) * 5.0, rtol=1e-5)


def test_base_of_a_conditional_recipe_trains_and_is_saved(tmp_path):
    """x = 3 c + 0.1 e: the base alone can follow it."""
    context = RNG.normal(size=[512, 1]).astype("float32")
    x = 3.0 * context + 0.1 * RNG.normal(size=[512, 2]).astype("float32")
    network = tfpf.layers.MLP(4, (), seed=1)
    network.build((None, 1))
    base = tfpf.distributions.ConditionalNormal(network, 2, 1)
    flow = tfpf.flows.maf(2, context_size=1, base=base, num_layers=1, hidden_units=(4,), seed=1)
    model = tfpf.FlowModel(flow)
    model.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    model.fit(context, x, epochs=40, batch_size=128, shuffle=False, verbose=0)
    entropy = 2 * (0.5 * np.log(2 * np.pi * np.e) + np.log(0.1))
    expected = tfpf.condition(flow, context).log_prob(x)
    assert -np.mean(expected) < entropy + 0.2
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    again = tfpf.condition(loaded.distribution, context).log_prob(x)
    np.testing.assert_array_equal(again, expected)
    bound = tfpf.condition(loaded.distribution, context[:5])
    assert bound.sample(3, seed=tf.constant([1, 2])).shape == [3, 5, 2]


def test_a_function_is_a_conditioner():
    base = tfpf.distributions.ConditionalNormal(lambda c: tf.stack([c, 0.0 * c], -1), 3, 3)
    bound = tfpf.condition(base, np.float32(CONTEXT))
    np.testing.assert_allclose(bound.mean(), CONTEXT, rtol=1e-6)


# --- Refused ---------------------------------------------------------------------------------


def test_no_context_is_refused():
    base, _ = made()
    for use in (base.log_prob, lambda u: base.sample(seed=1)):
        with pytest.raises(ValueError, match="`conditional_normal` needs a context.*Received: "):
            use(np.ones([2]))


@pytest.mark.parametrize("context_size", [1, 2])
def test_a_recipe_with_another_context_is_refused(context_size):
    base, _ = made("float32")
    flow = tfpf.flows.maf(2, context_size=context_size, base=base, hidden_units=(4,))
    with pytest.raises(ValueError, match="one `context_size` .*Received: "):
        tfpf.condition(flow, CONTEXT)


@pytest.mark.parametrize(
    "change,error,named",
    [
        ({"conditioner": 3}, TypeError, "conditioner"),
        ({"conditioner": tfpf.layers.MLP(4)}, ValueError, "conditioner"),
        ({"conditioner": lambda c: c}, ValueError, "conditioner"),
        ({"event_size": 0}, ValueError, "event_size"),
        ({"context_size": 0}, ValueError, "context_size"),
        ({"context_size": 2.0}, TypeError, "context_size"),
        ({"max_log_scale": 0.0}, ValueError, "max_log_scale"),
        ({"context": tf.zeros([5, 2])}, ValueError, "context"),
    ],
    # Not of the change itself: the address of a function differs between the workers.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_is_named(change, error, named):
    arguments = {"event_size": 2, "context_size": 3, **change}
    arguments.setdefault("conditioner", lambda c: tf.zeros([len(c), 4]))
    with pytest.raises(error, match=f"`{named}` must .*Received: "):
        tfpf.distributions.ConditionalNormal(**arguments)


@pytest.mark.parametrize("size", [1e25, 1e38])
def test_a_context_far_out_gives_no_nan(size):
    base, _ = made("float32")
    bound = tfpf.condition(base, tf.constant([[size, -size, size]], tf.float32))
    assert not np.isnan(bound.log_prob(tf.zeros([1, 2]))).any()
