"""Value and log-det of any bijector in one evaluation, and what `FlowBijector` checks for all."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import bijectors as B

tfb = tfp.bijectors
RNG = np.random.default_rng(0)
X = RNG.normal(size=[5, 4])


def coupling(calls=None, invert_transformer=False, **kwargs):
    def conditioner(x):
        if calls is not None:
            calls.append(x)
        return tf.concat([tf.sin(x), 0.3 * tf.cos(x)], axis=-1)

    return B.Coupling(
        conditioner,
        mask="halves",
        invert_transformer=invert_transformer,
        dtype=tf.float64,
        **kwargs,
    )


def affine():
    return B.Affine(tf.constant(RNG.normal(size=4)), tf.constant(RNG.normal(size=4)))


def moved_lu():
    return B.LULinear(4, lower_upper=tf.constant(0.3 * RNG.normal(size=[4, 4])), dtype="float64")


BIJECTORS = {
    "affine": affine,
    "spline": lambda: B.RationalQuadraticSpline.new(tf.constant(RNG.normal(size=[4, 23]))),
    "monotone": lambda: B.DeepSigmoid.new(tf.constant(RNG.normal(size=[4, 48]))),
    "lu": moved_lu,
    "coupling": coupling,
    "coupling_inverted": lambda: coupling(invert_transformer=True),
    "asserting": lambda: coupling(validate_args=True),
    "invert": lambda: tfb.Invert(moved_lu()),
    "invert_of_chain": lambda: tfb.Invert(tfb.Chain([affine(), tfb.Sinh(), coupling()])),
    "scale": lambda: tfb.Scale(tf.constant(2.0, tf.float64)),
    "permute": lambda: tfb.Permute([2, 0, 3, 1]),
    "chain": lambda: tfb.Chain([tfb.Softplus(), coupling(), tfb.Permute([3, 2, 1, 0]), affine()]),
    "chain_of_chains": lambda: tfb.Chain(
        [tfb.Chain([affine(), tfb.Shift(tf.constant(1.0, tf.float64))]), moved_lu()]
    ),
    "chain_of_nothing": lambda: tfb.Chain([]),
    "blockwise": lambda: tfb.Blockwise(
        [B.Affine(tf.constant(1.0, tf.float64), tf.constant(0.3, tf.float64)), tfb.Softplus()],
        block_sizes=[3, 1],
    ),
    "blockwise_of_vectors": lambda: tfb.Blockwise(
        [B.LULinear(3, dtype="float64"), tfb.Softplus()], block_sizes=[3, 1]
    ),
    "reshape": lambda: tfb.Chain([tfb.Reshape([2, 2], [4]), affine()]),
}
each = pytest.mark.parametrize("name", BIJECTORS)


def expected(bijector, x, event_ndims):
    y = bijector.forward(tf.identity(x))
    return y, bijector.forward_log_det_jacobian(tf.identity(x), event_ndims)


@pytest.mark.parametrize("more", [0, 1])
@each
def test_is_value_and_log_det_of_tfp(name, more):
    bijector, x = BIJECTORS[name](), tf.constant(X)
    ndims = bijector.forward_min_event_ndims + more
    y, log_det = B.forward_and_log_det(bijector, x, ndims)
    y_tfp, log_det_tfp = expected(bijector, x, ndims)
    np.testing.assert_allclose(y, y_tfp, rtol=1e-12)
    np.testing.assert_allclose(log_det, np.broadcast_to(log_det_tfp, log_det.shape), atol=1e-12)
    ndims_after = bijector.forward_event_ndims(ndims)
    assert log_det.shape == y.shape[: y.shape.rank - ndims_after]

    back, inverse_log_det = B.inverse_and_log_det(bijector, tf.identity(y), ndims_after)
    np.testing.assert_allclose(back, X, atol=1e-10)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["affine", "coupling", "scale", "chain", "invert_of_chain", "blockwise_of_vectors"]
)
def test_the_default_is_the_least_number_of_axes(name):
    bijector, x = BIJECTORS[name](), tf.constant(X)
    for default, given in (
        (
            B.forward_and_log_det(bijector, x),
            B.forward_and_log_det(bijector, x, bijector.forward_min_event_ndims),
        ),
        (
            B.inverse_and_log_det(bijector, B.forward_and_log_det(bijector, x)[0]),
            B.inverse_and_log_det(
                bijector, B.forward_and_log_det(bijector, x)[0], bijector.inverse_min_event_ndims
            ),
        ),
    ):
        for a, b in zip(default, given, strict=True):
            np.testing.assert_array_equal(a, b)


# The contract compiles each part by itself.
@pytest.mark.parametrize(
    "name", ["asserting", "invert_of_chain", "chain_of_chains", "blockwise_of_vectors", "reshape"]
)
def test_under_xla_it_is_the_same(name):
    bijector, x = BIJECTORS[name](), tf.constant(X)
    ndims = bijector.forward_min_event_ndims
    eager = B.forward_and_log_det(bijector, x, ndims)
    compiled = tf.function(
        lambda x: B.forward_and_log_det(bijector, x, ndims), jit_compile=True, autograph=False
    )(x)
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


@pytest.mark.parametrize("event_ndims", [None, 1, 2])
def test_methods_are_the_functions(event_ndims):
    bijector, x = coupling(), tf.constant(X)
    y, log_det = bijector.forward_and_log_det(x, event_ndims)
    for a, b in zip((y, log_det), B.forward_and_log_det(bijector, x, event_ndims), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        bijector.inverse_and_log_det(y, event_ndims),
        B.inverse_and_log_det(bijector, y, event_ndims),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("validate_args", [False, True])
@pytest.mark.parametrize(
    "compose",
    [
        lambda part: part,
        tfb.Invert,
        lambda part: tfb.Chain([tfb.Softplus(), part, tfb.Permute([1, 0, 3, 2])]),
        lambda part: tfb.Invert(tfb.Chain([tfb.Invert(part)])),
        lambda part: tfb.Blockwise([part, tfb.Softplus()], block_sizes=[4, 1]),
    ],
    ids=["alone", "invert", "chain", "nested", "blockwise"],
)
@pytest.mark.parametrize("function", [B.forward_and_log_det, B.inverse_and_log_det])
def test_a_conditioner_runs_once(function, compose, validate_args):
    calls = []
    bijector = compose(coupling(calls, validate_args=validate_args))
    x = tf.constant(np.abs(RNG.normal(size=[5, 5 if "blockwise" in bijector.name else 4])) + 0.1)
    calls.clear()
    function(bijector, x, 1)
    assert len(calls) == 1


def test_parts_of_structures():
    bijector = tfb.JointMap([affine(), moved_lu()])
    x = [tf.constant(X), tf.constant(X[:, ::-1].copy())]
    y, log_det = B.forward_and_log_det(bijector, x, [1, 1])
    y_tfp, log_det_tfp = expected_of_structure(bijector, x)
    for a, b in zip(y, y_tfp, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(log_det, log_det_tfp, atol=1e-12)
    back, inverse_log_det = B.inverse_and_log_det(bijector, y, [1, 1])
    np.testing.assert_allclose(back[1], x[1], atol=1e-10)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-10)


def expected_of_structure(bijector, x):
    return bijector.forward(x), bijector.forward_log_det_jacobian(x, [1, 1])


@pytest.mark.parametrize("name", ["affine", "lu", "chain", "scale"])
def test_arrays_are_converted(name):
    bijector = BIJECTORS[name]()
    for a, b in zip(
        B.forward_and_log_det(bijector, X),
        B.forward_and_log_det(bijector, tf.constant(X)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_an_array_gets_the_dtype_of_the_bijector():
    y, log_det = B.Affine(1.0, 0.5).forward_and_log_det(X)
    assert y.dtype == log_det.dtype == tf.float32


@pytest.mark.parametrize("function", [B.forward_and_log_det, B.inverse_and_log_det])
def test_refuses_a_tensor_of_another_dtype(function):
    for bijector in (affine(), moved_lu(), tfb.Chain([moved_lu()])):
        with pytest.raises(TypeError, match="dtype float64. Received: a tensor of dtype float32"):
            function(bijector, tf.constant(X, tf.float32))


@pytest.mark.parametrize("event_ndims", [1.0, "1", True])
def test_refuses_event_ndims_that_is_no_integer(event_ndims):
    with pytest.raises(TypeError, match="`event_ndims` must be an integer of at least 1.*Received"):
        moved_lu().forward_and_log_det(X, event_ndims)


@pytest.mark.parametrize("function", [B.forward_and_log_det, B.inverse_and_log_det])
def test_refuses_event_ndims_out_of_range(function):
    for bijector in (moved_lu(), tfb.Chain([tfb.Exp(), moved_lu()])):
        with pytest.raises(
            ValueError, match="`event_ndims` must be .* at least 1.*Received: event"
        ):
            function(bijector, X, 0)
    with pytest.raises(ValueError, match="`event_ndims` must be at most .*, 2. Received: event_nd"):
        function(moved_lu(), X, 3)


@pytest.mark.parametrize("function", [B.forward_and_log_det, B.inverse_and_log_det])
def test_refuses_what_is_no_bijector(function):
    with pytest.raises(TypeError, match="`bijector` must be a `tfb.Bijector`. Received: bijector="):
        function(tf.exp, X)


@pytest.mark.parametrize("function", [B.forward_and_log_det, B.inverse_and_log_det])
def test_refuses_events_of_another_size_also_within_a_chain(function):
    for bijector in (moved_lu(), tfb.Chain([tfb.Identity(), moved_lu()])):
        with pytest.raises(ValueError, match=r"acts on events of 4 .*Received: .*\(5, 3\)"):
            function(bijector, X[:, :3])


def test_assertions_of_parts_run():
    spline = B.RationalQuadraticSpline(
        tf.Variable([1.0, 1.0]), tf.Variable([1.0, 1.0]), tf.Variable([1.0]), validate_args=True
    )
    spline.bin_widths.assign([-1.0, 3.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="`bin_widths` must be positive"):
        B.forward_and_log_det(tfb.Chain([spline]), tf.constant([0.1, 0.2]))


@pytest.mark.parametrize("batch", [[None], [None, None], None])
def test_with_unknown_batches(batch):
    spec = tf.TensorSpec(batch if batch is None else [*batch, 4], tf.float64)
    chain = BIJECTORS["chain"]()
    if batch is None:
        chain = tfb.Chain([tfb.Scale(tf.constant(2.0, tf.float64)), tfb.Softplus()])
    function = tf.function(
        lambda x: B.forward_and_log_det(chain, x, 1), input_signature=[spec], autograph=False
    )
    x = tf.constant(np.stack([X, X]) if batch and len(batch) == 2 else X)
    for a, b in zip(function(x), B.forward_and_log_det(chain, x, 1), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


class Doubled(B.FlowBijector):
    """y = 2 x, with a log-det that is one number for all, as a subclass may give it."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=0, dtype=tf.float64, name="doubled", event_size=4)

    def _forward_and_log_det(self, x):
        return 2.0 * x, tf.math.log(tf.constant(2.0, x.dtype))

    def _inverse_and_log_det(self, y):
        return 0.5 * y, -tf.math.log(tf.constant(2.0, y.dtype))


