"""A flow is a plain TFP distribution: joint distributions, MCMC, `tfp.vi`, export take it."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import made, mlp, perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions
F = tfpf.flows

RNG = np.random.default_rng(0)
X = RNG.normal(size=[6, 2]).astype("float32")
SMALL = {"hidden_units": (8,), "num_layers": 2, "seed": 0}
BASE = tfd.Sample(tfd.Normal(0.0, 1.0), [2])
MEAN = np.array([1.0, -1.0], "float32")
STDDEV = np.array([0.5, 1.5], "float32")


def target_log_prob(x):
    return tfd.MultivariateNormalDiag(MEAN, STDDEV).log_prob(x)


def moved(make_flow, **options):
    flow = make_flow(2, **{**SMALL, **options})
    perturb(flow.variables)
    return flow


@pytest.fixture(scope="module")
def flow():
    """One for all tests that leave its variables alone."""
    return moved(F.real_nvp)


# --- Joint distributions ---------------------------------------------------------------------


def test_two_of_a_recipe_stand_in_one_joint_distribution(flow):
    other = tfpf.flows.real_nvp(2, **SMALL)
    joint = tfd.JointDistributionSequential([flow, other])
    draw = joint.sample(seed=0)
    expected = flow.log_prob(draw[0]) + other.log_prob(draw[1])
    np.testing.assert_allclose(joint.log_prob(draw), expected, rtol=1e-5)


@pytest.mark.parametrize("cls", [tfd.JointDistributionNamed, tfd.JointDistributionSequential])
def test_joint_distribution(cls, flow):
    """p(x) p(s | x), with the flow as prior of x."""

    def noisy(x):
        return tfd.Independent(tfd.Normal(x, 0.1), 1)

    named = cls is tfd.JointDistributionNamed
    joint = cls({"x": flow, "s": noisy} if named else [flow, noisy])
    draw = joint.sample(5, seed=0)
    x, s = (draw["x"], draw["s"]) if named else draw
    assert x.shape == s.shape == [5, 2]
    assert np.abs(x - s).max() < 1.0
    expected = flow.log_prob(x) + noisy(x).log_prob(s)
    np.testing.assert_allclose(joint.log_prob(draw), expected, rtol=1e-4)
    assert {id(v) for v in joint.trainable_variables} == {id(v) for v in flow.trainable_variables}


def test_experimental_pin(flow):
    joint = tfd.JointDistributionNamed(
        {"x": flow, "s": lambda x: tfd.Independent(tfd.Normal(x, 0.1), 1)}
    )
    pinned = joint.experimental_pin(s=X)
    expected = flow.log_prob(X) + np.sum(tfd.Normal(X, 0.1).log_prob(X), axis=-1)
    np.testing.assert_allclose(pinned.log_prob(x=X), expected, rtol=1e-5)
    # Of a transformed distribution TFP takes the bijector itself.
    event_space = pinned.experimental_default_event_space_bijector()
    np.testing.assert_allclose(
        event_space.forward({"x": X})["x"], flow.bijector.forward(X), rtol=1e-5
    )


def test_auto_batched_joint_distribution_vectorises(flow):
    @tfd.JointDistributionCoroutineAutoBatched
    def joint():
        x = yield tfd.Sample(tfd.Normal(0.0, 1.0), [2], name="x")
        shifted = tfd.TransformedDistribution(flow, tfb.Shift(x))
        yield tfd.TransformedDistribution(shifted, tfb.Identity(), name="y")

    @tf.function(jit_compile=True, autograph=False)
    def log_prob(x, y):
        return joint.log_prob((x, y))

    expected = BASE.log_prob(X) + flow.log_prob(X[::-1] - X)
    np.testing.assert_allclose(log_prob(X, X[::-1].copy()), expected, rtol=1e-4)


# --- Markov chains ---------------------------------------------------------------------------


def test_hmc_through_the_bijector_under_jit():
    """A chain in the flow's base space has the target for its stationary distribution."""
    flow = moved(F.real_nvp, num_layers=1)
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.HamiltonianMonteCarlo(target_log_prob, step_size=0.25, num_leapfrog_steps=4),
        bijector=flow.bijector,
    )

    @tf.function(jit_compile=True, autograph=False)
    def run(start, seed):
        return tfp.mcmc.sample_chain(
            60,
            start,
            num_burnin_steps=40,
            kernel=kernel,
            trace_fn=lambda _, results: results.inner_results.is_accepted,
            seed=seed,
        )

    start = tf.constant(np.random.default_rng(1).normal(size=[64, 2]), tf.float32)
    states, is_accepted = run(start, tf.constant([0, 1]))
    assert states.shape == [60, 64, 2]
    assert 0.5 < np.mean(is_accepted) < 1.0
    np.testing.assert_allclose(np.mean(states, axis=(0, 1)), MEAN, atol=0.15)
    np.testing.assert_allclose(np.std(states, axis=(0, 1)), STDDEV, atol=0.15)


