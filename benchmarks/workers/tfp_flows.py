"""The workloads in this package, on TensorFlow's CPU backend, under XLA."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from workloads import (
    BOUND,
    COEFFICIENT,
    DEGREE,
    MORE_TERMS,
    NUM_BINS,
    NUM_POLYNOMIALS,
    NUM_TERMS,
    TOLERANCE,
    field_weights,
)

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors
VERSIONS = ("tfp_flows", "tensorflow", "tensorflow-probability", "keras")


def tasks(flow, sizes):
    """The number of weights, and a function for each task.

    The tasks that train and score also take other rows.
    """
    model = tfpf.FlowModel(flow)
    if sizes.is_timed:
        draw_zero_kernels(model)
    batch, points = tf.constant(sizes.batch()), tf.constant(sizes.points())
    state = {"seed": 0}
    # Residual flows and estimated traces behave differently in training.
    step = train_step(
        lambda x: -tf.reduce_mean(model(x, training=True)), model, sizes.learning_rate
    )

    @tf.function(jit_compile=True, autograph=False)
    def log_prob(x):
        return flow.log_prob(x)

    @tf.function(jit_compile=True, autograph=False)
    def sample(seed):
        return flow.sample(sizes.num_samples, seed=seed)

    def next_seed():
        state["seed"] += 1
        return tf.constant([state["seed"], 0])

    num_weights = sum(np.prod(variable.shape) for variable in model.trainable_variables)
    return num_weights, {
        "train": lambda rows=None: step(batch if rows is None else tf.constant(rows)).numpy(),
        "log_prob": lambda rows=None: log_prob(
            points if rows is None else tf.constant(rows)
        ).numpy(),
        "sample": lambda: sample(next_seed()).numpy(),
    }


def train_step(loss_of, model, learning_rate):
    """A compiled Adam step of the layer `model`, a callable from rows to the loss."""
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=True, autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            loss = loss_of(x)
        weights = [variable.value for variable in model.trainable_variables]
        optimizer.apply(tape.gradient(loss, weights), model.trainable_variables)
        return loss

    return step


def draw_zero_kernels(model):
    """Draws kernels that start at zero as torch does, since searches would be too easy."""
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) == 2 and not np.any(variable.numpy()):
            limit = 1.0 / np.sqrt(variable.shape[0])
            variable.assign(rng.uniform(-limit, limit, variable.shape))


def affine_coupling(sizes):
    return tfpf.flows.real_nvp(sizes.event_size, **_networks(sizes))


def maf(sizes):
    return tfpf.flows.maf(sizes.event_size, **_networks(sizes))


def spline_coupling(sizes):
    """Built from parts, since the recipe has residual networks and linear layers; peers do not."""
    size, kwargs = sizes.event_size, {"num_bins": NUM_BINS, "bound": BOUND}
    layers = []
    for i in range(sizes.num_layers):
        params_size = B.RationalQuadraticSpline.params_size(**kwargs)
        seed = sizes.num_layers * sizes.seed + i
        network = tfpf.layers.MLP(
            size // 2 * params_size, sizes.hidden_units, seed=seed, **_full_rate(sizes)
        )
        network.build((None, size // 2))
        mask = [(j < size // 2) == (i % 2 == 0) for j in range(size)]
        layer = B.Coupling(
            network, B.RationalQuadraticSpline, kwargs, mask, raw_scale=_raw_scale(sizes)
        )
        layers.append(layer)
    return _flow(layers, size)


def spline_autoregressive(sizes):
    size, kwargs = sizes.event_size, {"num_bins": NUM_BINS, "bound": BOUND}
    layers = []
    for i in range(sizes.num_layers):
        params_size = B.RationalQuadraticSpline.params_size(**kwargs)
        order = "reverse" if i % 2 else None
        seed = sizes.num_layers * sizes.seed + i
        network = tfpf.layers.MADE(
            size, params_size, sizes.hidden_units, order=order, seed=seed, **_full_rate(sizes)
        )
        network.build((None, size))
        layer = B.Autoregressive(
            network, B.RationalQuadraticSpline, kwargs, raw_scale=_raw_scale(sizes)
        )
        layers.append(layer)
    return _flow(layers, size)


def _raw_scale(sizes):
    """The scale of the spline recipe, with which raw parameters move less in the first steps."""
    return float(0.6 / np.sqrt(sizes.hidden_units[-1]))


def _full_rate(sizes):
    """The factor of the recipe on the last bias, which is one number and not a sum of many."""
    return {"output_bias_scale": 1.0 / _raw_scale(sizes)}


def umnn(sizes):
    """The integrand's width makes the number of weights equal to Zuko's."""
    return tfpf.flows.umnn(sizes.event_size, integrand_units=(32,), **_networks(sizes))


def sos(sizes):
    return tfpf.flows.sos(
        sizes.event_size, num_polynomials=NUM_POLYNOMIALS, degree=DEGREE, **_networks(sizes)
    )


def naf(sizes):
    """Two layers of 16 sigmoids make the number of weights equal to Zuko's."""
    return tfpf.flows.naf(sizes.event_size, num_sigmoid_layers=2, num_units=16, **_networks(sizes))


