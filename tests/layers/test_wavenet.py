"""The network over time: what each step sees, its contexts, generation, what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from audio_cases import wavenet
from image_cases import perturb_image, points

import tfp_flows as tfpf
from tfp_flows.layers import WaveNet

T = 12
SPECTROGRAM = (4, 3)
each_context = pytest.mark.parametrize("context_size", [0, 3, SPECTROGRAM], ids=str)


def made(context_size=0, num_channels=2, output_channels=4, scale=1.0, steps=T, **options):
    """A network away from its start."""
    options = {"hidden_channels": (5, 5, 5), **options}
    network = wavenet((steps, num_channels), output_channels, "float64", context_size, **options)
    perturb_image(network.variables, scale)
    return network


def given(context_size, num_rows, seed=3):
    """The keyword of a context."""
    shape = tfpf._checks.context_shape(context_size)
    return {"context": points(shape, (num_rows,), seed=seed)} if context_size else {}


def seen(function, x):
    """Whether each step of what `function` gives depends on each step of x: `[T, T]` or so."""
    # One gradient of as many copies of x as there are outputs: a copy for each.
    size = function(x).shape[1:].num_elements()
    copies = tf.repeat(x, size, axis=0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        h = function(copies)
        one_each = tf.linalg.trace(tf.reshape(h, [size, size]))
    by_output = np.reshape(tape.gradient(one_each, copies), [*h.shape[1:], *x.shape[1:]])
    return np.abs(by_output).sum(axis=(1, 3)) > 0


@each_context
@pytest.mark.parametrize("causal", [False, True])
def test_starts_at_zero(causal, context_size):
    network = wavenet((T, 2), 4, "float32", context_size, causal=causal)
    context = {name: tf.cast(c, tf.float32) for name, c in given(context_size, 3).items()}
    h = network(points((T, 2), (3,), "float32"), **context)
    assert h.shape == (3, T, 4) and h.dtype == tf.float32
    np.testing.assert_array_equal(h, 0.0)


@pytest.mark.parametrize(
    ("options", "back", "ahead"),
    [
        ({"causal": True, "kernel_size": 2}, range(1, 9), ()),  # 1 + (1 + 2 + 4) steps
        ({"causal": True, "kernel_size": 3, "dilations": (1, 1, 2)}, range(1, 10), ()),
        ({"kernel_size": 3, "dilations": (1, 1, 2)}, range(0, 5), range(1, 5)),
        # Sums of 0 or 5 and of 0 or 1 steps.
        ({"causal": True, "kernel_size": 2, "dilations": (5, 1, 1)}, (1, 2, 3, 6, 7, 8), ()),
    ],
    ids=str,
)
def test_each_step_sees_its_own_past_and_no_more(options, back, ahead):
    network = made(**options)
    distance = np.arange(T)[:, np.newaxis] - np.arange(T)
    expected = np.isin(distance, list(back)) | np.isin(-distance, list(ahead))
    np.testing.assert_array_equal(seen(network, points((T, 2), (1,))), expected)


def test_each_step_sees_its_frame_and_the_two_beside():
    network = made(SPECTROGRAM, hidden_channels=(5,), kernel_size=1)
    x = points((T, 2), (1,))
    depends = seen(
        lambda c: network(tf.repeat(x, len(c), axis=0), context=c), given(SPECTROGRAM, 1)["context"]
    )
    frame = np.arange(T)[:, np.newaxis] * SPECTROGRAM[0] // T
    np.testing.assert_array_equal(depends, np.abs(frame - np.arange(SPECTROGRAM[0])) <= 1)


def test_steps_of_one_frame_are_told_apart():
    """Upsampling is learned, not a repetition."""
    network = made(SPECTROGRAM, hidden_channels=(5,), kernel_size=1)
    h = network(tf.zeros([1, T, 2], tf.float64), **given(SPECTROGRAM, 1))[0].numpy()
    assert np.abs(np.diff(h, axis=0)).min() > 1e-6


@pytest.mark.parametrize("context_size", [0, SPECTROGRAM], ids=str)
def test_generates_what_evaluation_step_by_step_gives(context_size):
    """Values, log-determinants and gradients. XLA is the contract's: see `audio_cases.py`."""
    network = made(context_size, hidden_channels=(4, 4), kernel_size=2, causal=True)
    as_function = tfpf.bijectors.Autoregressive(
        lambda y, **context: network(y, **context),
        context_size=context_size,
        dtype=tf.float64,
        event_ndims=2,
    )
    generating = tfpf.bijectors.Autoregressive(network, context_size=context_size, event_ndims=2)
    x = points((T, 2), (3,))
    variables = [v.value for v in network.trainable_variables]

    def everything(bijector):
        if context_size:
            bijector = tfpf.condition(bijector, given(context_size, 3)["context"])
        x_0 = tf.identity(x)
        with tf.GradientTape() as tape:
            tape.watch(x_0)
            y, log_det = bijector.forward(x_0), bijector.forward_log_det_jacobian(x_0, 2)
            scalar = tf.reduce_sum(tf.asinh(y)) + tf.reduce_sum(log_det)
        return y, log_det, tape.gradient(scalar, [x_0, *variables])

    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9),
        everything(generating),
        everything(as_function),
    )


