"""Bases drawn by Philox: in all but the draw the distributions that were given."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

drawn_by_philox = tfpf.distributions.drawn_by_philox
SEED = tf.constant([3, 4])
SMALL = {"num_layers": 2, "hidden_units": (4,), "seed": 1}


def variable(*values, dtype="float64"):
    return tf.Variable(values, dtype=dtype)


def mixture(components, logits=(0.0, 1.0, -1.0)):
    return tfd.MixtureSameFamily(tfd.Categorical(logits=variable(*logits)), components)


# Each over vectors of 2, with variables.
BASES = {
    "normal": lambda: tfd.Independent(tfd.Normal(variable(1.0, -1.0), variable(2.0, 0.5)), 1),
    "uniform": lambda: tfd.Independent(tfd.Uniform(variable(-1.0, 0.0), variable(2.0, 5.0)), 1),
    "logistic": lambda: tfd.Independent(tfd.Logistic(variable(1.0, 2.0), variable(2.0, 0.5)), 1),
    "laplace": lambda: tfd.Independent(tfd.Laplace(variable(1.0, 2.0), variable(2.0, 0.5)), 1),
    "sample": lambda: tfd.Sample(tfd.Normal(tf.Variable(1.0), 2.0), 2),
    "diag": lambda: tfd.MultivariateNormalDiag(variable(1.0, 2.0), variable(2.0, 0.5)),
    "tril": lambda: tfd.MultivariateNormalTriL(
        variable(1.0, 2.0), variable([1.0, 0.0], [0.5, 2.0])
    ),
    "linear_operator": lambda: tfd.MultivariateNormalLinearOperator(
        variable(1.0, 2.0), tf.linalg.LinearOperatorDiag(variable(2.0, 0.5))
    ),
    "transformed": lambda: tfd.TransformedDistribution(
        tfd.Sample(tfd.Logistic(tf.Variable(1.0), 2.0), 2), tfb.Softplus()
    ),
    "mixture": lambda: mixture(
        tfd.MultivariateNormalDiag(
            variable([1.0, 2.0], [-8.0, 0.0], [0.0, 9.0]), variable([1.0, 2.0])
        )
    ),
    "plain_mixture": lambda: mixture(
        tfpf.distributions.Flow(
            tfd.Sample(tfd.Normal(np.zeros([]), 1.0), 2),
            tfb.Shift(variable([1.0, 2.0], [-8.0, 0.0], [0.0, 9.0])),
        )
    ),
}
each_base = pytest.mark.parametrize("name", BASES)


def kinds(distribution):
    return [type(node).__name__ for node in tfpf._tree.walk(distribution)]


@each_base
def test_the_same_distribution(name):
    base = BASES[name]()
    drawn = drawn_by_philox(base)
    assert isinstance(drawn, type(base)) and any("Philox" in kind for kind in kinds(drawn))
    assert drawn_by_philox(drawn) is drawn
    assert {id(v) for v in drawn.trainable_variables} == {id(v) for v in base.trainable_variables}
    assert drawn.trainable_variables
    assert drawn.event_shape == base.event_shape and drawn.batch_shape == base.batch_shape
    assert drawn.dtype == base.dtype and drawn.name == base.name
    x = base.sample(5, seed=SEED)
    np.testing.assert_array_equal(drawn.log_prob(x), base.log_prob(x))
    copy = drawn.copy()
    assert type(copy) is type(drawn)
    np.testing.assert_array_equal(copy.sample(5, seed=SEED), drawn.sample(5, seed=SEED))
    is_composite = isinstance(base, tf.__internal__.CompositeTensor)
    assert isinstance(drawn, tf.__internal__.CompositeTensor) == is_composite
    if is_composite:
        through = tf.function(lambda d: d, autograph=False)(drawn)
        assert type(through) is type(drawn)
        np.testing.assert_allclose(through.log_prob(x), base.log_prob(x), rtol=1e-12)


def test_a_seed_gives_the_same_with_xla_and_without():
    drawn = {name: drawn_by_philox(make()) for name, make in BASES.items()}

    def draw(seed):
        return {
            name: base.experimental_sample_and_log_prob(6, seed=seed)
            for name, base in drawn.items()
        }

    compiled = tf.function(draw, jit_compile=True, autograph=False)(SEED)
    for name, base in drawn.items():
        sample = base.sample(6, seed=SEED)
        tolerance = 1e-5 if base.dtype == tf.float32 else 1e-12
        x, log_prob = compiled[name]
        np.testing.assert_allclose(x, sample, rtol=tolerance, atol=tolerance)
        expected = base.log_prob(sample)
        np.testing.assert_allclose(log_prob, expected, rtol=tolerance, atol=tolerance)
        assert np.abs(base.sample(6, seed=tf.constant([3, 5])) - sample).min() > 0


@each_base
def test_draws_are_of_the_distribution(name):
    """One sample by Philox and one by TFP, compared by Kolmogorov and Smirnov, and by sums."""
    count = 20_000
    base = BASES[name]()
    ours = drawn_by_philox(base).sample(count, seed=SEED).numpy()
    theirs = base.sample(count, seed=SEED).numpy()
    for direction in ([1, 0], [0, 1], [1, 1]):
        a, b = np.sort(ours @ direction), np.sort(theirs @ direction)
        grid = np.concatenate([a, b])
        distance = np.abs(np.searchsorted(a, grid) - np.searchsorted(b, grid)).max() / count
        # Above 1.95 with a chance of 0.001.
        assert distance * np.sqrt(count / 2) < 1.95
    assert len(np.unique(ours)) > 0.99 * ours.size


@pytest.mark.parametrize("seed", [None, 7], ids=str)
def test_seeds_with_a_state(seed):
    """As in TFP: an integer, or none, draws anew each time, and `set_seed` makes it repeat."""
    drawn = drawn_by_philox(BASES["tril"]())

    def two():
        tf.random.set_seed(1)
        return drawn.sample(3, seed=seed).numpy(), drawn.sample(3, seed=seed).numpy()

    first, second = two()
    assert (first != second).all()
    np.testing.assert_array_equal(two(), [first, second])


def test_samples_have_the_gradients_of_tfp():
    base = BASES["diag"]()
    drawn = drawn_by_philox(base)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.square(drawn.sample(50, seed=SEED)))
    of_loc, of_scale = tape.gradient(total, [base.loc, base.scale.diag])
    x = drawn.sample(50, seed=SEED).numpy()
    z = (x - base.loc.numpy()) / base.scale.diag.numpy()
    np.testing.assert_allclose(of_loc, (2 * x).sum(0))
    np.testing.assert_allclose(of_scale, (2 * x * z).sum(0))


def test_categories_of_no_probability_are_never_drawn():
    probs = tf.constant([[0.0, 0.5, 0.0, 0.2, 0.3, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    base = tfd.Categorical(probs=probs)
    drawn = drawn_by_philox(base)
    k = drawn.sample(20_000, seed=SEED).numpy()
    assert k.shape == (20_000, 2) and k.dtype == np.int32 and (k[:, 1] == 0).all()
    shares = np.bincount(k[:, 0], minlength=6) / 20_000
    assert (shares[[0, 2, 5]] == 0).all()
    np.testing.assert_allclose(shares, probs[0], atol=5 * np.sqrt(0.25 / 20_000))
    compiled = tf.function(lambda: drawn.sample(50, seed=SEED), jit_compile=True, autograph=False)()
    np.testing.assert_array_equal(compiled, drawn.sample(50, seed=SEED))


def test_reparameterized_mixture():
    plain = tfd.MixtureSameFamily(
        tfd.Categorical(logits=variable(0.0, 1.0)),
        tfd.Normal(variable(-5.0, 5.0), np.float64(1.0)),
        reparameterize=True,
    )
    drawn = drawn_by_philox(plain)
    with tf.GradientTape() as tape:
        x = drawn.sample(100, seed=SEED)
    gradient = tape.gradient(x, drawn.components_distribution.loc)
    # The components hardly overlap: each point moves with its own.
    np.testing.assert_allclose(gradient, [(x.numpy() < 0).sum(), (x.numpy() > 0).sum()], atol=0.1)


def test_kullback_leibler_divergences_are_known():
    a, b = BASES["tril"](), BASES["diag"]()
    expected = tfd.kl_divergence(a, b)
    for pair in ((drawn_by_philox(a), b), (a, drawn_by_philox(b))):
        np.testing.assert_array_equal(tfd.kl_divergence(*pair), expected)


class MyNormal(tfd.Normal):
    """A user's own, which may draw as it likes."""