def bnaf(sizes):
    return tfpf.flows.bnaf(
        sizes.event_size, num_layers=sizes.num_layers, hidden_units=sizes.hidden_units, seed=0
    )


def planar(sizes):
    return tfpf.flows.planar(
        sizes.event_size, num_layers=sizes.num_layers, nonlinearity="leaky_relu", seed=0
    )


def residual(sizes):
    return tfpf.flows.residual(
        sizes.event_size,
        coefficient=COEFFICIENT,
        num_terms=NUM_TERMS,
        survival=MORE_TERMS,
        **_networks(sizes),
    )


def _ffjord(trace):
    def build(sizes):
        field = tfpf.layers.VectorField(sizes.event_size, sizes.hidden_units, "tanh")
        field.build()
        field.set_weights(field_weights(sizes))
        bijector = B.Continuous(
            field,
            rtol=TOLERANCE,
            atol=TOLERANCE,
            trace=trace,
            # The recipe's densities are exact; here they are estimated, as those of the peers are.
            noise=B.HutchinsonNoise(in_inference=True, seed=0),
        )
        return _flow([bijector], sizes.event_size)

    return build


def _networks(sizes):
    return {"num_layers": sizes.num_layers, "hidden_units": sizes.hidden_units, "seed": sizes.seed}


def _flow(layers, size):
    return tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), size), tfb.Chain(layers))


FLOWS = {
    "affine_coupling": affine_coupling,
    "spline_coupling": spline_coupling,
    "spline_autoregressive": spline_autoregressive,
    "maf": maf,
    "maf63": maf,
    "umnn": umnn,
    "sos": sos,
    "naf": naf,
    "bnaf": bnaf,
    "planar": planar,
    "residual": residual,
    "ffjord2": _ffjord("exact"),
    "ffjord6": _ffjord("exact"),
    "ffjord6_hutchinson": _ffjord("hutchinson"),
}


def _workload(flow):
    return lambda sizes: tasks(flow(sizes), sizes)


WORKLOADS = {name: _workload(flow) for name, flow in FLOWS.items()}


def fit(name, sizes, train, validation, epochs, patience, seed, after_epoch):
    """Fits as a user would, with early stopping. Returns `log_prob` and `sample`."""
    model = tfpf.FlowModel(FLOWS[name](sizes))
    model.compile(keras.optimizers.Adam(sizes.learning_rate), jit_compile=True)

    def log_prob(rows):
        return model.predict(rows, batch_size=10_000, verbose=0)

    def at_epoch_end(epoch, logs):
        after_epoch(-float(logs["val_loss"]), log_prob)

    model.fit(
        train,
        batch_size=sizes.batch_size,
        epochs=epochs,
        validation_data=validation,
        validation_batch_size=10_000,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True),
            keras.callbacks.LambdaCallback(on_epoch_end=at_epoch_end),
        ],
        verbose=0,
    )
    return log_prob, lambda: model.distribution.sample(sizes.num_samples, seed=seed).numpy()
