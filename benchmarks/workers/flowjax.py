"""The workloads in FlowJAX, on JAX's CPU backend, under XLA."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import paramax
from flowjax import flows
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import Normal
from workloads import BOUND, NEGATIVE_SLOPE, NUM_BINS

VERSIONS = ("flowjax", "jax", "equinox", "optax")


def tasks(flow, sizes):
    """The number of weights, and a function for each task."""
    is_leaf = lambda leaf: isinstance(leaf, paramax.NonTrainable)  # noqa: E731
    weights, static = eqx.partition(flow, eqx.is_inexact_array, is_leaf=is_leaf)
    optimizer = optax.adam(sizes.learning_rate)
    state = {"weights": weights, "adam": optimizer.init(weights), "seed": 0}
    batch, points = jnp.asarray(sizes.batch()), jnp.asarray(sizes.points())

    def restored(weights):
        return paramax.unwrap(eqx.combine(weights, static, is_leaf=is_leaf))

    @eqx.filter_jit
    def train_step(weights, adam, x):
        def loss_of(weights):
            return -restored(weights).log_prob(x).mean()

        loss, gradients = jax.value_and_grad(loss_of)(weights)
        updates, adam = optimizer.update(gradients, adam, weights)
        return loss, optax.apply_updates(weights, updates), adam

    @eqx.filter_jit
    def log_prob_of(weights, x):
        return restored(weights).log_prob(x)

    @eqx.filter_jit
    def sample_of(weights, key):
        return restored(weights).sample(key, (sizes.num_samples,))

    def train(rows=None):
        result = train_step(state["weights"], state["adam"], batch if rows is None else rows)
        loss, state["weights"], state["adam"] = jax.block_until_ready(result)
        return float(loss)

    def log_prob(rows=None):
        return np.asarray(log_prob_of(state["weights"], points if rows is None else rows))

    def sample():
        state["seed"] += 1
        # A key, not an integer, which `filter_jit` would compile in, anew for every call.
        key = jax.random.key(state["seed"])
        jax.block_until_ready(sample_of(state["weights"], key))

    num_weights = sum(leaf.size for leaf in jax.tree.leaves(weights))
    return num_weights, {"train": train, "log_prob": log_prob, "sample": sample}


def _workload(flow, spline=False):
    def build(sizes):
        kwargs = {}
        if spline:
            kwargs["transformer"] = _spline()
        width, *others = sizes.hidden_units
        return tasks(
            flow(
                jax.random.key(sizes.seed),
                base_dist=_base(sizes),
                flow_layers=sizes.num_layers,
                nn_width=width,
                nn_depth=1 + len(others),
                **kwargs,
            ),
            sizes,
        )

    return build


def bnaf(sizes):
    flow = flows.block_neural_autoregressive_flow(
        jax.random.key(sizes.seed),
        base_dist=_base(sizes),
        flow_layers=sizes.num_layers,
        nn_depth=len(sizes.hidden_units),
        nn_block_dim=sizes.hidden_units[0],
    )
    return tasks(flow, sizes)


def planar(sizes):
    flow = flows.planar_flow(
        jax.random.key(sizes.seed),
        base_dist=_base(sizes),
        flow_layers=sizes.num_layers,
        negative_slope=NEGATIVE_SLOPE,
    )
    return tasks(flow, sizes)


def _spline():
    """FlowJAX's spline with the slopes at both ends held at one, as everywhere else."""
    # It counts the knots inside, one fewer than bins.
    spline = RationalQuadraticSpline(knots=NUM_BINS - 1, interval=BOUND)

    def positive(raw):
        # FlowJAX unwraps stacked layers in one go: only the last axis is that of the knots.
        widths = [(0, 0)] * (raw.ndim - 1) + [(1, 1)]
        return jnp.pad(jax.nn.softplus(raw) + 1e-3, widths, constant_values=1.0)

    slopes = paramax.Parameterize(
        positive,
        jnp.full(NUM_BINS - 1, paramax.utils.inv_softplus(1.0 - 1e-3)),
    )
    return eqx.tree_at(lambda spline: spline.derivatives, spline, slopes)


def _base(sizes):
    # Not trained, as in every other framework.
    return paramax.non_trainable(Normal(jnp.zeros(sizes.event_size)))


WORKLOADS = {
    "affine_coupling": _workload(flows.coupling_flow),
    "spline_coupling": _workload(flows.coupling_flow, spline=True),
    "spline_autoregressive": _workload(flows.masked_autoregressive_flow, spline=True),
    "maf": _workload(flows.masked_autoregressive_flow),
    "maf63": _workload(flows.masked_autoregressive_flow),
    "bnaf": bnaf,
    "planar": planar,
}
