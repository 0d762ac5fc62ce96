"""The workloads in TFP's own bijectors with its own Keras, on TensorFlow's CPU backend, under XLA.

FFJORD runs in graph mode: under XLA the gradient of its exact trace fails, and all else is slower.
"""

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability.python.bijectors import ffjord
from workloads import BOUND, LEARNING_RATE, NUM_BINS, TOLERANCE, field_weights

tfb, tfd = tfp.bijectors, tfp.distributions
VERSIONS = ("tensorflow-probability", "tensorflow", "tf_keras")
SPLINE_SIZE = 3 * NUM_BINS - 1


def _tasks(bijectors, networks, sizes, jit_compile=True):
    """The number of weights, and a function for each task."""
    flow = tfd.TransformedDistribution(
        tfd.Sample(tfd.Normal(0.0, 1.0), sizes.event_size), tfb.Chain(bijectors)
    )
    weights = [weight for network in networks for weight in network.trainable_variables]
    optimizer = tf_keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(weights)
    batch, points = tf.constant(sizes.batch()), tf.constant(sizes.points())
    function = functools.partial(tf.function, jit_compile=jit_compile, autograph=False)
    state = {"seed": 0}

    @function
    def train_step(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    @function
    def log_prob(x):
        return flow.log_prob(x)

    @function
    def sample(seed):
        return flow.sample(sizes.num_samples, seed=seed)

    def draw():
        state["seed"] += 1
        return sample(tf.constant([state["seed"], 0])).numpy()

    return sum(weight.shape.num_elements() for weight in weights), {
        "train": lambda: train_step(batch).numpy(),
        "log_prob": lambda: log_prob(points).numpy(),
        "sample": draw,
    }


def _mlp(inputs, hidden_units, outputs, activation="relu"):
    layers = [tf_keras.layers.Dense(units, activation) for units in hidden_units]
    network = tf_keras.Sequential([*layers, tf_keras.layers.Dense(outputs)])
    network.build((None, inputs))
    return network


def _spline(params):
    """A spline of raw parameters `[..., SPLINE_SIZE]`, as in TFP's documentation."""
    widths, heights, slopes = tf.split(params, [NUM_BINS, NUM_BINS, NUM_BINS - 1], axis=-1)
    least = 1e-3

    def bins(raw):
        return tf.nn.softmax(raw) * (2.0 * BOUND - NUM_BINS * least) + least

    return tfb.RationalQuadraticSpline(
        bins(widths), bins(heights), tf.nn.softplus(slopes) + least, range_min=-BOUND
    )


def _coupling(params_size, make):
    def build(sizes):
        half = sizes.event_size // 2
        networks, layers = [], []
        for i in range(sizes.num_layers):
            network = _mlp(half, sizes.hidden_units, half * params_size)
            networks.append(network)
            # A negative number masks the last.
            layers.append(tfb.RealNVP(half if i % 2 == 0 else -half, **make(network)))
        return _tasks(layers, networks, sizes)

    return build


def _affine_coupling(network):
    def shift_and_log_scale(x, output_units, **condition_kwargs):
        return tf.split(network(x), 2, axis=-1)

    return {"shift_and_log_scale_fn": shift_and_log_scale}


def _spline_coupling(network):
    def bijector(x, output_units, **condition_kwargs):
        params = tf.reshape(network(x), [-1, output_units, SPLINE_SIZE])
        return _spline(params)

    return {"bijector_fn": bijector}


def _autoregressive(params_size, make):
    def build(sizes):
        networks, layers = [], []
        for i in range(sizes.num_layers):
            network = tfb.AutoregressiveNetwork(
                params_size,
                event_shape=[sizes.event_size],
                hidden_units=list(sizes.hidden_units),
                input_order="right-to-left" if i % 2 else "left-to-right",
                activation="relu",
            )
            network.build([None, sizes.event_size])
            networks.append(network)
            layers.append(tfb.MaskedAutoregressiveFlow(**make(network)))
        return _tasks(layers, networks, sizes)

    return build


def _affine_autoregressive(network):
    return {"shift_and_log_scale_fn": lambda x: tf.unstack(network(x), num=2, axis=-1)}


def _spline_autoregressive(network):
    return {"bijector_fn": lambda x: _spline(network(x))}


def _ffjord(trace):
    def build(sizes):
        network = _mlp(sizes.event_size + 1, sizes.hidden_units, sizes.event_size, "tanh")
        network.set_weights(field_weights(sizes))

        def velocity(t, z):
            t = tf.broadcast_to(tf.cast(t, z.dtype), [*z.shape[:-1], 1])
            return network(tf.concat([z, t], axis=-1))

        bijector = tfb.FFJORD(
            velocity,
            ode_solve_fn=tfp.math.ode.DormandPrince(rtol=TOLERANCE, atol=TOLERANCE).solve,
            trace_augmentation_fn=trace,
        )
        return _tasks([bijector], [network], sizes, jit_compile=False)

    return build


WORKLOADS = {
    "affine_coupling": _coupling(2, _affine_coupling),
    "spline_coupling": _coupling(SPLINE_SIZE, _spline_coupling),
    "spline_autoregressive": _autoregressive(SPLINE_SIZE, _spline_autoregressive),
    "maf": _autoregressive(2, _affine_autoregressive),
    "maf63": _autoregressive(2, _affine_autoregressive),
    "ffjord2": _ffjord(ffjord.trace_jacobian_exact),
    "ffjord6": _ffjord(ffjord.trace_jacobian_exact),
    "ffjord6_hutchinson": _ffjord(ffjord.trace_jacobian_hutchinson),
}
