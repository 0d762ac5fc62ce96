"""`copy.deepcopy` of distributions: the same density, by variables of their own."""

import copy
import dataclasses

import audio_cases
import image_cases
import numpy as np
import pytest
import set_cases
import tensorflow as tf
import tensorflow_probability as tfp
from cases import RECIPES, C, D, mlp, perturb, recipe

import tfp_flows as tfpf

tfd, tfb = tfp.distributions, tfp.bijectors
RECIPE_CASES = [*RECIPES, *image_cases.RECIPES, *audio_cases.RECIPES]
# One for each recipe, with a context where there is such a case, but for those whose layers and
# bijectors are of classes that others have, too.
SAME_PARTS = {
    "nice_context",
    "iaf_context",
    "sos",
    "naf_dense_context",
    "flow_plus_plus",
    "iresnet",
    "umnn",
    "neural_spline_context",
    "neural_spline_images",
    "multiscale",
    "parallel_wavenet_context",
}
OF_EACH_RECIPE = {(case.covers[0], type(case)): case for case in RECIPE_CASES}.values()
# A continuous flow of one step has the parts of one of many.
ONE_STEP = recipe(
    tfpf.flows.ffjord, hidden_units=(16,), solver="euler", num_steps=1, context_size=C
)
CASES = [
    dataclasses.replace(case, make=ONE_STEP) if case.name == "ffjord_context" else case
    for case in OF_EACH_RECIPE
    if case.name not in SAME_PARTS
]
each_recipe = pytest.mark.parametrize("case", CASES, ids=str)


def check_copy(flow, score):
    """That a copy of `flow` scores as it does, and goes its own way when its variables change."""
    before = score(flow)
    copied = copy.deepcopy(flow)
    assert type(copied) is type(flow) and copied.name == flow.name
    np.testing.assert_array_equal(score(copied), before)
    ours, theirs = tfpf.FlowModel(flow).variables, tfpf.FlowModel(copied).variables
    assert [v.shape for v in theirs] == [v.shape for v in ours] and ours
    assert [v.trainable for v in theirs] == [v.trainable for v in ours]
    assert not {id(v) for v in ours} & {id(v) for v in theirs}
    perturb(copied.trainable_variables, seed=3, scale=0.1)
    assert np.abs(score(copied) - before).max() > 1e-4
    np.testing.assert_array_equal(score(flow), before)
    return copied


@each_recipe
def test_of_recipes(case):
    flow = case.make.flow("float64")
    perturb(flow.trainable_variables, scale=0.1)
    if case.context_size:
        size = tfpf._checks.context_shape(case.context_size)
        flow = tfpf.condition(flow, np.random.default_rng(7).normal(size=size))
    x = np.random.default_rng(0).normal(size=[4, *flow.event_shape])
    check_copy(flow, lambda flow: flow.log_prob(x).numpy())


def a_coupling(mask=(True, True, False)):
    num_inputs = sum(mask)
    return tfpf.bijectors.Coupling(mlp(num_inputs, 2 * (D - num_inputs), "float64"), mask=mask)


def test_what_occurs_twice_occurs_twice():
    shift = tf.Variable([0.1, -0.2, 0.3], dtype=tf.float64)
    coupling = a_coupling()
    chain = tfb.Chain([coupling, tfb.Shift(shift), tfb.Invert(coupling)])
    flow = tfpf.distributions.Flow(tfd.MultivariateNormalDiag(shift), chain)
    perturb(flow.trainable_variables)
    x = np.random.default_rng(0).normal(size=[4, D])
    copied = check_copy(flow, lambda flow: flow.log_prob(x).numpy())
    first, second, third = copied.bijector.bijectors
    assert third.bijector is first and second.shift is copied.distribution.loc


def test_what_constructors_make_is_copied_too():
    norm = tfpf.bijectors.ActNorm(D, dtype="float64")
    base = tfd.Sample(tfd.Normal(tf.zeros([], tf.float64), 1.0), D)
    x = np.random.default_rng(0).normal(2.0, 3.0, size=[50, D])
    flow = tfpf.distributions.Flow(base, norm)
    flow.log_prob(x)
    check_copy(flow, lambda flow: flow.log_prob(x).numpy())


def test_draws_of_a_copy_go_on_where_the_original_is():
    network = tfpf.layers.LipschitzMLP(D, (4,), seed=1)
    network.build((None, D))
    perturb(v.value for v in network.variables)
    residual = tfpf.bijectors.Residual(network, "russian_roulette", seed=3)
    flow = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), D), tfb.Invert(residual))
    x = np.random.default_rng(0).normal(size=[4, D]).astype("float32")

    def draw(flow):
        return tfpf.FlowModel(flow)(x, training=True).numpy()

    first = [draw(flow) for _ in range(3)]
    copied = copy.deepcopy(flow)
    fourth = draw(copied)
    np.testing.assert_array_equal(draw(flow), fourth)
    assert not any(np.array_equal(fourth, values) for values in first)


def test_of_a_conditional_base():
    network = mlp(4, 2 * D, "float64")
    base = tfpf.distributions.ConditionalNormal(network, D, 4)
    perturb(base.trainable_variables)
    c, x = np.random.default_rng(0).normal(size=[2, 5, 4])
    check_copy(base, lambda base: tfpf.condition(base, c).log_prob(x[:, :D]).numpy())


def test_of_sets_and_of_whole_numbers():
    x = set_cases.sets()
    check_copy(
        set_cases.pointflow(solver="euler", num_steps=1), lambda flow: flow.elbo(x, seed=1).numpy()
    )
    flow = tfpf.flows.real_nvp(D, num_layers=2, hidden_units=(4,), seed=1, dtype="float64")
    pixels = np.random.default_rng(0).integers(17, size=[5, D])
    whole = tfpf.distributions.Dequantized(flow, 17)
    check_copy(whole, lambda flow: flow.elbo(pixels).numpy())
