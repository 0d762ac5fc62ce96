"""A bound context makes a plain distribution of a conditional flow, wherever the flow stands."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import perturb

import tfp_flows as tfpf
from tfp_flows.conditioning import context_size

tfb = tfp.bijectors
tfd = tfp.distributions

D, C = 3, 2
RNG = np.random.default_rng(0)
CONTEXTS = RNG.normal(size=[4, C]).astype("float32")
X = RNG.normal(size=[4, D]).astype("float32")
# `nice` computes as `real_nvp` does.
RECIPES = [
    tfpf.flows.real_nvp,
    tfpf.flows.maf,
    tfpf.flows.iaf,
    tfpf.flows.neural_spline,
]


def made_flow(make_flow=tfpf.flows.real_nvp, size=C, **options):
    options = {"hidden_units": (8,), "num_layers": 2, "seed": 0, **options}
    flow = make_flow(D, context_size=size, **options)
    perturb(flow.variables)
    return flow


@pytest.fixture(scope="module")
def flow():
    return made_flow()


def row_by_row(flow, contexts=CONTEXTS, x=X):
    """log p(x_n | c_n), one row at a time."""
    values = [tfpf.condition(flow, c).log_prob(point) for c, point in zip(contexts, x, strict=True)]
    return np.array(values)


@pytest.fixture(scope="module")
def expected_rows(flow):
    """Of the flow that all share."""
    return row_by_row(flow)


@pytest.mark.parametrize("make_flow", RECIPES)
def test_batch_shape_is_that_of_the_context(make_flow):
    flow = made_flow(make_flow, num_layers=1)
    expected = row_by_row(flow)
    bound = tfpf.condition(flow, CONTEXTS)
    assert type(bound) is type(flow)
    assert bound.batch_shape == [4] and bound.event_shape == [D]
    np.testing.assert_array_equal(bound.batch_shape_tensor(), [4])
    np.testing.assert_allclose(bound.log_prob(X), expected, rtol=1e-4)
    values = bound.log_prob(X[0])
    assert values.shape == [4] and np.ptp(values) > 1e-2, "the context matters"
    grid = tfpf.condition(flow, CONTEXTS.reshape(2, 2, C))
    assert grid.batch_shape == [2, 2]
    np.testing.assert_allclose(grid.log_prob(X.reshape(2, 2, D)), expected.reshape(2, 2), 1e-4)
    assert tfpf.condition(flow, CONTEXTS[0]).batch_shape == []
    assert bound.sample(5, seed=0).shape == [5, 4, D]
    assert grid.sample(seed=0).shape == [2, 2, D]


def test_points_broadcast_against_contexts(flow):
    bound = tfpf.condition(flow, CONTEXTS)
    points = RNG.normal(size=[6, 1, D]).astype("float32")
    values = bound.log_prob(points)
    assert values.shape == [6, 4]
    one = tfpf.condition(flow, CONTEXTS[2])
    np.testing.assert_allclose(values[:, 2], one.log_prob(points[:, 0]), rtol=1e-4)


def test_variables_are_shared(flow):
    bound = tfpf.condition(flow, CONTEXTS)
    assert {id(v) for v in bound.trainable_variables} == {id(v) for v in flow.trainable_variables}
    before = bound.log_prob(X)
    flow.trainable_variables[0].assign_add(tf.ones_like(flow.trainable_variables[0]))
    after = bound.log_prob(X)
    flow.trainable_variables[0].assign_sub(tf.ones_like(flow.trainable_variables[0]))
    assert np.abs(after - before).max() > 1e-3


def test_the_flow_itself_stays_unbound(flow):
    tfpf.condition(flow, CONTEXTS)
    with pytest.raises(ValueError, match="needs a context"):
        flow.log_prob(X)


def test_binding_again_replaces(flow, expected_rows):
    first = tfpf.condition(flow, CONTEXTS)
    again = tfpf.condition(first, CONTEXTS[::-1].copy())
    np.testing.assert_allclose(again.log_prob(X), row_by_row(flow, CONTEXTS[::-1]), rtol=1e-4)
    np.testing.assert_allclose(first.log_prob(X), expected_rows, rtol=1e-4)
    assert tfpf.condition(first, CONTEXTS[0]).batch_shape == []


def test_slices_of_a_bound_flow(flow):
    bound = tfpf.condition(flow, CONTEXTS)
    np.testing.assert_allclose(bound[1].log_prob(X[1]), bound.log_prob(X)[1], rtol=1e-5)
    assert bound[1:3].batch_shape == [2]
    np.testing.assert_allclose(bound[1:3].log_prob(X[1:3]), bound.log_prob(X)[1:3], rtol=1e-5)


@pytest.mark.parametrize("keywords", [{"context": CONTEXTS}, {"conditional_input": CONTEXTS}])
def test_bijector_kwargs_are_refused(flow, keywords):
    """TFP's way to give a context; the error says what to do here."""
    part = next(p for p in flow.bijector.bijectors if isinstance(p, tfpf.bijectors.Coupling))
    alone = tfpf.distributions.Flow(flow.distribution, part)
    for each, kwargs in ((flow, {part.name: keywords}), (alone, keywords)):
        for call in (each.log_prob, lambda x, each=each, **kwargs: each.sample(4, **kwargs)):
            with pytest.raises(TypeError, match=r"tfp_flows.condition.*Received: con"):
                call(X, bijector_kwargs=kwargs)
    with pytest.raises(TypeError, match="tfp_flows.condition"):
        part.forward_log_det_jacobian(X, event_ndims=1, **keywords)


