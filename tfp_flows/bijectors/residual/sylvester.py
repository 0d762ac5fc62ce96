"""The Sylvester bijector: M planar moves at once, along orthonormal directions."""

from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike
from tensorflow_probability.python.internal import parameter_properties

from tfp_flows import _checks
from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.residual._clip_raw_parameters import clip_raw_parameters
from tfp_flows.math._elementwise import exp_asinh, tanh_and_slope
from tfp_flows.math.linalg._orthonormal_columns import orthonormal_columns
from tfp_flows.math.linalg.householder import householder_columns
from tfp_flows.math.solvers._triangular_tanh import solve_triangular_tanh

FORMS = ("orthogonal", "householder", "triangular")


class Sylvester(FlowBijector):
    """y = x + Q R tanh(T Q^T x + b), with Q^T Q = I, R and T upper triangular.

    `forward` is a closed form, O(D M) a point for M units. `inverse` reduces to M unknowns,
    `Q^T y = s + R tanh(T s + b)`, where s = Q^T x: one search of a number for each of them, from
    the last to the first (`tfp_flows.math.find_root`), so that it finds the solution always. By
    Sylvester's determinant identity

        log |det dy/dx| = sum_i log(1 + tanh'(z_i) r_ii t_ii),    z = T Q^T x + b,

    in nats, O(M), where p_i = 1 + r_ii t_ii is positive. (The paper writes R~ for T.) Q has one
    of three forms:

    - `"orthogonal"`: the Gram-Schmidt orthonormalisation of a D x M matrix, by QR. (The paper
      iterates instead; QR took a quarter of the time and is exact.) Where that matrix has a lower
      rank than M, which almost none has, Q jumps, and gradients are large but finite.
    - `"householder"`: the first M columns of a product of reflections.
    - `"triangular"`: M columns of the identity or of a permutation.

    Shapes: `x` is `[..., D]`, `params` is `[..., P]`; their batch shapes broadcast. Domain: all
    reals, onto all reals.

    Raw parameters, of shape `[..., P]`: the D M numbers of the matrix minus the identity, or D
    for each reflection, or none; then M x M: above the diagonal those of R, below it those of T,
    transposed, on it what r_ii is made of; then the diagonal of T minus one, and b. As in
    `Planar` r_ii gets as much more as makes p_i = exp(asinh(r_ii t_ii)), whatever the numbers
    are. The identity at zero, where the gradient with respect to R does not vanish. Numbers
    beyond +-1e6 count as +-1e6.

    Source: van den Berg, Hasenclever, Tomczak and Welling (2018), Sylvester normalizing flows
    for variational inference, arXiv:1803.05649, eq. 8 to 13 and theorem 2.

    Args:
      params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
      event_size: D.
      num_units: M, at most D; the smaller of D and 16 when it is `None`.
      form: `"orthogonal"`, `"householder"` or `"triangular"`.
      num_reflections: of the form `"householder"`; M when it is `None`.
      permutation: of the form `"triangular"`: `range(D)` in another order, whose first M are the
        coordinates that Q^T takes; in the same order when it is `None`.
      validate_args: Python `bool`. With it a y without a root is an error, else x is NaN there.
      name: Python `str`.

    Raises:
      ValueError: if a number is out of its range, or the last axis of `params` is not P.
    """

    _increases = True

    def __init__(
        self,
        params: ArrayLike,
        event_size: int,
        num_units: int | None = None,
        form: str = "orthogonal",
        num_reflections: int | None = None,
        permutation: ArrayLike | None = None,
        validate_args: bool = False,
        name: str = "sylvester",
    ) -> None:
        parameters = dict(locals())
        size = self.params_size(event_size, num_units, form, num_reflections, permutation)
        with tf.name_scope(name):
            dtype = self._keep(params=params)
            _checks.last_axis(self._params, size, "params")
            self._num_units = _checked_num_units(num_units, event_size)
            self._form = form
            self._permutation = self._no_dependency(permutation)
            super().__init__(
                event_size=event_size,
                forward_min_event_ndims=1,
                dtype=dtype,
                validate_args=validate_args,
                parameters=parameters,
                name=name,
            )

    @property
    def params(self) -> tf.Tensor | tf.Variable:
        """The raw parameters, `[..., P]`."""
        return self._params

    @property
    def form(self) -> str:
        """Which Q it is."""
        return self._form

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict[str, Any]:
        unknown = parameter_properties.SHAPE_FN_NOT_IMPLEMENTED  # P depends on units and form
        return {"params": tfp.util.ParameterProperties(event_ndims=1, shape_fn=unknown)}

    @staticmethod
    def params_size(
        event_size: int,
        num_units: int | None = None,
        form: str = "orthogonal",
        num_reflections: int | None = None,
        permutation: ArrayLike | None = None,
        validate_args: bool = False,
        name: str | None = None,
    ) -> int:
        """Number of raw parameters: M (M + 2), and those of Q. Takes the keywords of `new`."""
        del validate_args, name
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        num_units = _checked_num_units(num_units, event_size)
        _checks.one_of(form, FORMS, "form")
        if num_reflections is None:
            num_reflections = num_units
        elif form != "householder":
            raise ValueError(
                '`num_reflections` is for the form "householder". '
                f"Received: form={form!r}, num_reflections={num_reflections!r}"
            )
        if permutation is not None:
            _checks.permutation(permutation, event_size, "permutation")
            if form != "triangular":
                raise ValueError(
                    '`permutation` is for the form "triangular". '
                    f"Received: form={form!r}, permutation={permutation!r}"
                )
        _checks.integer_at_least(num_reflections, 1, "num_reflections")
        frame = {"orthogonal": num_units, "householder": num_reflections, "triangular": 0}[form]
        return frame * event_size + num_units * (num_units + 2)

    @classmethod
    def new(
        cls,
        params: ArrayLike,
        event_size: int,
        num_units: int | None = None,
        form: str = "orthogonal",
        num_reflections: int | None = None,
        permutation: ArrayLike | None = None,
        validate_args: bool = False,
        name: str = "sylvester",
    ) -> Self:
        """Makes the bijector from raw parameters; the constructor under the name of all others."""
        return cls(
            params,
            event_size,
            num_units,
            form,
            num_reflections,
            permutation,
            validate_args=validate_args,
            name=name,
        )

    def _parts(self) -> tuple[tf.Tensor, ...]:
        """Returns `(Q, R, T, b, p)`; Q is `[..., D, M]`, R and T `[..., M, M]`."""
        params = clip_raw_parameters(self._params)
        m = self._num_units
        frame, square = params[..., : -m * (m + 2)], params[..., -m * (m + 2) : -2 * m]
        square = tf.reshape(square, tf.concat([tf.shape(params)[:-1], [m, m]], axis=0))
        t = 1.0 + params[..., -2 * m : -m]
        r = tf.linalg.diag_part(square)
        a = r * t
        # p - 1 - a = a^2 / (1 + sqrt(1 + a^2)), over t.
        r *= 1.0 + a / (1.0 + tf.sqrt(1.0 + tf.square(a)))
        upper_r = tf.linalg.set_diag(tf.linalg.band_part(square, 0, -1), r)
        lower_t = tf.linalg.set_diag(tf.linalg.band_part(square, -1, 0), t)
        upper_t = tf.linalg.matrix_transpose(lower_t)
        return self._frame(frame), upper_r, upper_t, params[..., -m:], exp_asinh(a)

    def _frame(self, raw: tf.Tensor) -> tf.Tensor:
        """Q `[..., D, M]` from its raw numbers."""
        size, m = self._event_size, self._num_units
        if self._form == "triangular":
            order = np.arange(size) if self._permutation is None else self._permutation
            return tf.constant(np.eye(size)[:, order][:, :m], raw.dtype)
        width = m if self._form == "orthogonal" else raw.shape[-1] // size
        shape = [size, m] if self._form == "orthogonal" else [width, size]
        raw = tf.reshape(raw, tf.concat([tf.shape(raw)[:-1], shape], axis=0))
        if self._form == "householder":
            # At zero reflections along the axes, since a zero vector has no gradient.
            axes = np.eye(size)[np.arange(width) % size]
            return householder_columns(raw + tf.constant(axes, raw.dtype), m)
        return orthonormal_columns(raw + tf.eye(size, m, dtype=raw.dtype))

    def _move(
        self, frame: tf.Tensor, r: tf.Tensor, z: tf.Tensor, p: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns `Q R tanh(z)` and the log-det."""
        h, slope = tanh_and_slope(z)
        move = _row_times(h, tf.matmul(r, frame, transpose_a=True, transpose_b=True))
        return move, tf.reduce_sum(tf.math.log(tf.square(h) + slope * p), axis=-1)

    def _forward_and_log_det(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        frame, r, t, b, p = self._parts()
        z = _row_times(_seen(x), tf.matmul(frame, t, transpose_b=True)) + b
        move, log_det = self._move(frame, r, z, p)
        return x + move, log_det

    def _inverse_and_log_det(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        frame, r, t, b, p = self._parts()
        s = solve_triangular_tanh(_row_times(_seen(y), frame), r, t, b, p)
        if self.validate_args:
            s = tf.debugging.assert_all_finite(s, f"`{self.name}` found no x for some y.")
        z = _row_times(s, tf.linalg.matrix_transpose(t)) + b
        move, log_det = self._move(frame, r, z, p)
        return y - move, -log_det


def _seen(x: tf.Tensor) -> tf.Tensor:
    """x as tanh sees it: flat so far out, and sums of products of longer vectors would overflow."""
    limit = x.dtype.max**0.5
    size = tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=-1, keepdims=True))
    return x * (limit / tf.maximum(size, limit))


def _row_times(x: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """x^T A over the last axis of x `[..., D]`, for A `[..., D, M]`."""
    if matrix.shape.rank == 2:
        return tf.tensordot(x, matrix, axes=1)
    return tf.linalg.matvec(matrix, x, transpose_a=True)


def _checked_num_units(num_units: int | None, event_size: int) -> int:
    if num_units is None:
        return min(event_size, 16)
    num_units = _checks.integer_at_least(num_units, 1, "num_units")
    if num_units > event_size:
        raise ValueError(
            f"`num_units` must be at most D = {event_size}. Received: num_units={num_units}"
        )
    return num_units
