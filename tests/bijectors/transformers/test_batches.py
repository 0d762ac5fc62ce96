"""Batches of parameters: whichever of them carries the batch, as a loop over scalars has it."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tfpf

B = tfpf.bijectors


def normal(*event, mean=0.0):
    """A maker of numbers of an event shape, for a batch."""
    return lambda rng, batch: rng.normal(mean, 1.0, size=(*batch, *event))


def positive(*event, size=1.0):
    return lambda rng, batch: size * rng.uniform(0.5, 1.5, size=(*batch, *event))


def adding_up_to(total, num_bins):
    def make(rng, batch):
        sizes = rng.uniform(0.5, 1.5, size=(*batch, num_bins))
        return total * sizes / sizes.sum(-1, keepdims=True)

    return make


BINS = {"bin_widths": positive(3), "bin_heights": positive(3)}
EQUAL_SUMS = {name: adding_up_to(4.0, 3) for name in BINS}
CIRCLE = {name: adding_up_to(2.0 * math.pi, 3) for name in BINS}
START = {"range_min": normal(mean=-2.0)}
SIGMOIDS = {"log_slope": normal(2, 3), "shift": normal(2, 3), "logits": normal(2, 3)}
MIXTURE = {"logits": normal(3), "loc": normal(3), "log_scale": normal(3)}
UNITS = {"log_weight": normal(3), "log_slope": normal(3), "bias": normal(3)}
SQUARES = {"coefficients": normal(2, 3), "shift": normal()}
TAILS = {"bound": 1.0, "tails": "unit", "min_slope": 0.1}
DENSE = {"num_layers": 2, "num_units": 2}
INTEGRAL = {"hidden_units": (3, 2), "num_nodes": 16}

# What makes the transformer, its tensors, and its other arguments.
FORMS = {
    "affine": (B.Affine, {"shift": normal(), "log_scale": normal()}, {}),
    "linear": (B.LinearSpline, EQUAL_SUMS | START, {}),
    "quadratic": (
        B.QuadraticSpline,
        {"bin_widths": positive(3), "knot_slopes": positive(4)} | START,
        {},
    ),
    "cubic": (B.CubicSpline, BINS | {"end_slopes": positive(2, size=0.5)} | START, {}),
    "rational": (B.RationalQuadraticSpline, EQUAL_SUMS | {"knot_slopes": positive(1)} | START, {}),
    "circular": (
        B.CircularSpline,
        CIRCLE | {"knot_slopes": positive(3), "shift": normal(), "range_min": normal(mean=-3.0)},
        {},
    ),
    "mixture": (B.LogisticMixtureCDF, MIXTURE | {"log_slope": normal(), "shift": normal()}, {}),
    "deep_sigmoid": (B.DeepSigmoid, SIGMOIDS, {}),
    "dense": (B.DenseDeepSigmoid, {"params": normal(B.DenseDeepSigmoid.params_size(2, 2))}, DENSE),
    "integral": (
        B.MonotoneIntegral,
        {"shift": normal(), "network": normal(B.MonotoneIntegral.params_size((3, 2)) - 1)},
        INTEGRAL,
    ),
    "squares": (B.SumOfSquares, SQUARES, TAILS),
    "activations": (B.MonotoneActivations, UNITS | {"log_linear": normal(), "shift": normal()}, {}),
}


def draw(form, batches, seed=0):
    """The tensors of a form; `batches` says which of them have one, and of what shape."""
    rng, makers = np.random.default_rng(seed), FORMS[form][1]
    return {name: make(rng, batches.get(name, ())) for name, make in makers.items()}


def make(form, tensors):
    cls, _, options = FORMS[form]
    return cls(**{name: tf.constant(t) for name, t in tensors.items()}, **options)


def looped(form, tensors, batches, x):
    """Value and log-slope of each element, from a transformer without a batch of its own.

    Elements along the last axis share one if all tensors do.
    """
    shape = np.broadcast_shapes(x.shape, *batches.values())
    wide = {}
    for name, t in tensors.items():
        event = t.shape[len(batches.get(name, ())) :]
        wide[name] = np.broadcast_to(t, shape + event)
    x, results = np.broadcast_to(x, shape), np.zeros((2, *shape))
    is_row = len(shape) > 1 and all(batch[-1:] in ((), (1,)) for batch in batches.values())
    for i in np.ndindex(shape[:-1] if is_row else shape):
        of_one = (*i, 0) if is_row else i
        bijector = make(form, {name: t[of_one] for name, t in wide.items()})
        results[(slice(None), *i)] = bijector.forward_and_log_det(tf.constant(x[i]))
    return x, *results


def assert_as_looped(form, batches, x):
    tensors = draw(form, batches)
    bijector = make(form, tensors)
    x_wide, y, log_det = looped(form, tensors, batches, x)
    assert_close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
    period = 2.0 * math.pi if form == "circular" else None
    back, inverse = bijector.inverse_and_log_det(tf.constant(y))
    for value, expected in ((bijector.forward(tf.constant(x)), y), (back, x_wide)):
        assert value.shape == y.shape
        # An angle may be given outside of the circle.
        turns = 0.0 if period is None else np.round((value - expected) / period) * period
        assert_close(value - turns, expected)
    # Asked for alone, it must have the whole batch, too.
    forward = bijector.forward_log_det_jacobian(tf.constant(x), 0)
    assert forward.shape == inverse.shape == y.shape
    assert_close(forward, log_det)
    assert_close(inverse, -log_det)


@pytest.mark.parametrize("form", FORMS)
def test_one_tensor_alone_carries_the_batch(form):
    """Beside an x that has a batch of its own, or none."""
    for name in FORMS[form][1]:
        assert_as_looped(form, {name: (2, 1)}, np.array([-0.9, 0.4]))
    # The last of them is the shift, or where the knots begin.
    assert_as_looped(form, {name: (2,)}, np.array(0.3))


@pytest.mark.parametrize("form", FORMS)
def test_tensors_have_batches_of_different_ranks(form):
    names = list(FORMS[form][1])
    shapes = [(2,), (2, 1), (2, 2), (), (1, 2)]
    batches = {name: shapes[i % 5] for i, name in enumerate(names)}
    assert_as_looped(form, batches, np.array([[-0.9, 0.4]]))


@pytest.mark.parametrize("form", ["linear", "cubic", "circular"])
def test_every_tensor_has_the_batch_of_x(form):
    """Where rows are put on the last axis."""
    batches = dict.fromkeys(FORMS[form][1], (2, 2))
    assert_as_looped(form, batches, np.array([[-0.9, 0.1], [0.2, -0.4]]))


def test_the_examples_of_outside_trials():
    bijector = B.LinearSpline([0.5, 1.5], [1.0, 1.0], range_min=[[0.0], [-5.0], [2.0]])
    y = bijector.forward([[0.25], [-4.0], [2.5]])
    np.testing.assert_allclose(y[:, 0], [0.5, -11.0 / 3.0, 3.0], rtol=1e-6)
    squares = B.SumOfSquares(tf.ones([2, 3]), shift=[0.0, 1.0, 2.0])
    y = squares.forward(0.5)
    np.testing.assert_allclose(y - y[0], [0.0, 1.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(squares.inverse(y), [0.5] * 3, rtol=1e-6)


def test_unknown_batches():
    """Shapes that only the run shows."""

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None], tf.float64),
            tf.TensorSpec([None, None, 1], tf.float64),
        ],
    )
    def both(x, start):
        tensors = {"bin_widths": [0.5, 1.5], "bin_heights": [1.0, 1.0], "range_min": start[..., 0]}
        spline = B.LinearSpline(**{k: tf.cast(t, tf.float64) for k, t in tensors.items()})
        return spline.forward_and_log_det(x)

    x, start = np.array([0.25, 0.5, 0.75]), np.array([[[0.0]], [[-5.0]]])
    y, log_det = both(x, start)
    assert y.shape == log_det.shape == (2, 3)
    np.testing.assert_allclose(y, [[0.5, 1.0, 1.0 + 0.25 / 1.5], x], rtol=1e-12)