def test_draws_differ_between_equal_contexts(flow):
    """TFP's `bijector_kwargs` would share one draw of the base."""
    same = tfpf.condition(flow, np.tile(CONTEXTS[:1], [4, 1]))
    draws = same.sample(seed=3).numpy()
    assert len(np.unique(draws.round(5), axis=0)) == 4
    x, log_prob = same.experimental_sample_and_log_prob(6, seed=3)
    assert x.shape == [6, 4, D] and len(np.unique(x.numpy().reshape(-1, D), axis=0)) == 24
    np.testing.assert_allclose(same.log_prob(x), log_prob, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make_flow", RECIPES)
def test_gradient_reaches_the_context(make_flow):
    flow = made_flow(make_flow, dtype="float64", num_layers=1)
    context = tf.constant(CONTEXTS, tf.float64)
    x = tf.constant(X, tf.float64)
    direction = RNG.normal(size=context.shape)

    def scalar(context):
        return tf.reduce_sum(tfpf.condition(flow, context).log_prob(x))

    with tf.GradientTape() as tape:
        tape.watch(context)
        value = scalar(context)
    gradient = tape.gradient(value, context)
    h = 1e-6
    numeric = (scalar(context + h * direction) - scalar(context - h * direction)) / (2 * h)
    assert np.abs(numeric) > 1e-3
    np.testing.assert_allclose(np.sum(gradient * direction), numeric, rtol=1e-5)


def test_gradient_of_samples_reaches_a_variable_context(flow):
    context = tf.Variable(CONTEXTS)
    bound = tfpf.condition(flow, context)
    assert any(v is context for v in bound.trainable_variables)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(bound.sample(seed=0))
    assert np.abs(tape.gradient(value, context)).min() > 0
    before = bound.log_prob(X)
    context.assign_add(tf.ones_like(context))
    assert np.abs(bound.log_prob(X) - before).max() > 1e-3


# --- Through TFP's wrappers ------------------------------------------------------------------


def test_through_a_bijector_alone(flow):
    bijector = flow.bijector
    bound = tfpf.condition(bijector, CONTEXTS)
    assert bound.experimental_batch_shape(x_event_ndims=1) == [4]
    one = tfpf.condition(bijector, CONTEXTS[1])
    np.testing.assert_allclose(bound.forward(X)[1], one.forward(X[1]), rtol=1e-5)


def test_batch_shape_of_a_bijector_of_larger_events(flow):
    """Contexts of the rows of one event are no batch."""
    bijector = flow.bijector.bijectors[0]
    bound = tfpf.condition(bijector, CONTEXTS.reshape(2, 2, C))
    for event_ndims, batch_shape in ((1, [2, 2]), (2, [2]), (3, [])):
        assert bound.experimental_batch_shape(x_event_ndims=event_ndims) == batch_shape
        tensor = bound.experimental_batch_shape_tensor(x_event_ndims=event_ndims)
        np.testing.assert_array_equal(tensor, batch_shape)
    x = X.reshape(2, 2, D)
    row_by_row = bound.forward_log_det_jacobian(x, 1)
    pairs = bound.forward_log_det_jacobian(x, 2)
    np.testing.assert_allclose(pairs, np.sum(row_by_row, axis=-1), rtol=1e-5)


def test_through_invert_and_nested_chains(flow):
    first, second = flow.bijector.bijectors
    nested = tfb.Chain([tfb.Invert(tfb.Chain([first, tfb.Tanh()])), second, tfb.Permute([2, 0, 1])])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [D])
    distribution = tfd.TransformedDistribution(base, nested)
    points = 0.1 * X  # within the range of `Tanh`
    bound = tfpf.condition(distribution, CONTEXTS)
    assert bound.batch_shape == [4]
    np.testing.assert_allclose(
        bound.log_prob(points), row_by_row(distribution, x=points), rtol=1e-4
    )