@pytest.mark.parametrize(
    "base",
    [
        tfd.Independent(tfd.StudentT(3.0, [0.0, 1.0], 1.0), 1),
        MyNormal(0.0, 1.0),
        tfd.Normal(np.float16(0.0), np.float16(1.0)),
        drawn_by_philox(tfd.Normal(0.0, 1.0)),
    ],
    ids=lambda base: type(base).__name__,
)
def test_others_stay_as_they_are(base):
    assert drawn_by_philox(base) is base


def test_shared_parts_stay_shared():
    normal = tfd.Normal(variable(0.0, 1.0), 1.0)
    joint = tfd.JointDistributionSequential([normal, tfd.Independent(normal, 1)])
    drawn = drawn_by_philox(joint)
    one, inside = drawn.model[0], drawn.model[1].distribution
    assert one is inside and type(one) is tfpf.distributions.PhiloxNormal
    assert drawn.sample(seed=SEED)[1].shape == [2]


def test_refuses_what_is_no_distribution():
    with pytest.raises(TypeError, match="`distribution` must be a TFP distribution. Received: "):
        drawn_by_philox(tfb.Exp())


# --- In flows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "plain_mixture"])
def test_flows_draw_their_base_so(name, tmp_path):
    base = None if name is None else BASES[name]()
    flow = tfpf.flows.radial(2, num_layers=1, base=base, dtype="float64", seed=1)
    assert any(kind.lstrip("_").startswith("Philox") for kind in kinds(flow.distribution))
    x = flow.sample(5, seed=SEED)
    compiled = tf.function(
        lambda seed: flow.sample(5, seed=seed), jit_compile=True, autograph=False
    )(SEED)
    np.testing.assert_allclose(compiled, x, rtol=1e-12, atol=1e-12)
    assert flow.copy().distribution is flow.distribution
    tfpf.FlowModel(flow).save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").distribution
    assert kinds(loaded) == kinds(flow)
    np.testing.assert_array_equal(loaded.sample(5, seed=SEED), x)


