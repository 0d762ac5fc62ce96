"""The tasks of a framework on JAX whose density and draws are functions of a tree of weights."""

import jax
import jax.numpy as jnp
import optax
from workloads import LEARNING_RATE


def tasks(weights, sizes, log_prob, sample):
    """The number of weights, and a function for each task.

    Args:
      weights: tree of arrays.
      sizes: a `Workload`.
      log_prob: callable, from weights and rows to log-densities.
      sample: callable, from weights, a key and a number to as many rows.
    """
    optimizer = optax.adam(LEARNING_RATE)
    state = {"weights": weights, "adam": optimizer.init(weights), "seed": 0}
    batch, points = jnp.asarray(sizes.batch()), jnp.asarray(sizes.points())

    @jax.jit
    def train_step(weights, adam, x):
        loss, gradients = jax.value_and_grad(lambda w: -log_prob(w, x).mean())(weights)
        updates, adam = optimizer.update(gradients, adam, weights)
        return loss, optax.apply_updates(weights, updates), adam

    log_prob_of = jax.jit(log_prob)
    sample_of = jax.jit(lambda weights, key: sample(weights, key, sizes.num_samples))

    def train():
        result = train_step(state["weights"], state["adam"], batch)
        _, state["weights"], state["adam"] = jax.block_until_ready(result)

    def score():
        jax.block_until_ready(log_prob_of(state["weights"], points))

    def draw():
        state["seed"] += 1
        jax.block_until_ready(sample_of(state["weights"], jax.random.key(state["seed"])))

    num_weights = sum(leaf.size for leaf in jax.tree.leaves(weights))
    return num_weights, {"train": train, "log_prob": score, "sample": draw}