def test_through_blockwise_and_partly_conditional_chains():
    flow = made_flow()
    blocks = tfb.Blockwise([flow.bijector, tfb.Scale(tf.Variable(2.0))], [D, 1])
    distribution = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [D + 1]), blocks)
    x = np.concatenate([X, np.ones([4, 1], "float32")], axis=-1)
    bound = tfpf.condition(distribution, CONTEXTS)
    np.testing.assert_allclose(bound.log_prob(x), row_by_row(distribution, x=x), rtol=1e-4)


def test_through_a_transformed_distribution_of_a_transformed_distribution(flow, expected_rows):
    outer = tfd.TransformedDistribution(flow, tfb.Shift(tf.ones([D])))
    np.testing.assert_allclose(
        tfpf.condition(outer, CONTEXTS).log_prob(1.0 + X), expected_rows, rtol=1e-3
    )


def test_through_sample(flow):
    bound = tfpf.condition(tfd.Sample(flow, [2]), CONTEXTS)
    assert bound.batch_shape == [4] and bound.event_shape == [2, D]
    pairs = np.stack([X, X + 1.0], axis=1)
    one_by_one = tfpf.condition(flow, CONTEXTS)
    expected = one_by_one.log_prob(X) + one_by_one.log_prob(X + 1.0)
    np.testing.assert_allclose(bound.log_prob(pairs), expected, rtol=1e-4)
    assert bound.sample(seed=0).shape == [4, 2, D]


def test_through_independent(flow, expected_rows):
    """Reinterpreting needs a batch, so one context is bound before, and then replaced."""
    grid = CONTEXTS.reshape(2, 2, C)
    independent = tfd.Independent(tfpf.condition(flow, CONTEXTS[:2]), 1)
    assert independent.event_shape == [2, D]
    bound = tfpf.condition(independent, grid)
    assert bound.batch_shape == [2] and bound.event_shape == [2, D]
    np.testing.assert_allclose(
        bound.log_prob(X.reshape(2, 2, D)), expected_rows.reshape(2, 2).sum(-1), rtol=1e-4
    )


def test_through_a_mixture(flow):
    other = made_flow(tfpf.flows.maf)
    mixture = tfd.Mixture(
        tfd.Categorical(probs=np.tile([[0.3, 0.7]], [4, 1]).astype("float32")),
        [tfpf.condition(flow, CONTEXTS), tfpf.condition(other, CONTEXTS)],
    )
    turned = CONTEXTS[::-1].copy()
    expected = np.logaddexp(
        np.log(0.3) + row_by_row(flow, turned), np.log(0.7) + row_by_row(other, turned)
    )
    np.testing.assert_allclose(tfpf.condition(mixture, turned).log_prob(X), expected, rtol=1e-4)


@pytest.mark.parametrize("named", [False, True])
def test_through_joint_distributions(flow, expected_rows, named):
    parts = [tfd.Independent(tfd.Normal(tf.zeros([4, D]), 1.0), 1), flow]
    if named:
        joint = tfd.JointDistributionNamed({"a": parts[0], "b": parts[1]})
        value = {"a": X, "b": X}
    else:
        joint, value = tfd.JointDistributionSequential(parts), [X, X]
    bound = tfpf.condition(joint, CONTEXTS)
    assert type(bound) is type(joint)
    expected = parts[0].log_prob(X) + expected_rows
    np.testing.assert_allclose(bound.log_prob(value), expected, rtol=1e-4)
    draw = bound.sample(seed=0)
    assert (draw["b"] if named else draw[1]).shape == [4, D]


