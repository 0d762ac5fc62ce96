"""The tasks of a JAX framework whose density and samples are functions of a tree of weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax


def tasks(weights, sizes, log_prob, sample):
    """The number of weights, and a function for each task.

    The tasks that train and score also take other rows.

    Args:
      weights: tree of arrays.
      sizes: a `Workload`.
      log_prob: callable, from weights and rows to log-densities.
      sample: callable, from weights, a key and a number to that many rows.
    """
    optimizer = optax.adam(sizes.learning_rate)
    state = {"weights": weights, "adam": optimizer.init(weights), "seed": 0}
    batch, points = jnp.asarray(sizes.batch()), jnp.asarray(sizes.points())

    @jax.jit
    def train_step(weights, adam, x):
        loss, gradients = jax.value_and_grad(lambda w: -log_prob(w, x).mean())(weights)
        updates, adam = optimizer.update(gradients, adam, weights)
        return loss, optax.apply_updates(weights, updates), adam

    log_prob_of = jax.jit(log_prob)
    sample_of = jax.jit(lambda weights, key: sample(weights, key, sizes.num_samples))

    def train(rows=None):
        result = train_step(state["weights"], state["adam"], batch if rows is None else rows)
        loss, state["weights"], state["adam"] = jax.block_until_ready(result)
        return float(loss)

    def score(rows=None):
        return np.asarray(log_prob_of(state["weights"], points if rows is None else rows))

    def draw():
        state["seed"] += 1
        jax.block_until_ready(sample_of(state["weights"], jax.random.key(state["seed"])))

    num_weights = sum(leaf.size for leaf in jax.tree.leaves(weights))
    return num_weights, {"train": train, "log_prob": score, "sample": draw}
