"""Derivatives of derivatives of implicit functions: right, or refused, never wrong or missing."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.math import (
    EULER,
    adjoint,
    find_root,
    fixed_point,
    fixed_steps,
    jacobi,
    power_series_log_det,
    spectral_norm_bound,
)
from tfp_flows.math.linalg._triangular_inverse import with_triangular_gradient

D = 3
RNG = np.random.default_rng(0)
X, ALONG = (tf.constant(RNG.normal(size=[1, D])) for _ in range(2))
BELOW = tf.constant(np.tril(RNG.normal(size=[D, D]), -1))


def point(x, start):
    return fixed_point(lambda z: x + 0.5 * tf.sin(z) * tf.sin(x), start).point


def of_fixed_point(x):
    return point(x, solution(point))


def root(x, start, radius=0.01):
    value_and_slope = lambda z: (z + 0.5 * tf.sin(z) * x, 1.0 + 0.5 * tf.cos(z) * x)  # noqa: E731
    return find_root(value_and_slope, x, lower=start - radius, upper=start + radius).root


def of_find_root(x):
    return root(x, solution(root))


@functools.cache
def solution(solve):
    """That of X, where searches start: forward mode traces each operation of each iteration."""
    return solve(X, X)


def of_jacobi(x, output):
    def function(y):
        h = tf.linalg.matvec(BELOW, y)
        return tf.sinh(0.5 * h) + x * tf.exp(tf.sin(h)), tf.sin(h) + h * x

    return jacobi(function, tf.zeros_like(x), range(D))[output]


def of_triangular_inverse(x):
    def value_and_slope(z):
        return z * tf.exp(x) + tf.sin(tf.linalg.matvec(BELOW, z)), tf.exp(x) + tf.zeros_like(z)

    z = tf.zeros_like(x)
    for _ in range(D):
        z = (x - tf.sin(tf.linalg.matvec(BELOW, z))) / tf.exp(x)
    return with_triangular_gradient(value_and_slope, z, x)


def of_power_series(x):
    function = lambda z: 0.3 * tf.sin(z * x) + 0.2 * tf.reverse(z, [-1])  # noqa: E731
    return power_series_log_det(function, x, tf.ones_like(x), 2)[1]


def of_spectral_norm(x):
    return spectral_norm_bound(x * tf.linalg.diag(x[0]) + tf.ones([D, D], tf.float64))


def of_adjoint(x, output, **options):
    solve = functools.partial(fixed_steps, num_steps=20, **options)
    return adjoint(lambda t, z: (tf.sin(z * x), z * x), x, 0.0, 1.0, solve)[output]


# What it is, and whether forward mode and second derivatives are right (else: refused).
CASES = {
    "find_root": (of_find_root, True, True),
    "fixed_point": (of_fixed_point, True, False),
    "jacobi": (functools.partial(of_jacobi, output=0), True, False),
    "jacobi, extra": (functools.partial(of_jacobi, output=1), True, False),
    "triangular_inverse": (of_triangular_inverse, True, False),
    "power_series": (of_power_series, True, False),
    "spectral_norm": (of_spectral_norm, True, True),
    "adjoint": (functools.partial(of_adjoint, output=0), False, False),
    "adjoint, integral": (functools.partial(of_adjoint, output=1), False, False),
}
# What refuses the same, and takes less to trace.
QUICK = {"adjoint": functools.partial(of_adjoint, output=0, tableau=EULER)}
# A loss that is linear in the result has a constant cotangent; of a mixed one the other part is
# what is left when the result's second derivative is dropped.
LOSSES = {
    "linear": lambda result, x: 2.0 * tf.reduce_sum(result(x)),
    "mixed": lambda result, x: tf.reduce_sum(x**2) + tf.reduce_sum(result(x)),
}


def reverse(f, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = f(x)
    return tape.gradient(value, x)


def forward(f, x):
    with tf.autodiff.ForwardAccumulator(x, ALONG) as accumulator:
        value = f(x)
    return accumulator.jvp(value, tf.UnconnectedGradients.ZERO)


def twice_by_one_tape(f, x):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        gradient = tape.gradient(f(x), x)
    return tape.gradient(gradient, x, ALONG)


def by_jacobian(f, x):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        gradient = reverse(f, x)
    hessian = tape.jacobian(gradient, x, experimental_use_pfor=False)
    return tf.reshape(tf.linalg.matvec(tf.reshape(hessian, [D, D]), ALONG[0]), [1, D])


SECOND = {
    "reverse over reverse": lambda f, x: reverse(lambda x: tf.reduce_sum(reverse(f, x) * ALONG), x),
    "one persistent tape": twice_by_one_tape,
    "jacobian": by_jacobian,
    "forward over reverse": lambda f, x: forward(lambda x: reverse(f, x), x),
    "reverse over forward": lambda f, x: reverse(lambda x: forward(f, x), x),
}


@pytest.mark.parametrize("case", CASES)
def test_right_or_refused(case):
    result, has_forward, has_second = CASES[case]
    f = functools.partial(LOSSES["mixed"], result)
    linear, quick = (functools.partial(loss, QUICK.get(case, result)) for loss in LOSSES.values())
    h, ends = 1e-5, (X + 1e-5 * ALONG, X - 1e-5 * ALONG)

    def difference(function):
        up, down = (function(p) for p in ends)
        return (up - down) / (2 * h)

    first = difference(f)
    np.testing.assert_allclose(tf.reduce_sum(reverse(f, X) * ALONG), first, rtol=1e-6)
    if has_forward:
        np.testing.assert_allclose(forward(f, X), first, rtol=1e-6)
    else:
        with pytest.raises(LookupError, match="first derivatives only"):
            forward(f, X)
    if not has_second:
        with pytest.raises(LookupError, match="first derivatives only"):
            SECOND["reverse over reverse"](linear, X)
    # Its gradients take long to trace, and refuse as those of the other output.
    ways = {} if case == "adjoint, integral" else SECOND
    # The series itself has derivatives of every order, which forward mode takes.
    own = "reverse over forward" if case == "power_series" else None
    if has_second or own:
        second = difference(functools.partial(reverse, f))
    for name, way in ways.items():
        if has_second or name == own:
            np.testing.assert_allclose(way(f, X), second, rtol=1e-6, atol=1e-8, err_msg=name)
        else:
            with pytest.raises(LookupError, match="first derivatives only"):
                way(quick, X)


@pytest.mark.parametrize(
    ("case", "jit_compile"),
    [
        ("fixed_point", False),
        ("fixed_point", True),  # for all: the error is one of the trace
        # Traced for a second; they raise by the same means, and in eager mode above.
        pytest.param("jacobi, extra", False, marks=pytest.mark.slow),
        pytest.param("power_series", False, marks=pytest.mark.slow),
        # Traced, too, where eager mode refuses it above.
        pytest.param("adjoint", False, marks=pytest.mark.slow),
    ],
)
def test_graphs_refuse_too(case, jit_compile):
    """AutoGraph passes the error on as it is."""
    f = functools.partial(LOSSES["mixed"], QUICK.get(case, CASES[case][0]))
    way = SECOND["reverse over reverse"]
    with pytest.raises(LookupError, match="first derivatives only"):
        tf.function(lambda x: way(f, x), jit_compile=jit_compile)(X)


def test_the_example_of_a_sum():
    """sum(x^2 + z), z = x + sin(z) / 2: without the last term its second derivative would be 2."""
    x = tf.constant([[0.7]], tf.float64)

    def loss(x):
        return tf.reduce_sum(x**2 + fixed_point(lambda z: x + 0.5 * tf.sin(z), x).point)

    with pytest.raises(LookupError, match="`fixed_point` has first derivatives only"):
        reverse(lambda x: reverse(loss, x), x)


def test_a_map_that_holds_a_tape():
    """Solvers evaluate it where its own tapes record."""
    below = tf.constant([[0.0, 0.0], [0.5, 0.0]], tf.float64)

    def function(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = tf.reduce_sum(y**3) / 3.0
        return 1.0 + tf.linalg.matvec(below, tape.gradient(value, y)), y

    y = jacobi(function, tf.zeros([1, 2], tf.float64), (0, 1)).point
    np.testing.assert_allclose(y, [[1.0, 1.5]], rtol=1e-12)