def test_inside_a_joint_distribution_that_makes_the_context(flow, expected_rows):
    """p(c) p(x | c), with the context a random variable of the model."""
    joint = tfd.JointDistributionNamed(
        {
            "c": tfd.Sample(tfd.Normal(0.0, 1.0), [C]),
            "x": lambda c: tfpf.condition(flow, c),
        }
    )
    draw = joint.sample(4, seed=0)
    assert draw["x"].shape == [4, D]
    expected = tfd.Sample(tfd.Normal(0.0, 1.0), [C]).log_prob(CONTEXTS) + expected_rows
    np.testing.assert_allclose(joint.log_prob({"c": CONTEXTS, "x": X}), expected, rtol=1e-4)


def test_what_is_shared_stays_shared(flow):
    part = flow.bijector.bijectors[0]
    twice = tfb.Chain([part, tfb.Invert(part), part])
    bound = tfpf.condition(twice, CONTEXTS[0])
    a, b, c = bound.bijectors
    assert a is c and b.bijector is a
    np.testing.assert_allclose(bound.forward(X), a.forward(tf.identity(X)), rtol=1e-4)


# --- Dtypes, graphs --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_are_cast_to_the_dtype_of_the_flow(dtype):
    flow = made_flow(dtype=dtype, num_layers=1)
    x = tf.constant(X[:2], dtype)
    numbers = np.array([[1, 2], [3, 4]])
    arrays = [numbers.astype(given) for given in ("float64", "float32", "int64")]
    values = []
    for context in (*arrays, arrays[0].tolist(), numbers.tolist()):
        bound = tfpf.condition(flow, context)
        values.append(bound.log_prob(x))
        assert bound.dtype == values[-1].dtype == dtype
        np.testing.assert_allclose(values[-1], values[0], rtol=1e-6)


def test_digits_of_float64_are_kept():
    bijector = made_flow(dtype="float64", num_layers=1).bijector.bijectors[0]
    for context in (np.array([0.1, 1 / 3]), [0.1, 1 / 3]):
        np.testing.assert_array_equal(tfpf.condition(bijector, context).context, [0.1, 1 / 3])


def test_tensor_of_another_dtype_is_refused(flow):
    with pytest.raises(TypeError, match="float32.*Received: context.dtype=float64"):
        tfpf.condition(flow, tf.constant(CONTEXTS, tf.float64))


def test_inside_tf_function():
    flow = made_flow(tfpf.flows.maf, dtype="float64", num_layers=1)

    @tf.function(jit_compile=True, autograph=False)
    def log_prob_and_gradient(context, x):
        with tf.GradientTape() as tape:
            tape.watch(context)
            value = tfpf.condition(flow, context).log_prob(x)
        return value, tape.gradient(value, context)

    context, x = tf.constant(CONTEXTS, tf.float64), tf.constant(X, tf.float64)
    value, gradient = log_prob_and_gradient(context, x)
    np.testing.assert_allclose(value, row_by_row(flow, CONTEXTS.astype("float64"), x), rtol=1e-8)
    assert np.abs(gradient).min() > 0


def test_unknown_batch_sizes_in_a_graph():
    flow = made_flow(num_layers=1)

    @tf.function(
        input_signature=[tf.TensorSpec([None, C]), tf.TensorSpec([None, D])], autograph=False
    )
    def log_prob(context, x):
        bound = tfpf.condition(flow, context)
        return bound.log_prob(x), bound.sample(seed=(0, 1)), bound.batch_shape_tensor()

    value, sample, batch_shape = log_prob(CONTEXTS, X)
    np.testing.assert_allclose(value, row_by_row(flow), rtol=1e-4)
    assert sample.shape == [4, D] and batch_shape == [4]
    value, _, batch_shape = log_prob(CONTEXTS[:2], X[:2])
    assert value.shape == [2] and batch_shape == [2]


def test_bound_outside_and_used_inside_two_functions():
    bound = tfpf.condition(made_flow(num_layers=1), CONTEXTS)
    first, second = (tf.function(lambda x: bound.log_prob(x), jit_compile=True) for _ in range(2))
    x = tf.constant(X)
    np.testing.assert_allclose(first(x), second(x), rtol=1e-6)
    np.testing.assert_allclose(first(x), bound.log_prob(x), rtol=1e-4)


