"""What recipes of series promise at their start, spectrograms as contexts, and a distillation."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from audio_cases import RECIPES
from image_cases import perturb_image, points

import tfp_flows as tfpf

tfd = tfp.distributions
F = tfpf.flows

each_recipe = pytest.mark.parametrize("case", RECIPES, ids=str)
each_function = pytest.mark.parametrize("name", ["waveglow", "parallel_wavenet", "wavenet"])
SHAPE = (16, 1)
SPECTROGRAM = (2, 3)
RNG = np.random.default_rng(0)


def small(name, event_shape=SHAPE, **options):
    options = {"num_layers": 1, "hidden_channels": (4,), "seed": 1, **options}
    if name == "waveglow":
        options = {"factor": 4, "num_scales": 2, "num_leaving": 1, **options}
    return getattr(F, name)(event_shape, **options)


def bound(case, flow, num_contexts=None):
    if not case.context_size:
        return flow
    shape = () if num_contexts is None else (num_contexts,)
    return tfpf.condition(flow, points((*shape, *case.context_size), ()))


@functools.cache
def moved(case):
    """The flow of a recipe, made once and moved; and by how much it differed from its base."""
    flow = case.make.flow("float64")
    start = bound(case, flow)
    x = points(case.shape, (5,))
    in_base = np.reshape(x, [5, *flow.distribution.event_shape])
    difference = start.log_prob(x) - start.distribution.log_prob(in_base)
    perturb_image(flow.variables)
    return flow, difference


@each_recipe
def test_starts_close_to_its_base(case):
    flow, difference = moved(case)
    # Channels are turned.
    assert np.abs(difference).max() <= 0.1 * np.prod(case.shape)
    assert flow.event_shape == case.shape


@each_recipe
def test_sample_and_log_prob_agrees_with_log_prob(case):
    flow = bound(case, moved(case)[0], 3 if case.context_size else None)
    x, log_prob = flow.experimental_sample_and_log_prob(5, seed=3)
    assert x.shape == (5, *flow.batch_shape, *case.shape)
    assert log_prob.shape == (5, *flow.batch_shape)
    np.testing.assert_allclose(flow.log_prob(x), log_prob, rtol=1e-8, atol=1e-8)


@each_function
def test_seed_decides_the_start(name):
    def weights(seed):
        flow = small(name, seed=seed)
        return np.concatenate([np.ravel(v) for v in flow.variables])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert (weights(1) != weights(2)).any()


@each_function
def test_any_base(name):
    vectors = name == "waveglow"
    location = tf.Variable(tf.ones([16] if vectors else SHAPE))
    base = tfd.Independent(tfd.Logistic(location, 1.0), 1 if vectors else 2)
    flow = small(name, base=base)
    assert any(v is location for v in flow.trainable_variables)
    assert np.isfinite(flow.log_prob(tf.zeros(SHAPE)))


@each_function
def test_weights_of_short_series_do_for_long_ones(name):
    """In the middle, from where the ends are not seen, all is the same."""
    short = small(name, (32, 1), context_size=(4, 3), dtype="float64")
    long = small(name, (64, 1), context_size=(8, 3), dtype="float64")
    perturb_image(short.variables)
    for a, b in zip(long.variables, short.variables, strict=True):
        a.assign(b)

    def middle(flow, x, context):
        bijector = tfpf.condition(flow, context).bijector
        # What is computed step by step remembers the beginning for ever.
        z = bijector.forward(x) if name == "parallel_wavenet" else bijector.inverse(x)
        parts = bijector.bijectors[0].latents(z) if name == "waveglow" else [z]
        return [part[part.shape[0] // 2 - 1 : part.shape[0] // 2 + 1] for part in parts]

    x, context = points((64, 1), ()), points((8, 3), ())
    expected = middle(short, x[16:48], context[2:6])
    for a, b in zip(middle(long, x, context), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@each_function
@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"event_shape": 16}, ValueError, "event_shape"),
        ({"event_shape": (4, 4, 1)}, ValueError, "event_shape"),
        ({"event_shape": (16, 0)}, ValueError, "event_shape"),
        ({"event_shape": (16, 1.0)}, TypeError, "event_shape"),
        ({"num_layers": 0}, ValueError, "num_layers"),
        ({"hidden_channels": (4, 0)}, ValueError, "hidden_channels"),
        ({"context_size": -1}, ValueError, "context_size"),
        ({"context_size": (3, 2)}, ValueError, "context_size"),
        ({"context_size": (2, 2, 2)}, ValueError, "context_size"),
        ({"base": tfd.Normal(0.0, 1.0)}, ValueError, "base"),
        ({"seed": -1}, ValueError, "seed"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else None,
)
def test_bad_input_is_named(name, change, error, named):
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        small(name, **{"event_shape": SHAPE, **change})


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"event_shape": (15, 1)}, ValueError, "event_shape"),  # odd lengths cannot be squeezed
        ({"factor": 1}, ValueError, "factor"),
        ({"factor": 2, "num_scales": 1, "event_shape": (6, 1)}, None, None),
        ({"factor": 2, "num_scales": 2}, ValueError, "event_shape"),  # one channel is left
        ({"num_scales": 3, "num_leaving": 2}, ValueError, "event_shape"),
        ({"num_scales": 0}, ValueError, "num_scales"),
        ({"num_leaving": 0}, ValueError, "num_leaving"),
        ({"context_size": (16, 2)}, ValueError, "context_size"),  # more frames than blocks
        ({"kernel_size": 2}, ValueError, "kernel_size"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else None,
)
def test_waveglow_needs_blocks_and_channels(change, error, named):
    options = {"event_shape": SHAPE, **change}
    if error is None:
        small("waveglow", **options)
        return
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        small("waveglow", **options)


# --- A spectrogram as a context -------------------------------------------------------------------


def conditional(name="wavenet", **options):
    flow = small(name, context_size=SPECTROGRAM, **options)
    perturb_image(flow.variables)
    return flow


def test_batch_shape_is_what_comes_before_the_frames():
    flow = conditional()
    x = points(SHAPE, (2, 3), "float32")
    contexts = points(SPECTROGRAM, (2, 3), "float32")
    grid = tfpf.condition(flow, contexts)
    assert grid.batch_shape == [2, 3] and grid.event_shape == SHAPE
    np.testing.assert_array_equal(grid.batch_shape_tensor(), [2, 3])
    values = grid.log_prob(x).numpy()
    for index in ((0, 1), (1, 0), (1, 2)):
        one = tfpf.condition(flow, contexts[index])
        assert one.batch_shape == []
        np.testing.assert_allclose(values[index], one.log_prob(x[index]), rtol=1e-5)
    np.testing.assert_allclose(grid[1, 2].log_prob(x[1, 2]), values[1, 2], rtol=1e-5)
    np.testing.assert_allclose(grid[:, 1].log_prob(x[:, 1]), values[:, 1], rtol=1e-5)
    assert grid.sample(4, seed=1).shape == (4, 2, 3, *SHAPE)
    assert grid.log_prob(points(SHAPE, (5, 1, 1), "float32")).shape == (5, 2, 3)
    # Binding again replaces, and the context matters.
    again = tfpf.condition(grid, contexts[::-1])
    np.testing.assert_allclose(again.log_prob(x[::-1]), values[::-1], rtol=1e-5)
    assert np.abs(again.log_prob(x) - values).max() > 1e-3


def test_gradient_reaches_the_spectrogram():
    flow = conditional("waveglow", dtype="float64")
    x, context = points(SHAPE, (4,)), points(SPECTROGRAM, (4,))
    direction = RNG.normal(size=context.shape)

    def scalar(context):
        return tf.reduce_sum(tfpf.condition(flow, context).log_prob(x))

    with tf.GradientTape() as tape:
        tape.watch(context)
        value = scalar(context)
    exact = np.sum(tape.gradient(value, context) * direction)
    numeric = (scalar(context + 1e-6 * direction) - scalar(context - 1e-6 * direction)) / 2e-6
    assert np.abs(numeric) > 1e-3
    np.testing.assert_allclose(exact, numeric, rtol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3), (2, 2), (6,), (4, 1, 3), (3,)], ids=str)
def test_spectrogram_that_does_not_fit_is_refused(shape):
    flow = conditional()
    wanted = r"`context` must have shape \[..., 2, 3\] for the part 'autoregressive'"
    with pytest.raises(ValueError, match=wanted):
        tfpf.condition(flow, np.zeros(shape))
    model = tfpf.FlowModel(flow)
    x = np.zeros([5, *SHAPE], "float32")
    with pytest.raises(ValueError, match=r"`context` must have shape \[N, 2, 3\]. Received: cont"):
        model.fit(np.zeros([5, *shape]), x)


def test_use_without_a_spectrogram_says_its_shape():
    with pytest.raises(ValueError, match=r"context of shape \[..., 2, 3\].*Received: context=None"):
        conditional().log_prob(np.zeros(SHAPE, "float32"))


def test_contexts_of_unequal_shapes_are_refused():
    other = small("wavenet", context_size=6)
    chain = tfp.bijectors.Chain([conditional().bijector, other.bijector])
    with pytest.raises(ValueError, match=r"autoregressive: \(2, 3\).*autoregressive: 6"):
        tfpf.condition(chain, np.zeros([2, 3]))


def test_is_fitted_by_pairs_scored_and_saved(tmp_path):
    """What the context says of the series is learned: here each frame is a half's level."""
    levels = RNG.normal(size=[600, 2, 1]).astype("float32")
    x = np.repeat(levels, 8, axis=1) + 0.5 * RNG.normal(size=[600, *SHAPE]).astype("float32")
    flow = small("waveglow", context_size=(2, 1), num_scales=1)
    model = tfpf.FlowModel(flow)
    model.compile(keras.optimizers.Adam(2e-2), jit_compile=False)
    model.fit(levels[:500], x[:500], batch_size=100, epochs=15, verbose=0)
    nats = -np.mean(tfpf.condition(flow, levels[500:]).log_prob(x[500:]))
    exact = -tfd.Normal(np.repeat(levels[500:], 8, axis=1), 0.5).log_prob(x[500:])
    exact = np.mean(np.sum(exact, axis=(1, 2)))
    blind = 16 * 0.5 * (1 + np.log(2 * np.pi)) + 0.5 * np.linalg.slogdet(_covariance())[1]
    assert exact < nats < exact + 0.5 * (blind - exact)
    values = model.predict((levels[:7], x[:7]), verbose=0)
    np.testing.assert_allclose(
        tfpf.condition(flow, levels[:7]).log_prob(x[:7]), values, rtol=1e-4, atol=1e-4
    )
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").distribution
    np.testing.assert_array_equal(
        tfpf.condition(loaded, levels[:7]).log_prob(x[:7]),
        tfpf.condition(flow, levels[:7]).log_prob(x[:7]),
    )


