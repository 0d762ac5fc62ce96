"""The solution of an ordinary differential equation, with gradients by its adjoint."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow.python.eager import record

from tfp_flows.math._first_derivatives_only import first_derivatives_only
from tfp_flows.math.ode._way_back import solve_back
from tfp_flows.math.ode.runge_kutta import OdeResult


def adjoint(
    function: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor | None]],
    initial: ArrayLike,
    start: float,
    stop: float,
    solve: Callable[..., OdeResult],
    constants: Sequence[tf.Tensor] = (),
    tolerance: float = 1e-2,
    name: str = "adjoint",
) -> tuple[tf.Tensor, tf.Tensor | None]:
    r"""$dz/dt = f(t, z)$, $dq/dt = g(t, z)$

    Solves an ordinary differential equation, with gradients by the adjoint equation.

    Let $a = dL/dz(t)$ and $b = dL/dq(t_1)$ be the cotangents, and w anything that f and g depend
    on. The gradients are

        $da/dt = -a^\top df/dz - b^\top dg/dz$,
        $dL/dw = \int_{t_0}^{t_1} (a^\top df/dw + b^\top dg/dw) \, dt$,

    integrated from $t_1$ back to $t_0$, along with z itself. Memory does not grow with the number
    of steps. The gradients have the error of the solver.

    Where f contracts, errors of z grow on the way back. If $z(t_0)$ is not reached again within
    `tolerance`, the equation is solved once more in 16 segments, each back from its own end. A row
    that misses $z(t_0)$ in the segments as well has the gradient NaN.

    `initial` and all `tf.Variable`s and tensors that `function` captures get gradients. They are
    first derivatives in reverse mode: second derivatives and forward mode raise `LookupError`.

    Source: Chen et al. (2018), Neural ordinary differential equations, arXiv:1806.07366,
    algorithm 1.

    Args:
      function: callable, `(t, z) -> (f, g)`, where t is a scalar, f is `[N, D]`, and g is `[N, K]`
        or `None`. It treats each row by itself. It is traced once, not called in every step.
      initial: float `Tensor` `[N, D]`, $z(t_0)$.
      start: float, $t_0$.
      stop: float, $t_1$.
      solve: callable, `solve(function, state, start, stop, quadrature=...)`, a solver such as
        `dormand_prince`, with its options bound.
      constants: tensors that `function` captures and that need no gradient.
      tolerance: positive float, the largest error of $z(t_0)$ on the way back, in units of
        max(1, |z|).
      name: Python `str`.

    Returns:
      $z(t_1)$ `[N, D]`, and $q(t_1)$ `[N, K]`, with $q(t_0) = 0$, or `None`. A row that the solver
      could not solve is NaN.

    Example:
      >>> import tfp_flows as tfpf
      >>> z, q = tfpf.math.adjoint(  # dz/dt = -z, dq/dt = z
      ...     lambda t, z: (-z, z), [[2.0]], 0.0, 1.0, solve=tfpf.math.dormand_prince)
      >>> z.numpy(), q.numpy()  # 2 exp(-1), 2 - 2 exp(-1); gradients come from any tape
      (array([[0.736]], dtype=float32), array([[1.264]], dtype=float32))

    See also: `tfpf.bijectors.Continuous`.
    """
    with tf.name_scope(name):
        initial = tf.convert_to_tensor(initial, name="initial")
        traced = _traced(function, [tf.TensorSpec([], initial.dtype), _spec(initial)])
        captured = [
            tensor
            for tensor in traced.captured_inputs
            if tensor.dtype.is_floating and all(tensor is not known for known in constants)
        ]
        variables = list(traced.trainable_variables)
        sources = [*captured, *variables]
        integrands = traced.structured_outputs[1]

        def slopes(
            t: tf.Tensor, state: tuple[tf.Tensor, ...]
        ) -> tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
            return tuple(part for part in traced(t, state[0]) if part is not None), ()

        options: dict[str, Any] = {"time": (start, stop), "solve": solve, "tolerance": tolerance}
        backward: Callable[..., Any] = functools.partial(
            _backward, function, traced, sources, **options
        )

        @tf.custom_gradient
        def solved(z: tf.Tensor, *values: tf.Tensor) -> tuple[Any, Callable[..., Any]]:
            # `traced` reads the values itself. As arguments they only say where gradients go.
            state = (z,)
            if integrands is not None:
                state += (tf.zeros([tf.shape(z)[0], integrands.shape[-1]], z.dtype),)
            # Tapes around `tf.custom_gradient` would record what happens inside, and a persistent
            # one would build the second derivatives of each loop at once.
            with record.stop_recording():
                result = solve(slopes, state, start, stop)
            succeeded = result.succeeded
            solution = [_nan_unless(succeeded, part) for part in result.state]

            def gradient(
                *cotangents: tf.Tensor, variables: Sequence[tf.Variable] | None = None
            ) -> Any:
                of_z, of_values = backward((z, solution[0]), succeeded, cotangents)
                parts = (z, *values, *cotangents)
                gradients = [
                    first_derivatives_only(tf.stop_gradient(g), parts, "adjoint")
                    for g in (of_z, *of_values)
                ]
                # The variables get their gradients through their values.
                return gradients if variables is None else (gradients, [None] * len(variables))

            return solution, gradient

        solution = solved(initial, *captured, *(tf.convert_to_tensor(v) for v in variables))
        return solution[0], None if integrands is None else solution[1]


def _backward(
    function: Callable[..., Any],
    traced: Callable[..., Any],
    sources: Sequence[tf.Tensor | tf.Variable],
    ends: tuple[tf.Tensor, tf.Tensor],
    succeeded: tf.Tensor,
    cotangents: Sequence[tf.Tensor],
    time: tuple[float, float],
    solve: Callable[..., OdeResult],
    tolerance: float,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns dL/dz(t_0), and dL/dw of each source w; `ends` are z(t_0) and z(t_1)."""
    # Scaled, since the solver has an absolute tolerance and cotangents may be of any size.
    largest = tf.reduce_max(tf.stack([tf.reduce_max(tf.abs(c)) for c in cotangents]))
    scale = tf.where((largest > 0.0) & tf.math.is_finite(largest), largest, tf.ones_like(largest))
    # A row without a solution, or that no loss depends on, is left out, so that it cannot spoil
    # the gradients of the others.
    counts = succeeded & tf.reduce_any(tf.concat(cotangents, axis=-1) != 0.0, axis=-1)
    a, *b = (_zero_unless(counts, c / scale) for c in cotangents)
    # A row that counts takes its place. Zeros would not do: the field may not be finite there.
    # It is gathered: for a slice at a tensor XLA makes a constant of all that the tensor is
    # computed from, weights included, and compiles every step of training anew.
    one = tf.argmax(tf.cast(counts, tf.int32))
    first, last = (tf.where(counts[:, tf.newaxis], z, tf.gather(z, one)) for z in ends)

    def transposed(
        t: tf.Tensor, z: tf.Tensor, a: tf.Tensor, *b: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]:
        with tf.GradientTape() as tape:
            tape.watch([z, *sources])
            outputs = [part for part in function(t, z) if part is not None]
        of_z, *of_sources = tape.gradient(
            outputs, [z, *sources], [a, *b], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return (outputs[0], -of_z), tuple(-tf.convert_to_tensor(g) for g in of_sources)

    specs = [tf.TensorSpec([], last.dtype), *(_spec(part) for part in (last, a, *b))]
    back = _traced(transposed, specs)

    def found(
        counts: tf.Tensor, first: tf.Tensor, last: tf.Tensor, a: tf.Tensor, *b: tf.Tensor
    ) -> Any:
        nothing = tuple(tf.zeros_like(source) for source in sources)
        return solve_back(
            lambda t, state, weight: back(t, *state, *(weight * c for c in b)),
            (first, last),
            a,
            nothing,
            counts,
            time,
            solve,
            tolerance,
        )

    with record.stop_recording():
        # A graph in eager mode, too, for its loops.
        result = tf.function(found, autograph=False)(counts, first, last, a, *b)
    nan = tf.constant(np.nan, last.dtype)
    of_z = scale * _nan_unless(succeeded & result.succeeded, result.cotangents)
    is_found = tf.reduce_all(result.succeeded)
    return of_z, [tf.where(is_found, scale * q, nan) for q in result.integrals]


def _traced(function: Callable[..., Any], specs: Sequence[tf.TensorSpec]) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def _spec(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(tensor.shape, tensor.dtype)


def _nan_unless(rows: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    return tf.where(rows[:, tf.newaxis], part, tf.constant(np.nan, part.dtype))


def _zero_unless(rows: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    return tf.where(rows[:, tf.newaxis], part, tf.zeros_like(part))
