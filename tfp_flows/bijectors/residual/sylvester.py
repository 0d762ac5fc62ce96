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
    r"""$y = x + Q R \tanh(T Q^\top x + b), \quad Q^\top Q = I$

    A Sylvester flow: M planar moves at once, along orthonormal directions.

    R and T are upper triangular (the paper writes $\tilde{R}$ for T). With $z = T Q^\top x + b$ and
    $p_i = 1 + r_{ii} t_{ii}$, which is positive, Sylvester's determinant identity gives
    $\log |\det dy/dx| = \sum_i \log(1 + \tanh'(z_i) (p_i - 1))$ in nats. Q has one of three forms:

    - `"orthogonal"`: a D x M matrix, orthonormalized by QR. (The paper iterates instead. QR is
      exact and took a quarter of the time.) At a rank below M, Q jumps, with large but finite
      gradients.
    - `"householder"`: the first M columns of a product of reflections.
    - `"triangular"`: M columns of the identity or of a permutation.

    Raw parameters, `[..., P]`: first those of Q, which are the D M numbers of the matrix minus the
    identity, or D for each reflection, or none. Then an M x M matrix, which holds R above the
    diagonal, T (transposed) below it, and the raw diagonal of R on it. Then the diagonal of T minus
    one, and b. As in `Planar`, the diagonal of R is changed so that
    $p_i = \exp(\text{asinh}(r_{ii} t_{ii}))$ with the raw numbers. So any raw numbers give an
    invertible map. At zero it is the identity, and its gradient with respect to R does not vanish.
    Raw numbers are clipped to $\pm 10^6$.

    Shapes: `x` is `[..., D]`, `params` is `[..., P]`, with broadcast batches. Domain: all reals.

    Cost: `forward` is a closed form, O(D M) for each point, with a log-det of O(M). `inverse`
    solves $Q^\top y = s + R \tanh(T s + b)$ for $s = Q^\top x$ by M root searches
    (`tfp_flows.math.find_root`), from the last number to the first. They always find the solution.

    Source: van den Berg, Hasenclever, Tomczak and Welling (2018), Sylvester normalizing flows for
    variational inference, arXiv:1803.05649, eq. 8 to 13 and theorem 2.

    Args:
      params: float `Tensor` or `tf.Variable` `[..., P]`; any finite numbers.
      event_size: D, the size of x.
      num_units: M, at most D. If `None`, the smaller of D and 16.
      form: `"orthogonal"`, `"householder"` or `"triangular"`.
      num_reflections: for the form `"householder"`. If `None`, M.
      permutation: for the form `"triangular"`: a permutation of `range(D)`, whose first M
        coordinates are those that $Q^\top$ takes. If `None`, the natural order.
      validate_args: Python `bool`. If `True`, a y without a root is an error, not NaN.
      name: Python `str`.

    Raises:
      ValueError: if a number is out of its range, or the last axis of `params` is not P.

    Example:
      >>> import tfp_flows as tfpf
      >>> size = tfpf.bijectors.Sylvester.params_size(3, num_units=2)
      >>> sylvester = tfpf.bijectors.Sylvester([0.5] * size, 3, num_units=2)
      >>> sylvester.forward([0.5, 1.5, 2.5]).numpy().round(2)
      array([1.32, 2.46, 2.94], dtype=float32)

    See also: `tfpf.flows.sylvester`, `tfpf.bijectors.Planar`, `tfpf.bijectors.Amortized`.
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
        """The form of Q."""
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
        """Returns the number of raw parameters, M (M + 2) and those of Q, for keywords of `new`."""
        del validate_args, name
        event_size = _checks.integer_at_least(event_size, 1, "event_size")
        num_units = _checked_num_units(num_units, event_size)
        _checks.one_of(form, FORMS, "form")
        if num_reflections is None:
            num_reflections = num_units
        elif form != "householder":
            raise ValueError(
                '`num_reflections` must be `None` unless the form is "householder". '
                f"Received: form={form!r}, num_reflections={num_reflections!r}"
            )
        if permutation is not None:
            _checks.permutation(permutation, event_size, "permutation")
            if form != "triangular":
                raise ValueError(
                    '`permutation` must be `None` unless the form is "triangular". '
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
        """Makes the bijector from raw parameters. Its arguments are those of the constructor."""
        return cls(
            params, event_size, num_units, form, num_reflections, permutation, validate_args, name
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
        # p - 1 - a = a^2 / (1 + sqrt(1 + a^2)), divided by t.
        r *= 1.0 + a / (1.0 + tf.sqrt(1.0 + tf.square(a)))
        upper_r = tf.linalg.set_diag(tf.linalg.band_part(square, 0, -1), r)
        lower_t = tf.linalg.set_diag(tf.linalg.band_part(square, -1, 0), t)
        upper_t = tf.linalg.matrix_transpose(lower_t)
        return self._frame(frame), upper_r, upper_t, params[..., -m:], exp_asinh(a)

    def _frame(self, raw: tf.Tensor) -> tf.Tensor:
        """Returns Q, `[..., D, M]`, made from its raw numbers."""
        size, m = self._event_size, self._num_units
        if self._form == "triangular":
            order = np.arange(size) if self._permutation is None else self._permutation
            return tf.constant(np.eye(size)[:, order][:, :m], raw.dtype)
        width = m if self._form == "orthogonal" else raw.shape[-1] // size
        shape = [size, m] if self._form == "orthogonal" else [width, size]
        raw = tf.reshape(raw, tf.concat([tf.shape(raw)[:-1], shape], axis=0))
        if self._form == "householder":
            # Raw zeros give reflections along the axes, since a zero vector has no gradient.
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
    """Returns x, shortened if very long: sums do not overflow, and tanh is flat so far out."""
    limit = x.dtype.max**0.5
    size = tf.stop_gradient(tf.reduce_max(tf.abs(x), axis=-1, keepdims=True))
    return x * (limit / tf.maximum(size, limit))


def _row_times(x: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Returns x^T A over the last axis of x `[..., D]`, for A `[..., D, M]`."""
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