def test_flow_as_target_of_a_chain(flow):
    kernel = tfp.mcmc.HamiltonianMonteCarlo(flow.log_prob, step_size=0.1, num_leapfrog_steps=2)
    x = tf.constant(X)
    state, results = kernel.one_step(x, kernel.bootstrap_results(x), seed=(0, 1))
    accepted = results.is_accepted.numpy()
    assert np.any(accepted)
    log_prob = results.accepted_results.target_log_prob
    np.testing.assert_allclose(log_prob[accepted], flow.log_prob(state)[accepted], rtol=1e-4)


# --- Training by TFP itself ------------------------------------------------------------------


def test_fit_surrogate_posterior():
    flow = moved(F.iaf, num_layers=1)
    before = [variable.numpy() for variable in flow.trainable_variables]
    losses = tfp.vi.fit_surrogate_posterior(
        target_log_prob,
        flow,
        optimizer=keras.optimizers.Adam(0.05),
        num_steps=150,
        sample_size=32,
        trainable_variables=flow.trainable_variables,
        jit_compile=True,
        seed=(0, 1),
    )
    # The target is normalised, so the loss is the KL.
    assert losses[0] > 0.5
    assert np.mean(losses[-20:]) < 0.15
    for variable, value in zip(flow.trainable_variables, before, strict=True):
        assert np.any(variable.numpy() != value), variable.name
    np.testing.assert_allclose(np.mean(flow.sample(4000, seed=2), axis=0), MEAN, atol=0.3)


def test_minimize():
    """`tfp.math.minimize` with an optimizer of Keras 3: maximum likelihood by hand."""
    flow = moved(F.maf, num_layers=1)
    x = (MEAN + STDDEV * RNG.normal(size=[500, 2])).astype("float32")
    entropy = -np.mean(target_log_prob(x))
    losses = tfp.math.minimize(
        lambda: -tf.reduce_mean(flow.log_prob(x)),
        num_steps=50,
        optimizer=keras.optimizers.Adam(0.1),
        trainable_variables=flow.trainable_variables,
    )
    assert losses[0] > entropy + 0.3
    np.testing.assert_allclose(losses[-1], entropy, atol=0.1)
    np.testing.assert_allclose(-np.mean(flow.log_prob(x)), losses[-1], atol=0.05)


def test_kl_divergence_by_monte_carlo(flow):
    value = tfp.vi.monte_carlo_variational_loss(
        flow.log_prob, flow, sample_size=50, seed=(0, 1), discrepancy_fn=tfp.vi.kl_reverse
    )
    np.testing.assert_allclose(value, 0.0, atol=1e-4)


# --- Vectorisation and export ----------------------------------------------------------------


def test_vectorized_map_of_a_bijector(flow):
    images = tf.vectorized_map(flow.bijector.forward, tf.constant(X))
    np.testing.assert_allclose(images, flow.bijector.forward(X), rtol=1e-4, atol=1e-5)


