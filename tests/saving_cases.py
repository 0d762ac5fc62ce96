"""Distributions whose files are tested, and what the tests of files share."""

import functools
import json
import zipfile

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

SMALL = {"hidden_units": (8,), "num_layers": 1, "seed": 3}
X = np.random.default_rng(0).normal(size=[7, 3]).astype("float32")
CONTEXT = np.random.default_rng(1).normal(size=[7, 2]).astype("float32")


def network(num_inputs, num_outputs, **options):
    layer = tfpf.layers.MLP(num_outputs, (8,), seed=4, **options)
    layer.build((None, num_inputs))
    return layer


def coupling(**options):
    return tfpf.bijectors.Coupling(network(2, 2), **options)


def standard_normal():
    return tfd.Sample(tfd.Normal(0.0, 1.0), [3])


def standardized():
    bijector = tfpf.bijectors.Standardize(3)
    bijector.adapt(5.0 + 3.0 * X)
    chain = tfb.Chain([bijector, tfpf.bijectors.LULinear(3, (2, 0, 1)), coupling(mask="random")])
    return tfd.TransformedDistribution(standard_normal(), chain)


def made_with_random_order():
    kwargs = {"num_bins": 4}
    num_parameters = tfpf.bijectors.RationalQuadraticSpline.params_size(**kwargs)
    layer = tfpf.layers.MADE(3, num_parameters, (8,), order="random", hidden_degrees="random")
    layer.build((None, 3))
    bijector = tfpf.bijectors.Autoregressive(layer, tfpf.bijectors.RationalQuadraticSpline, kwargs)
    chain = tfb.Chain([bijector, tfb.Permute([1, 2, 0])])
    return tfd.TransformedDistribution(standard_normal(), tfb.Invert(chain))


def identity_half():
    bijector = coupling(
        mask=[True, False, True],
        identity_transformer=tfpf.bijectors.RationalQuadraticSpline,
        identity_transformer_kwargs={"num_bins": 4},
    )
    return tfd.TransformedDistribution(standard_normal(), bijector)


def blocks():
    layer = network(1, 2)
    parts = [tfpf.bijectors.Coupling(layer, mask=[True, False]), tfb.Scale(tf.Variable(2.0))]
    return tfd.TransformedDistribution(standard_normal(), tfb.Blockwise(parts, [2, 1]))


def on_normal_base():
    scale = tf.Variable(np.tril(np.full([3, 3], 0.3)) + np.eye(3), dtype=tf.float32)
    base = tfd.MultivariateNormalTriL(tf.Variable(tf.ones([3])), scale)
    return tfpf.flows.maf(3, base=base, **SMALL)


def on_mixture_base():
    base = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.Variable([0.3, -0.2])),
        tfd.MultivariateNormalDiag(
            tf.Variable([[0.0, 1.0, 2.0], [-1.0, 0.0, 0.5]]),
            scale_diag=tf.Variable(tf.ones([2, 3])),
        ),
    )
    return tfpf.flows.real_nvp(3, base=base, **SMALL)


def on_constant_base():
    base = tfd.Independent(tfd.StudentT(np.array([3.0, 4.0, 5.0], "float32"), 0.0, 1.0), 1)
    return tfpf.flows.real_nvp(3, base=base, **SMALL)


def with_dropout():
    return tfpf.flows.neural_spline(3, dropout=0.2, num_bins=4, **SMALL)


# One for each thing that a file has to keep, whichever recipe has it.
FLOWS = {
    "float64": functools.partial(tfpf.flows.nice, 3, dtype="float64", **SMALL),
    "real_nvp": functools.partial(
        tfpf.flows.real_nvp, 3, max_log_scale=None, hidden_units=(8, 8), num_layers=2, seed=3
    ),
    "neural_spline": with_dropout,
    "conditional": functools.partial(tfpf.flows.maf, 3, context_size=2, **SMALL),
    "bound": lambda: tfpf.condition(tfpf.flows.maf(3, context_size=2, **SMALL), CONTEXT[0]),
    "planar": functools.partial(tfpf.flows.planar, 3, num_layers=2, seed=3),
    "amortized": lambda: tfpf.condition(
        tfpf.flows.sylvester(3, num_units=2, context_size=2, **SMALL), CONTEXT[0]
    ),
    "standardized": standardized,
    "made_with_random_order": made_with_random_order,
    "identity_half": identity_half,
    "blocks": blocks,
    "on_normal_base": on_normal_base,
    "on_mixture_base": on_mixture_base,
    "on_constant_base": on_constant_base,
    "no_flow": lambda: tfd.Independent(tfd.Normal(tf.Variable(tf.ones([3])), 1.0), 1),
}


def made_model(name):
    distribution = FLOWS[name]()
    perturb(distribution.variables)
    return tfpf.FlowModel(distribution)


def scored(model, is_conditional):
    """log p of the points, and samples, in one batch shape and in eager mode."""
    x = tf.constant(X, model.distribution.dtype)
    flow = tfpf.condition(model.distribution, CONTEXT) if is_conditional else model.distribution
    return flow.log_prob(x).numpy(), flow.sample(
        7 if not is_conditional else (), seed=tf.constant([5, 0])
    ).numpy()


def with_conditioner(conditioner):
    scale = tfb.Scale(tf.Variable(1.0))
    coupled = tfpf.bijectors.Coupling(conditioner, mask=[True, True, False])
    return tfd.TransformedDistribution(standard_normal(), tfb.Chain([scale, coupled]))


def config_of(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))
