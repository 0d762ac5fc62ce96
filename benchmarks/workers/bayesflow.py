"""The workloads in BayesFlow 2 on the JAX backend of Keras, under XLA."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import bayesflow
import jax
import keras
from jax_tasks import tasks
from workloads import BOUND, NUM_BINS

VERSIONS = ("bayesflow", "keras", "jax", "optax")


def _network(transform, **transform_kwargs):
    def make(sizes):
        return bayesflow.networks.CouplingFlow(
            depth=sizes.num_layers // 2,  # one of its layers is two couplings
            transform=transform,
            permutation=None,
            use_actnorm=False,
            subnet_kwargs={
                "widths": sizes.hidden_units,
                "activation": "relu",
                "residual": False,
                "dropout": None,
            },
            transform_kwargs=transform_kwargs,
        )

    return make


NETWORKS = {
    "affine_coupling": _network("affine", clamp=False),
    # It also learns the start and the length of the interval: four more numbers per coordinate.
    "spline_coupling": _network(
        "spline",
        bins=NUM_BINS,
        default_domain=(-BOUND, BOUND, -BOUND, BOUND),
        min_bin_width=1e-3,
        min_bin_height=1e-3,
    ),
}


def _workload(make):
    def build(sizes):
        network = make(sizes)
        network.build((None, sizes.event_size))
        fixed = [variable.value for variable in network.non_trainable_variables]

        def call(weights, x, **kwargs):
            return network.stateless_call(weights, fixed, x, **kwargs)[0]

        def log_prob(weights, x):
            return call(weights, x, density=True)[1]

        def sample(weights, key, number):
            # Its base draws with a state that is kept outside of the compiled function.
            z = jax.random.normal(key, (number, sizes.event_size))
            return call(weights, z, inverse=True)

        weights = [variable.value for variable in network.trainable_variables]
        return tasks(weights, sizes, log_prob, sample)

    return build


WORKLOADS = {name: _workload(make) for name, make in NETWORKS.items()}


def fit(name, sizes, train, validation, epochs, patience, seed, after_epoch):
    """Fits as a user would: its workflow, offline, with early stopping."""
    workflow = bayesflow.BasicWorkflow(
        inference_network=NETWORKS[name](sizes),
        inference_variables=["x"],
        standardize=None,
        optimizer=keras.optimizers.Adam(sizes.learning_rate),
    )

    def log_prob(rows):
        return workflow.log_prob({"x": rows})

    def at_epoch_end(epoch, logs):
        after_epoch(-float(logs["val_loss"]), log_prob)

    workflow.fit_offline(
        {"x": train},
        epochs=epochs,
        batch_size=sizes.batch_size,
        validation_data={"x": validation},
        callbacks=[
            keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True),
            keras.callbacks.LambdaCallback(on_epoch_end=at_epoch_end),
        ],
        verbose=0,
    )
    return log_prob, lambda: workflow.sample(num_samples=sizes.num_samples)["x"]
