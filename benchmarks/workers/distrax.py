"""The workloads in distrax, on JAX's CPU backend, under XLA, with networks of our own."""

import functools

import distrax
import jax
import jax.numpy as jnp
from jax_tasks import tasks
from workloads import BOUND, NUM_BINS

VERSIONS = ("distrax", "jax", "optax")


def _network(key, widths):
    """Kernels and biases, drawn as torch draws its own."""
    weights = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        key, *both = jax.random.split(key, 3)
        limit = inputs**-0.5
        shapes = (inputs, outputs), (outputs,)
        weights.append(
            [
                jax.random.uniform(one, shape, minval=-limit, maxval=limit)
                for one, shape in zip(both, shapes, strict=True)
            ]
        )
    return weights


def _conditioner(params_size, weights, x):
    *hidden, (kernel, bias) = weights
    for inner_kernel, inner_bias in hidden:
        x = jax.nn.relu(x @ inner_kernel + inner_bias)
    x = x @ kernel + bias
    return x.reshape(*x.shape[:-1], -1, params_size)


def _affine(params):
    return distrax.ScalarAffine(shift=params[..., 0], log_scale=params[..., 1])


def _spline(params):
    # It also takes slopes at both ends, and sets them to one.
    params = jnp.pad(params, [(0, 0)] * (params.ndim - 1) + [(1, 1)])
    params = jnp.roll(params, -1, axis=-1)
    return distrax.RationalQuadraticSpline(params, -BOUND, BOUND, boundary_slopes="identity")


def _coupling(transformer, params_size):
    def build(sizes):
        size, half = sizes.event_size, sizes.event_size // 2
        widths = (half, *sizes.hidden_units, half * params_size)
        keys = jax.random.split(jax.random.key(0), sizes.num_layers)
        weights = [_network(key, widths) for key in keys]

        def flow(weights):
            layers = [
                distrax.SplitCoupling(
                    split_index=half,
                    event_ndims=1,
                    conditioner=functools.partial(_conditioner, params_size, one),
                    bijector=transformer,
                    swap=bool(i % 2),
                )
                for i, one in enumerate(weights)
            ]
            base = distrax.MultivariateNormalDiag(jnp.zeros(size), jnp.ones(size))
            return distrax.Transformed(base, distrax.Chain(layers))

        return tasks(
            weights,
            sizes,
            lambda weights, x: flow(weights).log_prob(x),
            lambda weights, key, number: flow(weights).sample(seed=key, sample_shape=(number,)),
        )

    return build


WORKLOADS = {
    "affine_coupling": _coupling(_affine, 2),
    "spline_coupling": _coupling(_spline, 3 * NUM_BINS - 1),
}
