"""What parts say of their parameters: `make_trainable`, batch shapes, slices."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from cases import D, made, mlp
from tensorflow_probability.python.internal import parameter_properties

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions
B = tfpf.bijectors
make_trainable = tfp.experimental.util.make_trainable
X = tf.constant(np.random.default_rng(0).normal(size=[2, D]), tf.float32)

# What each takes beside parameters that can be made; the shapes of the variables that are.
TRAINABLE = {
    "Affine": ({}, [[2, D], [2, D]]),
    "Planar": ({}, [[2, 2 * D + 1]]),
    "Radial": ({}, [[2, D + 2]]),
    "ActNorm": ({"event_size": D}, [[D], [D]]),
    "LULinear": ({"event_size": D}, [[D, D], [D]]),
    "Autoregressive": ({"conditioner": lambda: made(B.Affine, {}, "float32")}, []),
    "Coupling": ({"conditioner": lambda: mlp(1, 4, "float32"), "mask": [True, False, False]}, []),
}


@pytest.mark.parametrize("name", TRAINABLE)
def test_make_trainable(name):
    """Variables of the right shapes, the same at each use, and with gradients."""
    kwargs, shapes = TRAINABLE[name]
    kwargs = {key: value() if callable(value) else value for key, value in kwargs.items()}
    part = make_trainable(getattr(B, name), batch_and_event_shape=[2, D], seed=(0, 1), **kwargs)
    assert [v.shape.as_list() for v in part.trainable_variables] == shapes
    with tf.GradientTape() as tape:
        y, log_det = part.forward_and_log_det(X, event_ndims=1)
        loss = tf.reduce_sum(y**2) + tf.reduce_sum(log_det)
    gradients = tape.gradient(loss, part.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    np.testing.assert_array_equal(part.forward(tf.identity(X)), y)


# Those whose shapes nothing says, or which would be others each time: an error, and no surprise.
UNKNOWN = {
    "BatchNorm": {"event_size": D},
    "BlockAutoregressive": {"event_size": D},
    "HouseholderLinear": {"event_size": D},
    "InvertibleConv1x1": {"num_channels": D},
    "QRLinear": {"event_size": D},
    "Standardize": {"event_shape": D},
    "Sylvester": {"event_size": D},
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_parameters_that_have_to_be_given(name):
    with pytest.raises(NotImplementedError, match="No shape function is implemented"):
        make_trainable(getattr(B, name), batch_and_event_shape=[2, D], **UNKNOWN[name])


def test_make_trainable_of_no_vectors():
    with pytest.raises(ValueError, match="must be the known shape of vectors.*Received"):
        make_trainable(B.Planar)


def classes():
    for module in (B, tfpf.distributions):
        for name in module.__all__:
            cls = getattr(module, name)
            kinds = (tfb.Bijector, tfd.Distribution)
            if isinstance(cls, type) and issubclass(cls, kinds):
                if "context" in cls.parameter_properties():
                    yield cls


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_no_context_is_made(cls):
    context = cls.parameter_properties()["context"]
    assert not context.is_preferred
    assert context.shape_fn is parameter_properties.SHAPE_FN_NOT_IMPLEMENTED


def test_make_trainable_of_a_conditional_distribution():
    network = mlp(2, 2 * D, "float32")
    base = make_trainable(
        tfpf.distributions.ConditionalNormal, conditioner=network, event_size=D, context_size=2
    )
    assert base.batch_shape == [] and base.event_shape == [D] and base.parameters["context"] is None


def test_batch_shapes_and_slices():
    planar = B.Planar.new(tf.ones([4, 1, 2 * D + 1]), event_size=D)
    assert planar.experimental_batch_shape() == [4, 1]
    assert planar[1:3, 0].experimental_batch_shape() == [2]
    np.testing.assert_array_equal(planar.experimental_batch_shape_tensor(x_event_ndims=1), [4, 1])
    context = tf.constant(np.random.default_rng(1).normal(size=[4, 2]), tf.float32)
    flow = tfpf.flows.maf(D, num_layers=1, hidden_units=(4,), context_size=2)
    flow = tfpf.condition(flow, context)
    x = tf.ones([D])
    np.testing.assert_allclose(flow[1:3].log_prob(x), flow.log_prob(x)[1:3], rtol=1e-6)
    assert flow[..., tf.newaxis].log_prob(x).shape == [4, 1]


@pytest.mark.parametrize("event_shape", [(), D, (2, D)], ids=str)
def test_standardize_is_a_map_of_events(event_shape):
    part = B.Standardize(event_shape, dtype="float64")
    shape = tuple(np.ravel(event_shape).astype(int))
    part.adapt(np.random.default_rng(0).normal(2.0, 3.0, size=[20, *shape]))
    assert part.forward_min_event_ndims == part.inverse_min_event_ndims == len(shape)
    assert part.experimental_batch_shape() == []
    x = np.random.default_rng(1).normal(size=[5, *shape])
    y, log_det = part.forward_and_log_det(x)
    np.testing.assert_allclose(y, part.mean + part.scale * x)
    np.testing.assert_allclose(log_det, np.full([5], np.sum(np.log(part.scale))))
    np.testing.assert_allclose(part.inverse_log_det_jacobian(y), -log_det)
    base = tfd.Sample(tfd.Normal(tf.zeros([], tf.float64), 1.0), shape)
    for cls in (tfpf.distributions.Flow, tfd.TransformedDistribution):
        flow = cls(base, part)
        assert flow.event_shape == shape and flow.batch_shape == [] and flow.sample(4).shape[0] == 4
        expected = tfd.Normal(part.mean, part.scale).log_prob(y)
        expected = tf.reduce_sum(expected, axis=list(range(1, 1 + len(shape))))
        np.testing.assert_allclose(flow.log_prob(y), expected, rtol=1e-10)
