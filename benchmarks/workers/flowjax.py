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
from flowjax.train import fit_to_data
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
        # A key, since `filter_jit` would compile an integer in, again for every call.
        key = jax.random.key(state["seed"])
        jax.block_until_ready(sample_of(state["weights"], key))

    num_weights = sum(leaf.size for leaf in jax.tree.leaves(weights))
    return num_weights, {"train": train, "log_prob": log_prob, "sample": sample}


def _conditioned(flow, spline=False):
    def build(sizes):
        kwargs = {}
        if spline:
            kwargs["transformer"] = _spline()
        width, *others = sizes.hidden_units
        return flow(
            jax.random.key(sizes.seed),
            base_dist=_base(sizes),
            flow_layers=sizes.num_layers,
            nn_width=width,
            nn_depth=1 + len(others),
            **kwargs,
        )

    return build


def bnaf(sizes):
    return flows.block_neural_autoregressive_flow(
        jax.random.key(sizes.seed),
        base_dist=_base(sizes),
        flow_layers=sizes.num_layers,
        nn_depth=len(sizes.hidden_units),
        nn_block_dim=sizes.hidden_units[0],
    )


def planar(sizes):
    return flows.planar_flow(
        jax.random.key(sizes.seed),
        base_dist=_base(sizes),
        flow_layers=sizes.num_layers,
        negative_slope=NEGATIVE_SLOPE,
    )


def _spline():
    """FlowJAX's spline with the slopes at both ends fixed at one, as in the other frameworks."""
    # It counts the inner knots, one fewer than bins.
    spline = RationalQuadraticSpline(knots=NUM_BINS - 1, interval=BOUND)

    def positive(raw):
        # FlowJAX unwraps stacked layers at once, so only the last axis is that of the knots.
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


FLOWS = {
    "affine_coupling": _conditioned(flows.coupling_flow),
    "spline_coupling": _conditioned(flows.coupling_flow, spline=True),
    "spline_autoregressive": _conditioned(flows.masked_autoregressive_flow, spline=True),
    "maf": _conditioned(flows.masked_autoregressive_flow),
    "maf63": _conditioned(flows.masked_autoregressive_flow),
    "bnaf": bnaf,
    "planar": planar,
}


def _workload(flow):
    return lambda sizes: tasks(flow(sizes), sizes)


WORKLOADS = {name: _workload(flow) for name, flow in FLOWS.items()}


def fit(name, sizes, train, validation, epochs, patience, seed, after_epoch):
    """Fits as a user would: `fit_to_data`, which chooses the validation rows itself.

    It has no callbacks, so nothing is known about epochs before the last.
    """
    del after_epoch
    rows = np.concatenate([train, validation])
    flow, _ = fit_to_data(
        jax.random.key(seed),
        FLOWS[name](sizes),
        rows,
        learning_rate=sizes.learning_rate,
        max_epochs=epochs,
        max_patience=patience,
        batch_size=sizes.batch_size,
        val_prop=len(validation) / len(rows),
        show_progress=False,
    )
    flow = paramax.unwrap(flow)
    log_prob, sample = eqx.filter_jit(flow.log_prob), eqx.filter_jit(flow.sample)
    return (
        lambda rows: np.asarray(log_prob(rows)),
        lambda: np.asarray(sample(jax.random.key(seed), (sizes.num_samples,))),
    )
