"""Faults that are planted in one layer, or in the data, are found and named where they are."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.diagnostics.fault import HELP

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


def flow(layer=None, inverted=False, **kwargs):
    """Four layers, of which `layer` is the third, and an inverted one if asked for."""
    layers = [coupling(**kwargs), tfb.Permute([1, 2, 0]), layer or coupling(**kwargs)]
    layers = [*layers, B.LULinear(3), *([tfb.Invert(coupling(**kwargs))] if inverted else [])]
    return tfpf.distributions.Flow(BASE, tfb.Chain(layers))


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


def test_rounding_beside_a_large_column_is_no_wrong_inverse():
    x = (X * [1.0, 1e6, 1.0] + [0.0, 3e6, 0.0]).astype("float32")
    linear = B.LULinear(3)
    for i, variable in enumerate(linear.trainable_variables):
        variable.assign_add(0.1 * np.random.default_rng(i).normal(size=variable.shape))
    report = tfpf.diagnose(flow(linear), x)
    assert report.first_fault == ("0 coupling", "not standardised")
    assert max(row.round_trip for row in report.rows) > 0.01
    assert "inverse wrong" not in {fault.word for fault in report.faults}, str(report)
    wrong = tfpf.diagnose(flow(Shift(2.0, inverse_scale=2.1)), x)
    assert ("2 shift", "inverse wrong") in wrong.faults


def test_the_help_of_a_fault_is_printed_once():
    narrow = {"transformer": B.RationalQuadraticSpline, "num_bins": 4, "bound": 0.5}
    report = tfpf.diagnose(flow(**narrow), X)
    words = [fault.word for fault in report.faults]
    assert words.count("outside the bound") == 2
    text = str(report)
    assert text.count("Raise `bound`") == 1 and text.count("outside the bound.") == 2
    assert "The first fault may cause the others" in text


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_the_first_one(name):
    make, expected = PLANTED[name]
    report = tfpf.diagnose(*make())
    assert report.first_fault == expected, str(report)
    text = str(report)
    assert f"{expected[0]}: {expected[1]}" in text and "No fault" not in text


def with_context(**kwargs):
    whole = flow(context_size=2, inverted=True, **kwargs)
    return whole, sampled(whole, CONTEXT), CONTEXT


def without_training():
    """Last layers of zeros, which hide what networks see."""
    whole = tfpf.flows.real_nvp(3, context_size=2, num_layers=2, hidden_units=(8,), seed=1)
    return whole, X, CONTEXT


def images():
    whole = tfpf.flows.multiscale((4, 4, 1), num_layers=1, hidden_channels=(4,), seed=1)
    return whole, rng.normal(size=(50, 4, 4, 1)), None


def of_tfp():
    network = tfb.AutoregressiveNetwork(params=2, hidden_units=[8])
    network(tf.zeros([1, 3]))
    bijectors = [tfb.Softplus(), tfb.MaskedAutoregressiveFlow(network), tfb.Permute([2, 0, 1])]
    whole = tfd.TransformedDistribution(BASE, tfb.Chain(bijectors))
    return whole, whole.sample(100, seed=[1, 2]), None


def adapted():
    whole = tfpf.distributions.Flow(flow(), tfb.Chain([B.Standardize(3)]))
    x = 100 + 20 * X
    tfpf.FlowModel(whole).adapt(x)
    return whole, x, None


def of_matrices():
    """Six of nine numbers are free."""
    base = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 6), tfb.Scale(0.5))
    whole = tfpf.distributions.Flow(
        base, tfb.Chain([tfb.CholeskyOuterProduct(), tfb.FillScaleTriL()])
    )
    return whole, whole.sample(100, seed=[1, 2]), None


SOUND = {
    "couplings": lambda: (flow(inverted=True), sampled(flow(inverted=True)), None),
    "splines": lambda: (
        flow(transformer=B.RationalQuadraticSpline, num_bins=4, bound=6.0),
        X,
        None,
    ),
    "context": with_context,
    "without_training": without_training,
    "images": images,
    "of_tfp": of_tfp,
    "adapted": adapted,
    "of_matrices": of_matrices,
    "iaf": lambda: (tfpf.flows.iaf(3, num_layers=1, hidden_units=(8,), seed=1), X, None),
    "bijector": lambda: (tfb.Chain([tfb.Scale(2.0), coupling()]), X, None),
    "scalars": lambda: (tfb.SinhArcsinh(skewness=0.1)(tfd.Normal(0.0, 1.0)), X[:, 0], None),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_flow_has_no_fault(name):
    report = tfpf.diagnose(*SOUND[name]())
    assert report.first_fault is None and report.faults == (), str(report)
    *_, found, density = str(report).splitlines()
    if report.base is None:
        assert density == "No fault found in the layers."
    else:
        assert found == "No fault found in the layers."
        assert density.startswith("Whether the density is right: `tfpf.diagnostics.latent_norm")


def test_numbers_of_a_row():
    """Of y = diag(4, 1/2) x + 1 all is known."""
    scale = tfb.ScaleMatvecDiag([4.0, 0.5])
    whole = tfpf.distributions.Flow(
        tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfb.Chain([tfb.Shift(1.0), scale])
    )
    x = np.array([[1.0, 1.0], [5.0, 0.0], [-3.0, 2.0]])
    report = tfpf.diagnose(whole, x)
    shift, scale = report.rows
    assert [row.layer for row in report.rows] == ["0 shift", "1 scale_matvec_diag"]
    assert shift.values == (-4.0, 4.0) and shift.log_dets == (0.0, 0.0)
    assert scale.values == (-2.0, 2.0)
    np.testing.assert_allclose(scale.log_dets, [-np.log(2), -np.log(2)], rtol=1e-6)
    np.testing.assert_allclose([shift.condition, scale.condition], [1.0, 8.0], rtol=1e-5)
    assert scale.round_trip == 0 and scale.log_det_error < 1e-6
    assert scale.outside is scale.saturated is scale.context_effect is None
    assert report.num_rows == 3 and report.base.finite == 1
    np.testing.assert_allclose(report.base.log_probs[1], -np.log(2 * np.pi), rtol=1e-6)


def test_the_words_for_faults_are_listed_where_a_fault_is_described():
    # From Python 3.13 on, docstrings have no indentation.
    listed = re.findall(r'^ *- "(.*)":', tfpf.diagnostics.Fault.__doc__, re.MULTILINE)
    assert listed == list(HELP)


def test_shares_are_those_of_rows():
    spline = coupling(B.RationalQuadraticSpline, num_bins=4, bound=1.0)
    row = tfpf.diagnose(spline, X).rows[0]
    worst = max(np.mean(np.abs(X[:, i]) > 1.0) for i in (1, 2))
    np.testing.assert_allclose(row.outside, worst, atol=1e-6)
    half = np.where(np.arange(300)[:, np.newaxis] < 75, -1.0, 0.5) * np.ones(3)
    assert tfpf.diagnose(tfb.Exp(), half).rows[0].finite == 0.75


def test_context_that_does_not_vary_is_no_fault():
    whole, x, context = ignoring()
    report = tfpf.diagnose(whole, x, np.ones_like(context))
    assert report.rows[2].context_effect is None
    assert all("ignores context" not in row.faults for row in report.rows)


def test_weights_are_as_before():
    whole, x, context = without_training()
    before = [v.numpy() for v in whole.variables]
    report = tfpf.diagnose(whole, x, context)
    assert np.isnan(report.rows[0].context_effect)
    for old, new in zip(before, whole.variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_faults_of_the_data():
    x = np.concatenate([X, 3.0 - 2.0 * X[:, :1], np.ones([300, 1])], axis=1)
    x[5, 0] = np.nan
    report = tfpf.diagnose(tfb.Scale(2.0), x)
    assert report.data.constant == (4,) and report.data.dependent == ((0, 3),)
    np.testing.assert_allclose(report.data.not_finite, 1 / 300)
    assert [fault.word for fault in report.faults[:3]] == [
        "data not finite",
        "constant column",
        "dependent columns",
    ]
    assert "dependent columns (0, 3)" in str(report) and "constant column 4" in str(report)
    sums = np.concatenate([X, X.sum(axis=1, keepdims=True)], axis=1)
    assert tfpf.diagnose(tfb.Scale(2.0), sums).data.dependent == ((0, 1, 2, 3),)
    near = np.concatenate([X, X[:, :1] + 0.01 * X[:, 1:2] * X[:, 2:]], axis=1)
    assert tfpf.diagnose(tfb.Scale(2.0), near).data.dependent == ()
    # In a few rows of many a column may well be constant.
    rare = np.concatenate([np.tile(X, [20, 1]), np.zeros([6000, 1])], axis=1)
    rare[17, 3] = 1.0
    assert tfpf.diagnose(tfb.Scale(2.0), rare).data.constant == ()


def test_faults_of_the_base():
    whole = tfpf.distributions.Flow(tfd.Sample(tfd.Uniform(-1.0, 1.0), 3), tfb.Scale(1.0))
    assert tfpf.diagnose(whole, X).first_fault == ("base", "outside the support")
    deaf = Deaf(tfpf.layers.MLP(6, ()))
    deaf.network.build((None, 2))
    location = tf.Variable(np.nan)
    whole = tfpf.distributions.Flow(tfd.Sample(tfd.Normal(location, 1.0), 3), tfb.Scale(1.0))
    assert tfpf.diagnose(whole, X).first_fault == ("base", "weights not finite")


def test_a_flow_within_a_flow_and_one_layer_twice():
    layer = coupling()
    whole = tfpf.distributions.Flow(flow(), tfb.Chain([layer, tfb.Permute([1, 2, 0]), layer]))
    labels = [row.layer for row in tfpf.diagnose(whole, X).rows]
    expected = ["coupling", "permute", "coupling"] * 2 + ["lu_linear"]
    assert labels == [f"{i} {name}" for i, name in enumerate(expected)]


def test_columns_that_are_taken_apart():
    """TFP makes of it a split, a map and a join: the parts of the map are layers."""
    parts = tfb.Blockwise([tfb.Scale(2.0), coupling(), tfb.Chain([tfb.Shift(1.0)])], [1, 3, 2])
    report = tfpf.diagnose(parts, rng.normal(size=(100, 6)))
    labels = [row.layer for row in report.rows]
    assert labels == ["0 scale", "1 coupling", "2 shift"] and report.first_fault is None


def test_large_events_are_not_compared_with_autodiff():
    whole = flow()
    rows = tfpf.diagnose(whole, X, max_jacobian_size=2).rows
    assert all(row.condition is None for row in rows) and rows[0].round_trip < 1e-5
    wide = tfb.Chain([tfb.Scale(2.0), tfb.Permute(list(range(700))[::-1])])
    first, second = tfpf.diagnose(wide, rng.normal(size=(20, 700))).rows
    assert first.condition == 1 and second.condition is None


def test_rows_are_thinned_out_by_the_seed():
    bijector = coupling()
    one, same, other = (
        tfpf.diagnose(bijector, X, num_rows=50, seed=seed, num_jacobian_rows=1)
        for seed in (1, 1, 2)
    )
    assert one.num_rows == 50 and one == same
    assert one.rows[0].values != other.rows[0].values


def test_double_precision_and_models():
    whole = tfpf.flows.nice(3, num_layers=2, hidden_units=(4,), seed=1, dtype="float64")
    report = tfpf.diagnose(tfpf.FlowModel(whole), X)
    assert report.first_fault is None and report.rows[0].log_det_error < 1e-12


@pytest.mark.parametrize(
    ("arguments", "options", "error", "word"),
    [
        ((3, X), {}, TypeError, "flow_or_bijector"),
        ((BASE, X), {}, TypeError, "flow"),
        ((flow(), X[:, :2]), {}, ValueError, "x"),
        ((flow(), X[:1]), {}, ValueError, "x"),
        ((flow(), [["a"] * 3] * 2), {}, TypeError, "x"),
        ((flow(), X, CONTEXT), {}, ValueError, "context"),
        ((flow(context_size=2), X), {}, ValueError, "context"),
        ((flow(context_size=2), X, CONTEXT[:7]), {}, ValueError, "context"),
        ((flow(context_size=2), X, CONTEXT[:, :1]), {}, ValueError, "context"),
        ((tfpf.condition(flow(context_size=2), CONTEXT), X), {}, ValueError, "flow"),
        ((flow(), X), {"num_rows": 1}, ValueError, "num_rows"),
        ((flow(), X), {"num_jacobian_rows": 0}, ValueError, "num_jacobian_rows"),
        ((flow(), X), {"max_jacobian_size": -1}, ValueError, "max_jacobian_size"),
        ((flow(), X), {"seed": 0.5}, TypeError, "seed"),
    ],
)
def test_bad_input(arguments, options, error, word):
    with pytest.raises(error, match=f"`{word}`") as caught:
        tfpf.diagnose(*arguments, **options)
    assert "Received: " in str(caught.value)