def test_bound_contexts_have_draws_of_their_own():
    network = tfpf.layers.MLP(4, (4,), seed=1)
    network.build((None, 3))
    moving = tfpf.distributions.ConditionalNormal(network, event_size=2, context_size=3)
    for base in (None, tfd.MultivariateNormalDiag(tf.Variable([0.0, 0.0])), moving):
        flow = tfpf.flows.real_nvp(2, context_size=3, base=base, **SMALL)
        bound = tfpf.condition(flow, np.ones([4, 3], "float32"))
        x = bound.sample(5, seed=SEED)
        assert x.shape == [5, 4, 2] and len(np.unique(x)) == 40
        assert bound[1:3].sample(5, seed=SEED).shape == [5, 2, 2]
    compiled = tf.function(
        lambda: bound.distribution.sample(5, seed=SEED), jit_compile=True, autograph=False
    )()
    np.testing.assert_allclose(compiled, bound.distribution.sample(5, seed=SEED), atol=1e-5)


def test_within_a_joint_distribution():
    flow = tfpf.flows.real_nvp(2, base=BASES["diag"](), dtype="float64", **SMALL)
    joint = tfd.JointDistributionSequential(
        [flow, lambda u: tfd.Independent(tfd.Normal(u, np.float64(0.1)), 1)]
    )
    u, x = joint.sample(3, seed=SEED)
    expected = flow.log_prob(u) + tfd.Independent(tfd.Normal(u, 0.1), 1).log_prob(x)
    np.testing.assert_allclose(joint.log_prob([u, x]), expected)
