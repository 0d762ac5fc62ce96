"""Faults that are planted in one layer, or in the data, are found and named where they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

B = tfpf.bijectors
tfb, tfd = tfp.bijectors, tfp.distributions

rng = np.random.default_rng(1)
X = rng.normal(size=(300, 3)).astype("float32")
CONTEXT = rng.normal(size=(300, 2)).astype("float32")
BASE = tfd.Sample(tfd.Normal(0.0, 1.0), 3)


class Deaf(keras.Layer):
    """A network that is given the context and does not look at it."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.built = True

    def call(self, x, context=None):
        return self.network(x)


class Shift(tfb.Bijector):
    """y = x + 1/2, or with a fault y = 2 x + 1/2 of which one direction or the log-det is wrong."""

    def __init__(self, scale=1.0, inverse_scale=None, log_scale=None, name="shift"):
        parameters = dict(locals())
        self._scale = scale
        self._inverse_scale = scale if inverse_scale is None else inverse_scale
        self._log_scale = np.log(scale) if log_scale is None else log_scale
        super().__init__(forward_min_event_ndims=1, dtype=tf.float32, parameters=parameters)

    def _forward(self, x):
        return self._scale * x + 0.5

    def _inverse(self, y):
        return (y - 0.5) / self._inverse_scale

    def _forward_log_det_jacobian(self, x):
        return tf.cast(x.shape[-1] * self._log_scale, x.dtype)


def coupling(transformer=B.Affine, context_size=0, deaf=False, start=0.3, **kwargs):
    """A coupling of the last two columns, given the first, with weights away from zero."""
    network = tfpf.layers.MLP(
        2 * transformer.params_size(**kwargs), (8,), context_size=0 if deaf else context_size
    )
    network.build((None, 1), (None, context_size) if context_size and not deaf else None)
    for i, weight in enumerate(network.weights):
        weight.assign(start * np.random.default_rng(i).normal(size=weight.shape))
    return B.Coupling(
        Deaf(network) if deaf else network,
        transformer,
        kwargs,
        mask=[True, False, False],
        context_size=context_size,
        dtype="float32",
    )


def flow(layer=None, **kwargs):
    """Five layers, of which `layer` is the third."""
    layers = [coupling(**kwargs), tfb.Permute([1, 2, 0]), layer or coupling(**kwargs)]
    return tfpf.distributions.Flow(
        BASE, tfb.Chain([*layers, B.LULinear(3), tfb.Invert(coupling(**kwargs))])
    )


def sampled(flow, context=None):
    """Data that the flow fits."""
    given = flow if context is None else tfpf.condition(flow, context)
    return given.sample(300 if context is None else (), seed=[1, 2]).numpy()


def with_nan():
    layer = coupling()
    layer.conditioner.weights[0].assign(np.full(layer.conditioner.weights[0].shape, np.nan))
    return flow(layer), X, None


def with_exploding_scales(**kwargs):
    layer = coupling(**kwargs)
    layer.conditioner.weights[-1].assign(20.0 * np.ones(layer.conditioner.weights[-1].shape))
    return flow(layer), X, None


def unsolved():
    network = keras.layers.Dense(3)
    network.build((None, 3))
    network.kernel.assign(-0.9 * np.eye(3))
    # Steps enough for another coefficient only.
    return flow(B.Residual(network, coefficient=0.1)), X, None


def unintegrated():
    field = tfpf.layers.VectorField(3, (8,))
    field.build((None, 3))
    for i, weight in enumerate(field.weights):
        weight.assign(np.random.default_rng(i).normal(size=weight.shape))
    return flow(B.Continuous(field, max_num_steps=2)), X, None


def ignoring():
    one = coupling(context_size=2, deaf=True)
    whole = flow(one, context_size=2)
    return whole, sampled(whole, CONTEXT), CONTEXT


def copied_column():
    x = sampled(flow())
    x[:, 2] = x[:, 0]
    return flow(), x, None


def constant_column():
    x = sampled(flow())
    x[:, 1] = 0.5
    return flow(), x, None


def narrow_spline():
    return flow(coupling(B.RationalQuadraticSpline, num_bins=4, bound=0.5)), X, None


PLANTED = {
    "unstandardised": (lambda: (flow(), 100 + 20 * X, None), ("0 coupling", "not standardised")),
    "bound": (narrow_spline, ("2 coupling", "outside the bound")),
    "scales": (with_exploding_scales, ("2 coupling", "saturated scales")),
    "scales_with_limit": (
        lambda: with_exploding_scales(max_log_scale=2.0),
        ("2 coupling", "saturated scales"),
    ),
    "context": (ignoring, ("2 coupling", "ignores context")),
    "search": (unsolved, ("2 residual", "unconverged")),
    "equation": (unintegrated, ("2 continuous", "unconverged")),
    "constant": (constant_column, ("data", "constant column")),
    "copy": (copied_column, ("data", "dependent columns")),
    "weights": (with_nan, ("2 coupling", "weights not finite")),
    "log_det": (
        lambda: (flow(Shift(2.0, log_scale=0.0)), X, None),
        ("2 shift", "log-det wrong"),
    ),
    "log_det_both": (
        lambda: (flow(Shift(log_scale=0.1)), X, None),
        ("2 shift", "log-det wrong"),
    ),
    "inverse": (
        lambda: (flow(Shift(2.0, inverse_scale=2.1)), X, None),
        ("2 shift", "inverse wrong"),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_the_first_one(name):
    make, expected = PLANTED[name]
    report = tfpf.diagnose(*make())
    print(report)
    assert report.first_fault == expected