# One for each way in which layers compute, as small as it can be. Others go through the same code:
# `nice` through that of `real_nvp`, and `maf` forwards through what `iaf` does backwards.
WAYS = {
    "real_nvp": functools.partial(F.real_nvp, num_layers=2, hidden_units=(8,)),
    "iaf": functools.partial(F.iaf, num_layers=1, hidden_units=(8,)),
    "neural_spline": functools.partial(F.neural_spline, num_layers=1, hidden_units=(8,)),
    "cubic": functools.partial(F.neural_spline, spline="cubic", num_layers=1, hidden_units=(8,)),
    "naf": functools.partial(F.naf, num_layers=1, num_units=4, hidden_units=(8,)),
    "recurrent": functools.partial(F.recurrent, num_layers=1, hidden_units=(5,)),
    "planar": functools.partial(F.planar, num_layers=1),
    "radial": functools.partial(F.radial, num_layers=1),
    "sylvester": functools.partial(F.sylvester, num_layers=1, num_units=1),
    "iresnet": functools.partial(F.iresnet, num_layers=1, hidden_units=(8,)),
}
POINTS = tf.constant(np.random.default_rng(3).normal(scale=2.5, size=(2, 4, 2)))
# Mapped over a batch, `iaf` has a loop over coordinates as `recurrent` has.
LOOPS = {"recurrent": pytest.mark.slow}
# The numbers of a cubic spline's bin are found and gathered as those of `neural_spline` are, and
# what it makes of them has no shape of its own.
MARKS = {"cubic": pytest.mark.slow}


@functools.cache
def way(name):
    """A flow, and its density at the points."""
    flow = WAYS[name](2, seed=1, dtype="float64")
    perturb(flow.variables)
    return flow, flow.log_prob(POINTS)


def each_way(names, marks=MARKS):
    return pytest.mark.parametrize("name", [pytest.param(n, marks=marks.get(n, ())) for n in names])


# Above is a map of `real_nvp`, and `sylvester` searches as `planar` does.
@each_way([name for name in WAYS if name not in ("real_nvp", "sylvester")], {**MARKS, **LOOPS})
def test_vectorized_map_of_a_density(name):
    flow, log_prob = way(name)
    values = tf.vectorized_map(flow.log_prob, POINTS)
    np.testing.assert_allclose(values, log_prob, rtol=1e-8, atol=1e-8)