def _covariance():
    """Of one series whose levels are not known, less the entropy's constant."""
    same_half = np.kron(np.eye(2), np.ones([8, 8]))
    return same_half + 0.25 * np.eye(16)


@each_recipe
def test_is_saved(case, tmp_path):
    flow, _ = moved(case)
    tfpf.FlowModel(flow).save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").distribution
    x = points(case.shape, (2,))
    if case.context_size:
        context = points(case.context_size, ())
        loaded, flow = tfpf.condition(loaded, context), tfpf.condition(flow, context)
    np.testing.assert_array_equal(loaded.log_prob(x), flow.log_prob(x))


# --- Distillation ---------------------------------------------------------------------------------


def test_student_learns_from_an_autoregressive_teacher():
    """y_t = 0.8 y_(t-1) + 0.5 e_t, by the reverse KL of the student's own samples."""
    steps = 8
    difference = np.eye(steps) - 0.8 * np.eye(steps, k=-1)
    covariance = 0.25 * np.linalg.inv(difference.T @ difference)
    teacher = tfd.MultivariateNormalTriL(
        np.zeros(steps, "float32"), np.linalg.cholesky(covariance).astype("float32")
    )
    student = small("parallel_wavenet", (steps, 1), hidden_channels=(8, 8))
    model = tfpf.VariationalModel(
        student, lambda y: teacher.log_prob(y[..., 0]), num_samples=128, seed=1
    )
    model.compile(keras.optimizers.Adam(2e-2), jit_compile=False)
    before = -model.evaluate(steps=5, verbose=0)
    model.fit(steps_per_epoch=150, verbose=0)
    after = -model.evaluate(steps=20, verbose=0)
    assert before > 5.0
    assert -0.02 < after < 0.25