@pytest.mark.parametrize("event_ndims", [0, 1, 2])
def test_a_log_det_that_is_one_number_counts_for_each_coordinate(event_ndims):
    _, log_det = Doubled().forward_and_log_det(X, event_ndims)
    shape = X.shape[: 2 - event_ndims]
    np.testing.assert_allclose(log_det, np.full(shape, np.log(2.0) * X.size / np.prod(shape)))


@pytest.mark.parametrize("method", ["forward", "inverse", "forward_log_det_jacobian"])
def test_what_a_subclass_declares_is_checked_in_every_method(method):
    arguments = [1] if "log_det" in method else []
    with pytest.raises(ValueError, match=r"`doubled` acts on events of 4 .*Received: .*\(5, 3\)"):
        getattr(Doubled(), method)(X[:, :3], *arguments)


@pytest.mark.parametrize(
    "parts",
    [
        [tfb.Exp(), tfb.Scale(2.0)],
        [B.Affine(1.0, 0.5), tfb.Scale(2.0)],
        [tfb.Scale(2.0), B.Affine(1.0)],
    ],
    ids=["tfp", "ours_last", "ours_first"],
)
def test_arrays_are_converted_to_what_the_parts_of_a_chain_want(parts):
    chain, x = tfb.Chain(parts), np.array([[0.5, -1.0], [2.0, 3.0]])
    y, log_det = B.forward_and_log_det(chain, x, 1)
    np.testing.assert_allclose(y, chain.forward(x), rtol=1e-6)
    np.testing.assert_allclose(log_det, chain.forward_log_det_jacobian(x, 1), rtol=1e-6)
    y = np.exp(x)
    x, log_det = B.inverse_and_log_det(chain, y, 1)
    np.testing.assert_allclose(x, chain.inverse(y), rtol=1e-6)
    np.testing.assert_allclose(log_det, chain.inverse_log_det_jacobian(y, 1), rtol=1e-6)