@each_way(WAYS)
def test_unknown_batch_shape(name):
    """Also the shapes that stay known where no axis of the batch is."""
    flow, log_prob = way(name)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 2], tf.float64)], autograph=False)
    def traced(x):
        u = flow.bijector.inverse(x)
        # A copy, whose inverse nothing remembers.
        return flow.log_prob(x), u, flow.bijector.forward(tf.identity(u))

    shapes = [output.shape.as_list() for output in traced.get_concrete_function().outputs]
    assert shapes == [[None, None], [None, None, 2], [None, None, 2]]
    values, _, back = traced(POINTS)
    np.testing.assert_allclose(values, log_prob, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(back, POINTS, rtol=1e-8, atol=1e-8)


def test_saved_model_with_log_prob_and_sample(flow, tmp_path):
    class Exported(tf.Module):
        def __init__(self, flow):
            super().__init__()
            self.flow = flow
            self.kept = list(flow.variables)

        @tf.function(input_signature=[tf.TensorSpec([None, 2])], autograph=False)
        def log_prob(self, x):
            return self.flow.log_prob(x)

        signature = [tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int32)]

        @tf.function(input_signature=signature, autograph=False)
        def sample(self, count, seed):
            return self.flow.sample(count, seed=seed)

    tf.saved_model.save(Exported(flow), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for rows in (X, X[:1]):
        np.testing.assert_allclose(loaded.log_prob(rows), flow.log_prob(rows), rtol=1e-5)
    seed = tf.constant([3, 4])
    np.testing.assert_allclose(
        loaded.sample(tf.constant(5), seed), flow.sample(5, seed=seed), rtol=1e-5, atol=1e-6
    )
    assert len(loaded.kept) == len(flow.variables)


def test_checkpoint_of_tensorflow(tmp_path):
    """`tf.train.Checkpoint` finds the variables through `tf.Module`."""
    flow = moved(F.real_nvp, num_layers=1)
    expected = flow.log_prob(X).numpy()
    checkpoint = tf.train.Checkpoint(variables=list(flow.variables))
    path = checkpoint.save(str(tmp_path / "checkpoint"))
    perturb(flow.variables, seed=1)
    assert np.abs(flow.log_prob(X) - expected).max() > 1e-3
    checkpoint.restore(path).assert_consumed()
    np.testing.assert_array_equal(flow.log_prob(X), expected)


# --- Conditioners of the user ----------------------------------------------------------------


class Quadratic(keras.layers.Layer):
    """A layer that knows nothing of tfp_flows: raw numbers `[N, 2]` of x and x^2."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(2 * input_shape[-1], 2), initializer="zeros", name="w")

    def call(self, x):
        return tf.concat([x, tf.square(x)], axis=-1) @ self.w


def quadratic_layer():
    layer = Quadratic()
    layer.build((None, 1))
    return layer, [layer.w.value]


def functional_model():
    inputs = keras.Input([1])
    outputs = keras.layers.Dense(2)(keras.layers.Dense(8, "tanh")(inputs))
    model = keras.Model(inputs, outputs)
    return model, [v.value for v in model.variables]


def sequential_model():
    model = keras.Sequential([keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)])
    model.build((None, 1))
    return model, [v.value for v in model.variables]


def plain_function():
    """What a function closes over nobody sees, so its variables are handed to the optimizer."""
    w = tf.Variable(tf.zeros([2, 2]))
    return lambda x: tf.concat([x, tf.square(x)], axis=-1) @ w, w


def module():
    class Linear(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(tf.zeros([2, 2]))

        def __call__(self, x):
            return tf.concat([x, tf.square(x)], axis=-1) @ self.w

    linear = Linear()
    return linear, [linear.w]


def banana(size):
    """x_2 given x_1 is N(x_1^2, 0.5^2)."""
    x = np.random.default_rng(4).normal(size=[size, 2])
    x[:, 1] = x[:, 0] ** 2 + 0.5 * x[:, 1]
    return x.astype("float32")


@pytest.mark.parametrize(
    "make",
    [quadratic_layer, functional_model, sequential_model, module],
    ids=lambda make: make.__name__,
)
def test_conditioner_of_the_user_trains(make):
    conditioner, expected = make()
    bijector = tfpf.bijectors.Coupling(conditioner, mask=(True, False))
    assert {id(v) for v in bijector.variables} == {id(v) for v in expected}
    flow = tfd.TransformedDistribution(BASE, tfb.Chain([bijector]))
    model = tfpf.FlowModel(flow)
    assert len(model.weights) == len(expected)
    x = banana(1000)
    model.compile(keras.optimizers.Adam(0.1), run_eagerly=True)
    before = -np.mean(flow.log_prob(x))
    model.fit(x, batch_size=100, verbose=0)
    assert -np.mean(flow.log_prob(x)) < before - 0.8
    for variable in expected:
        assert np.abs(variable).max() > 0


def test_plain_function_trains_with_its_variable():
    conditioner, w = plain_function()
    bijector = tfpf.bijectors.Coupling(conditioner, mask=(True, False))
    flow = tfd.TransformedDistribution(BASE, bijector)
    x = banana(500)
    losses = tfp.math.minimize(
        lambda: -tf.reduce_mean(flow.log_prob(x)),
        num_steps=50,
        optimizer=keras.optimizers.Adam(0.1),
        trainable_variables=[w],
    )
    assert losses[-1] < losses[0] - 0.8
    # t(x_1) = x_1^2.
    np.testing.assert_allclose(w[:, 0], [0.0, 1.0], atol=0.25)
    with pytest.raises(ValueError, match="must have variables to train.*a function closes over"):
        tfpf.FlowModel(flow)


def test_plain_function_as_autoregressive_conditioner():
    """h_i is a product of the coordinates before i: any function that keeps the order."""
    matrix = tf.Variable(RNG.normal(size=[3, 3]).astype("float32"))

    def conditioner(y):
        shift = y @ tf.linalg.band_part(matrix - tf.linalg.diag(tf.linalg.diag_part(matrix)), 0, -1)
        return tf.stack([shift, 0.1 * shift], axis=-1)

    bijector = tfpf.bijectors.Autoregressive(conditioner, order=(0, 1, 2), validate_args=True)
    x = RNG.normal(size=[4, 3]).astype("float32")
    y = tf.identity(bijector.forward(x))
    np.testing.assert_allclose(bijector.inverse(y), x, rtol=1e-4, atol=1e-5)
    w = np.triu(matrix.numpy(), 1)
    expected = x[:, 0]
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-5)
    shift = expected * w[0, 1]
    np.testing.assert_allclose(y[:, 1], np.exp(0.1 * shift) * x[:, 1] + shift, rtol=1e-4)


def test_layer_that_takes_a_context_by_keyword():
    class Contextual(keras.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(3, 2), name="w")

        def call(self, x, context=None):
            return tf.concat([x, context], axis=-1) @ self.w

    layer = Contextual()
    layer.build((None, 1))
    bijector = tfpf.bijectors.Coupling(layer, mask=(True, False), context_size=2)
    flow = tfpf.condition(tfd.TransformedDistribution(BASE, bijector), [[1.0, 2.0], [0.0, 0.0]])
    assert flow.batch_shape == [2]
    raw = np.concatenate([X[:2, :1], [[1.0, 2.0], [0.0, 0.0]]], axis=-1) @ layer.w.numpy()
    expected = X[:2] * np.stack([np.ones(2), np.exp(raw[:, 1])], axis=-1)
    expected[:, 1] += raw[:, 0]
    np.testing.assert_allclose(flow.bijector.forward(X[:2]), expected, rtol=1e-5)


# --- Other parts of TFP ----------------------------------------------------------------------


def test_our_bijectors_beside_those_of_tfp(flow):
    theirs = tfb.RealNVP(num_masked=1, shift_and_log_scale_fn=lambda x, n: (x, 0.1 * x))
    ours = tfpf.bijectors.Autoregressive(made(tfpf.bijectors.Affine, {}, "float32"))
    perturb(ours.variables)
    chain = tfb.Chain(
        [tfb.Blockwise([flow.bijector, theirs, tfb.Exp()], [2, 2, 1]), tfb.Scale(2.0)]
    )
    wide = tfb.Chain([chain, tfb.Blockwise([ours, tfb.Permute([1, 0])], [3, 2])])
    x = RNG.normal(size=[4, 5]).astype("float32")
    y = tf.identity(wide.forward(x))
    np.testing.assert_allclose(wide.inverse(y), x, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        wide.inverse_log_det_jacobian(tf.identity(y), 1),
        -wide.forward_log_det_jacobian(x, 1),
        rtol=1e-3,
        atol=1e-3,
    )
    assert len(wide.trainable_variables) == len(flow.trainable_variables) + len(ours.variables)


def test_quantities_that_tfp_derives(flow):
    outer = tfd.Independent(tfd.BatchReshape(over_a_batch(flow), [2, 3]), 1)
    assert outer.batch_shape == [2] and outer.event_shape == [3, 2]
    value = outer.log_prob(X.reshape(2, 3, 2))
    np.testing.assert_allclose(value, flow.log_prob(X).numpy().reshape(2, 3).sum(1), rtol=1e-4)
    np.testing.assert_allclose(flow.prob(X), np.exp(flow.log_prob(X)), rtol=1e-5)
    np.testing.assert_allclose(flow.unnormalized_log_prob(X), flow.log_prob(X), rtol=1e-4)


def over_a_batch(flow):
    """The flow over a batch of six equal bases."""
    base = tfd.MultivariateNormalDiag(tf.zeros([6, 2]))
    return tfd.TransformedDistribution(base, flow.bijector)


def test_mlp_of_another_dtype_policy_leaves_the_flow_in_its_own():
    bijector = tfpf.bijectors.Coupling(mlp(1, 2, "float32"), mask=(True, False), dtype="float64")
    x = tf.constant(X, tf.float64)
    assert bijector.forward(x).dtype == tf.float64
