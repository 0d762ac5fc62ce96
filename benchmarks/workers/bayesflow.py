"""The workloads in BayesFlow 2 on the JAX backend of Keras, under XLA."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import bayesflow
import jax
from jax_tasks import tasks
from workloads import BOUND, NUM_BINS

VERSIONS = ("bayesflow", "keras", "jax", "optax")


def _coupling(transform, **transform_kwargs):
    def build(sizes):
        network = bayesflow.networks.CouplingFlow(
            depth=sizes.num_layers // 2,  # a layer of its own is two couplings
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
        network.build((None, sizes.event_size))
        fixed = [variable.value for variable in network.non_trainable_variables]

        def call(weights, x, **kwargs):
            return network.stateless_call(weights, fixed, x, **kwargs)[0]

        def log_prob(weights, x):
            return call(weights, x, density=True)[1]

        def sample(weights, key, number):
            # Its base draws by a state that is kept outside of what is compiled.
            z = jax.random.normal(key, (number, sizes.event_size))
            return call(weights, z, inverse=True)

        weights = [variable.value for variable in network.trainable_variables]
        return tasks(weights, sizes, log_prob, sample)

    return build


WORKLOADS = {
    "affine_coupling": _coupling("affine", clamp=False),
    # It also learns where the interval begins and how long it is: four numbers a coordinate more.
    "spline_coupling": _coupling(
        "spline",
        bins=NUM_BINS,
        default_domain=(-BOUND, BOUND, -BOUND, BOUND),
        min_bin_width=1e-3,
        min_bin_height=1e-3,
    ),
}
