"""Every transformer at the largest and the smallest numbers of a dtype: never NaN."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf

B = tfpf.bijectors
LINEAR = {"tails": "linear"}
SQUARES = {"num_polynomials": 2, "degree": 2}
FORMS = [
    (B.Affine, {}),
    (B.Affine, {"max_log_scale": 2.0}),
    (B.LinearSpline, {}),
    (B.QuadraticSpline, LINEAR),
    (B.CubicSpline, LINEAR),
    (B.RationalQuadraticSpline, LINEAR),
    (B.CircularSpline, {}),
    (B.LogisticMixtureCDF, {"num_components": 3}),
    (B.DeepSigmoid, {"num_layers": 2, "num_units": 3}),
    (B.DenseDeepSigmoid, {"num_layers": 2, "num_units": 2}),
    (B.MonotoneIntegral, {"hidden_units": (3,), "num_nodes": 8}),
    (B.SumOfSquares, SQUARES),
    (B.SumOfSquares, SQUARES | {"bound": 2.0, "tails": "unit"}),
    *(
        (B.MonotoneActivations, {"num_units": 3, "activation": name})
        for name in ("sigmoid", "tanh", "softsign", "softplus", "leaky_relu")
    ),
]
IDS = ["_".join([cls.__name__, *map(str, kwargs.values())]) for cls, kwargs in FORMS]


def points(dtype):
    info = np.finfo(dtype)
    sizes = [info.max, 0.5 * info.max, float(info.max) ** 0.5, info.tiny, info.smallest_subnormal]
    return np.array([0.0, *sizes, *(-s for s in sizes)], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cls", "kwargs"), FORMS, ids=IDS)
def test_no_nan(cls, kwargs, dtype):
    """Of value and log-det, and of the gradient of each to x."""
    rng, x = np.random.default_rng(0), points(dtype)
    scales = np.array([0.0, 1.0, 3.0])[:, np.newaxis, np.newaxis]
    raw = scales * rng.normal(size=[3, len(x), cls.params_size(**kwargs)])
    bijector = cls.new(tf.constant(raw, dtype), **kwargs)
    x = tf.constant(np.broadcast_to(x, [3, len(x)]))
    for run in (bijector.forward_and_log_det, bijector.inverse_and_log_det):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            results = run(x, 0)
        assert np.all(np.isfinite(results[1]))
        gradients = [tape.gradient(t, x, unconnected_gradients="zero") for t in results]
        for t in (results[0], *gradients):
            assert not np.any(np.isnan(t))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["softplus", "leaky_relu"])
def test_a_small_weight_brings_back_what_a_large_slope_took_away(activation, dtype):
    """w a x is a number, though a x is none."""
    size = np.log(1e3)
    bijector = B.MonotoneActivations(
        *(tf.constant(t, dtype) for t in ([-size], [size], [0.0], -size, 0.0)), activation
    )
    x = tf.constant([0.5 * np.finfo(dtype).max, 3e30], dtype)
    y, log_det = bijector.forward_and_log_det(x, 0)
    np.testing.assert_allclose(y / x, [1.001, 1.001], rtol=1e-5)
    np.testing.assert_allclose(log_det, np.log(1.001), rtol=1e-3)
    np.testing.assert_allclose(bijector.inverse(y) / x, [1.0, 1.0], rtol=1e-5)