# --- Refused ---------------------------------------------------------------------------------


def test_context_where_none_is_taken():
    flow = tfpf.flows.real_nvp(D, hidden_units=(8,), num_layers=1)
    for plain in (flow, flow.bijector, tfd.Normal(0.0, 1.0)):
        with pytest.raises(ValueError) as info:
            tfpf.condition(plain, CONTEXTS)
        message = str(info.value)
        assert repr(plain.name) in message and "(4, 2)" in message
        assert "`context_size`" in message


@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 2, 1)])
def test_wrong_last_dimension_names_the_part_and_both_shapes(flow, shape):
    for context in (np.zeros(shape), tf.zeros(shape)):
        with pytest.raises(ValueError) as info:
            tfpf.condition(flow, context)
        message = str(info.value)
        assert "[..., 2]" in message and str(shape) in message and "'coupling'" in message


def test_scalar_context_is_refused(flow):
    with pytest.raises(ValueError, match=r"\[\.\.\., 2\].*Received: context of shape \(\)"):
        tfpf.condition(flow, 1.0)


@pytest.mark.parametrize("make_flow", RECIPES)
def test_use_without_a_context_names_the_part_and_both_shapes(make_flow):
    flow = made_flow(make_flow, num_layers=1)
    for use in (lambda: flow.log_prob(X), lambda: flow.sample(3)):
        with pytest.raises(ValueError) as info:
            use()
        message = str(info.value)
        assert "[..., 2]" in message and "Received: context=None" in message
        assert "`coupling`" in message or "`autoregressive`" in message
        assert "tfp_flows.condition" in message


def test_parts_of_unequal_context_sizes_are_refused(flow):
    other = made_flow(tfpf.flows.maf, size=5)
    mixed = tfb.Chain([flow.bijector, other.bijector])
    with pytest.raises(ValueError, match="coupling: 2.*autoregressive: 5"):
        tfpf.condition(mixed, CONTEXTS)
    distribution = tfd.TransformedDistribution(flow.distribution, mixed)
    with pytest.raises(ValueError, match="coupling: 2.*autoregressive: 5"):
        tfpf.FlowModel(distribution)


def test_context_size_of_a_flow(flow):
    assert context_size(flow) == C
    assert context_size(tfpf.condition(flow, CONTEXTS)) == C
    assert context_size(tfd.Normal(0.0, 1.0)) == 0


def test_context_that_does_not_broadcast_with_the_points_is_refused(flow):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="[Bb]roadcast|shape"):
        tfpf.condition(flow, CONTEXTS).log_prob(X[:3])


def test_something_else_than_a_tfp_object_or_numbers_is_refused(flow):
    with pytest.raises(TypeError, match="`flow` must be .* Received: flow='maf'"):
        tfpf.condition("maf", CONTEXTS)
    for context in (None, "a", [["a", "b"]]):
        with pytest.raises(TypeError, match="`context` must be numbers. Received: "):
            tfpf.condition(flow, context)


@pytest.fixture
def warned(caplog, monkeypatch):
    """The list of what TensorFlow has logged."""
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    return caplog.records


@pytest.mark.parametrize("make_flow", [tfpf.flows.maf, tfpf.flows.ffjord])
def test_a_users_function_may_condition_without_warnings(make_flow, warned):
    """AutoGraph cannot read generators."""
    conditional = made_flow(make_flow, hidden_units=(4,), num_layers=1)

    @tf.function
    def sample(c):
        return tfpf.condition(conditional, c).sample(2, seed=[1, 2])

    assert sample(tf.zeros([4, C])).shape == (2, 4, D)
    assert not warned


def test_a_new_copy_for_each_context_is_traced_without_warnings(warned):
    """TensorFlow would count the traces of every copy as one."""
    options = {"hidden_units": (4,), "num_layers": 1, "solver": "euler", "num_steps": 1}
    conditional = made_flow(tfpf.flows.ffjord, **options)
    for n in range(6):
        tfpf.condition(conditional, tf.zeros([C])).log_prob(tf.zeros([n + 1, D]))
    assert not warned