def test_function_is_evaluated_step_by_step_under_xla():
    """A conditioner that cannot generate; here each step is shifted by the sum of those before."""

    def conditioner(y):
        return tf.stack([tf.cumsum(y, axis=1, exclusive=True), 0.1 * tf.ones_like(y)], axis=-1)

    bijector = tfpf.bijectors.Autoregressive(conditioner, event_ndims=2, dtype=tf.float64)
    x = points((5, 2), (3,))
    compiled = tf.function(bijector.forward, jit_compile=True, autograph=False)(x)
    y = np.zeros([3, 5, 2])
    for t in range(5):
        y[:, t] = np.exp(0.1) * x[:, t] + y[:, :t].sum(axis=1)
    np.testing.assert_allclose(compiled, y, rtol=1e-12)
    np.testing.assert_allclose(bijector.forward(x), y, rtol=1e-12)
    np.testing.assert_allclose(bijector.inverse(tf.constant(y)), x, rtol=1e-10)
    np.testing.assert_allclose(bijector.forward_log_det_jacobian(x, 2), np.full(3, 1.0), rtol=1e-12)


def test_seed_decides_the_start_and_no_two_kernels_are_alike():
    def weights(seed):
        network = wavenet((T, 2), 4, "float32", SPECTROGRAM, hidden_channels=(5, 5, 5), seed=seed)
        return [v.numpy() for v in network.variables]

    for a, b in zip(weights(1), weights(1), strict=True):
        np.testing.assert_array_equal(a, b)
    drawn, others = ([w for w in weights(seed) if w.any()] for seed in (1, 2))
    assert all((a != b).any() for a, b in zip(drawn, others, strict=True))
    assert len({w.tobytes() for w in drawn}) == len(drawn) > 5


def test_is_made_again_from_its_configuration():
    network = made(SPECTROGRAM, causal=True, kernel_size=2, dilations=(1, 3, 2))
    config = keras.saving.serialize_keras_object(network)
    again = keras.saving.deserialize_keras_object(config)
    again.set_weights(network.get_weights())
    x = points((T, 2), (2,))
    context = given(SPECTROGRAM, 2)
    np.testing.assert_array_equal(again(x, **context), network(x, **context))


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"output_channels": 0}, ValueError, "output_channels"),
        ({"hidden_channels": ()}, ValueError, "hidden_channels"),
        ({"hidden_channels": (4, 5)}, ValueError, "hidden_channels"),
        ({"hidden_channels": 4}, TypeError, "hidden_channels"),
        ({"kernel_size": 2}, ValueError, "kernel_size"),
        ({"kernel_size": 0, "causal": True}, ValueError, "kernel_size"),
        ({"dilations": (1, 2)}, ValueError, "dilations"),
        ({"dilations": (0,)}, ValueError, "dilations"),
        ({"context_size": (4,)}, ValueError, "context_size"),
        ({"context_size": (4, 3, 2)}, ValueError, "context_size"),
        ({"context_size": (5, 3)}, ValueError, "context_size"),  # 5 does not divide 12
        ({"context_size": (24, 3)}, ValueError, "context_size"),
        ({"context_size": (4, 1.5)}, TypeError, "context_size"),
        ({"seed": -1}, ValueError, "seed"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_bad_input_is_named(change, error, named):
    options = {"output_channels": 4, "hidden_channels": (4,), **change}
    with pytest.raises(error, match=f"`{named}`.*Received: "):
        network = WaveNet(**options)
        shape = (None, *tfpf._checks.context_shape(network.context_size))
        network.build((None, T, 2), shape if network.context_size else None)


def test_shapes_that_do_not_fit_are_refused():
    network = made(SPECTROGRAM)
    x, context = points((T, 2), (2,)), given(SPECTROGRAM, 2)["context"]
    for bad in (x[0], x[:, :6], x[..., :1]):
        with pytest.raises(ValueError, match=r"takes `x` of shape .*\(12, 2\).*Received: x.shape"):
            network(bad, context=context)
    for bad in (None, context[:, :2], context[..., 0]):
        with pytest.raises(ValueError, match=r"takes a `context` of shape \[N, 4, 3\].*Received: "):
            network(x, context=bad)
    with pytest.raises(ValueError, match=r"takes no `context`. Received: .*\(2, 4, 3\)"):
        made()(x, context=context)
    with pytest.raises(ValueError, match="must be `causal`.*Received: causal=False"):
        network.generate(lambda h, x: (x, x), x, context)
