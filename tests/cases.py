"""The registry: one case for every bijector and every recipe, over which the contract runs.

A new part is tested the moment that its case stands here; `test_completeness.py` fails for a
`FlowBijector` or a recipe file without one.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

D = 3  # dimensions of an event
C = 2  # size of a context
HIDDEN = (16, 16)


@dataclasses.dataclass(frozen=True)
class Case:
    """One bijector under contract.

    Attributes:
      name: the id of its tests.
      make: `make(dtype)` returns the bijector; conditional ones unbound.
      covers: names of what it covers: a class of `tfp_flows.bijectors`, or a recipe.
      domain: `domain(rng, shape)` draws points for `forward` in float64.
      context_size: C, a tuple of sizes of axes, or 0.
      float64: tolerance of a round trip in float64, absolute plus relative.
      float32: the same in float32.
      kernel: whether XLA compiles it in the contract. Not where another case compiles the same
        kernels. A slow test compiles it then.
      is_traced: whether eager mode traces loops for each gradient, which takes seconds.
      combines: whether it is a structure with a transformer that has a case of its own, so that
        the contract holds it to no more than a recipe.
      is_double: whether all that it combines is in the combinations of other cases.
    """

    name: str
    make: Callable
    covers: tuple
    domain: Callable = lambda rng, shape: rng.normal(size=shape)
    context_size: int = 0
    float64: float = 1e-10
    float32: float = 1e-5
    kernel: bool = True
    is_traced: bool = False
    combines: bool = False
    is_double: bool = False

    def __str__(self):
        return self.name


def made(transformer, kwargs, dtype, order=None, context_size=0, residual=False):
    """A built `MADE` for the transformer."""
    network = tfpf.layers.MADE(
        D,
        transformer.params_size(**kwargs),
        HIDDEN,
        activation="tanh",
        order=order,
        context_size=context_size,
        residual=residual,
        seed=1,
        dtype=dtype,
    )
    network.build((None, D), (None, context_size) if context_size else None)
    return network


def mlp(num_inputs, num_outputs, dtype, context_size=0, cls=tfpf.layers.MLP):
    """A built network with smooth activations, since finite differences see every kink."""
    network = cls(
        num_outputs, HIDDEN, activation="tanh", context_size=context_size, seed=1, dtype=dtype
    )
    network.build((None, num_inputs), (None, context_size) if context_size else None)
    return network


def coupling(transformer, kwargs=None, mask=(True, False, True), context_size=0, **options):
    """A maker of couplings."""
    kwargs = kwargs or {}

    def make(dtype):
        num_inputs = sum(mask)
        num_outputs = (len(mask) - num_inputs) * transformer.params_size(**kwargs)
        return tfpf.bijectors.Coupling(
            mlp(num_inputs, num_outputs, dtype, context_size),
            transformer,
            kwargs,
            mask=mask,
            context_size=context_size,
            **options,
        )

    return make


def autoregressive(transformer, kwargs=None, order=None, context_size=0, residual=False, **options):
    """A maker of autoregressive bijectors."""
    kwargs = kwargs or {}

    def make(dtype):
        return tfpf.bijectors.Autoregressive(
            made(transformer, kwargs, dtype, order, context_size, residual),
            transformer,
            kwargs,
            context_size=context_size,
            **options,
        )

    return make


def transformer(cls, **kwargs):
    """A maker of a transformer from raw parameters for each of D coordinates."""

    def make(dtype):
        return make.new(tf.constant(make.raw, dtype))

    make.raw = np.random.default_rng(3).normal(size=[D, cls.params_size(**kwargs)])
    make.new = lambda raw: cls.new(raw, **kwargs)
    return make


def recipe(make_flow, **options):
    """A maker of the bijector of a recipe; `make.flow(dtype)` makes the distribution.

    An option of `None` is not passed on: not every recipe has an `activation`.
    """
    settings = {"hidden_units": HIDDEN, "activation": "tanh", **options}
    settings = {name: value for name, value in settings.items() if value is not None}

    def flow(dtype):
        return make_flow(D, seed=1, dtype=dtype, **settings)

    def make(dtype):
        return flow(dtype).bijector

    make.flow = flow
    return make


def standardize(dtype):
    """Location and scale away from zero and one."""
    bijector = tfpf.bijectors.Standardize(D, dtype=dtype)
    bijector.adapt(np.random.default_rng(0).normal([1.0, -2.0, 3.0], [0.5, 2.0, 1.0], [50, D]))
    return bijector


def standardize_context(dtype):
    """A chain of two parts that take a context, with its location and scale."""
    part = coupling(tfpf.bijectors.Affine, context_size=C)
    bijector = tfpf.bijectors.StandardizeContext(tfb.Chain([part(dtype), part(dtype)]))
    bijector.adapt(np.random.default_rng(0).normal([1.0, -2.0], [0.5, 2.0], [50, C]))
    return bijector


def as_vector(make_image_bijector, image_shape):
    """A maker of a bijector of images, given and taken as vectors."""

    def make(dtype):
        to_image = tfb.Reshape(event_shape_out=image_shape, event_shape_in=[D])
        return tfb.Chain([tfb.Invert(to_image), make_image_bijector(dtype), to_image])

    return make


def vector(cls, **kwargs):
    """A maker of a bijector of vectors from a variable of raw parameters."""
    kwargs = {"event_size": D, **kwargs}

    def make(dtype):
        raw = np.random.default_rng(3).normal(size=[cls.params_size(**kwargs)])
        return cls.new(tf.Variable(0.5 * raw, dtype=dtype), **kwargs)

    return make


def residual(dtype):
    """With exact log-dets."""
    network = tfpf.layers.LipschitzMLP(D, (16,), seed=1, dtype=dtype)
    network.build((None, D))
    return tfpf.bijectors.Residual(network)


def batch_norm(dtype):
    """Running moments away from zero and one."""
    bijector = tfpf.bijectors.BatchNorm(D, dtype=dtype)
    bijector.moments.mean.assign([0.5, -1.0, 2.0])
    bijector.moments.variance.assign([0.3, 2.0, 1.5])
    return bijector


B = tfpf.bijectors
F = tfpf.flows
SPLINE = {"num_bins": 5, "bound": 3.0}
INTEGRAL = {"hidden_units": (6,), "num_nodes": 24}

CASES = [
    Case("affine", transformer(B.Affine), ("Affine",)),
    Case("affine_shift", transformer(B.Affine, log_scale=False), ("Affine",), kernel=False),
    Case("affine_bounded", transformer(B.Affine, max_log_scale=2.0), ("Affine",)),
    Case(
        "rational_quadratic_spline",
        transformer(B.RationalQuadraticSpline, **SPLINE),
        ("RationalQuadraticSpline",),
    ),
    Case(
        "rational_quadratic_spline_linear_tails",
        transformer(B.RationalQuadraticSpline, tails="linear", **SPLINE),
        ("RationalQuadraticSpline",),
        kernel=False,
    ),
    Case(
        "logistic_mixture_cdf",
        transformer(B.LogisticMixtureCDF, num_components=4),
        ("LogisticMixtureCDF",),
        kernel=False,
    ),
    Case(
        "deep_sigmoid",
        transformer(B.DeepSigmoid, num_layers=2, num_units=4),
        ("DeepSigmoid",),
        kernel=False,
    ),
    *(
        Case(
            f"{name}_unit_interval",
            transformer(cls, num_bins=5, unit_interval=True),
            (cls.__name__,),
            domain=lambda rng, shape: rng.uniform(0.02, 0.98, size=shape),
            kernel=False,
        )
        for name, cls in (
            ("linear_spline", B.LinearSpline),
            ("quadratic_spline", B.QuadraticSpline),
            ("cubic_spline", B.CubicSpline),
            ("rational_quadratic_spline", B.RationalQuadraticSpline),
        )
    ),
    Case("linear_spline", transformer(B.LinearSpline, **SPLINE), ("LinearSpline",)),
    Case(
        "linear_spline_learn_widths",
        transformer(B.LinearSpline, learn_widths=True, **SPLINE),
        ("LinearSpline",),
        kernel=False,
    ),
    Case(
        "quadratic_spline",
        transformer(B.QuadraticSpline, **SPLINE),
        ("QuadraticSpline",),
        kernel=False,
    ),
    Case(
        "quadratic_spline_linear_tails",
        transformer(B.QuadraticSpline, tails="linear", **SPLINE),
        ("QuadraticSpline",),
        kernel=False,  # `test_spline_parameters.py` compiles its inverse with gradients
    ),
    Case("cubic_spline", transformer(B.CubicSpline, **SPLINE), ("CubicSpline",), kernel=False),
    Case(
        "cubic_spline_linear_tails",
        transformer(B.CubicSpline, tails="linear", **SPLINE),
        ("CubicSpline",),
        kernel=False,  # `test_spline_parameters.py` compiles its inverse with gradients
    ),
    Case(
        "circular_spline",
        transformer(B.CircularSpline, num_bins=5),
        ("CircularSpline",),
        # Twice an angle must still be in [-pi, pi).
        domain=lambda rng, shape: rng.uniform(-1.5, 1.5, size=shape),
        kernel=False,
    ),
    Case("coupling_cubic_spline", coupling(B.CubicSpline, SPLINE), ("Coupling",), combines=True),
    Case(
        "dense_deep_sigmoid",
        transformer(B.DenseDeepSigmoid, num_layers=2, num_units=3),
        ("DenseDeepSigmoid",),
        kernel=False,
    ),
    Case(
        "monotone_integral",
        transformer(B.MonotoneIntegral, **INTEGRAL),
        ("MonotoneIntegral",),
        kernel=False,  # `test_monotone_integral.py` trains its inverse under XLA
    ),
    Case(
        "monotone_integral_deep",
        transformer(B.MonotoneIntegral, hidden_units=(4, 3), bound=3.0),
        ("MonotoneIntegral",),
        kernel=False,
    ),
    Case("sum_of_squares", transformer(B.SumOfSquares, degree=3), ("SumOfSquares",)),
    Case(
        "sum_of_squares_bound",
        transformer(B.SumOfSquares, num_polynomials=2, degree=2, bound=2.0),
        ("SumOfSquares",),
        kernel=False,
    ),
    Case(
        "monotone_activations",
        transformer(B.MonotoneActivations, num_units=4),
        ("MonotoneActivations",),
        kernel=False,
    ),
    Case(
        "monotone_activations_leaky_relu",
        transformer(B.MonotoneActivations, num_units=4, activation="leaky_relu"),
        ("MonotoneActivations",),
        kernel=False,
    ),
    Case("coupling_affine", coupling(B.Affine), ("Coupling",)),
    Case(
        "coupling_spline",
        coupling(B.RationalQuadraticSpline, SPLINE),
        ("Coupling",),
        combines=True,
        is_double=True,  # of `neural_spline_context`
    ),
    Case(
        "coupling_logistic_mixture_cdf",
        coupling(B.LogisticMixtureCDF, {"num_components": 4}),
        ("Coupling",),
        combines=True,
        is_double=True,  # of `flow_plus_plus`
    ),
    Case(
        "coupling_monotone_integral",
        coupling(B.MonotoneIntegral, INTEGRAL),
        ("Coupling",),
        combines=True,
        is_double=True,  # of `umnn`; `flow_plus_plus` has couplings that search
    ),
    Case(
        "coupling_sum_of_squares",
        coupling(B.SumOfSquares, {"num_polynomials": 2, "degree": 2}),
        ("Coupling",),
        combines=True,
        is_double=True,  # of `sos`; `flow_plus_plus` has couplings that search
    ),
    Case(
        "coupling_identity_transformer",
        coupling(
            B.Affine,
            identity_transformer=B.RationalQuadraticSpline,
            identity_transformer_kwargs=SPLINE,
        ),
        ("Coupling",),
        kernel=False,
    ),
    Case(
        "coupling_context",
        coupling(B.RationalQuadraticSpline, SPLINE, (True, False, False), C),
        ("Coupling",),
        context_size=C,
        kernel=False,
    ),
    Case("autoregressive_affine", autoregressive(B.Affine), ("Autoregressive",), kernel=False),
    Case(
        "autoregressive_spline",
        autoregressive(B.RationalQuadraticSpline, SPLINE, order=(2, 0, 1), residual=True),
        ("Autoregressive",),
        combines=True,
    ),
    Case(
        "autoregressive_deep_sigmoid",
        autoregressive(B.DeepSigmoid, {"num_layers": 1, "num_units": 3}),
        ("Autoregressive",),
        combines=True,  # `test_incremental.py` and `test_deep_sigmoid.py` compile its two parts
    ),
    Case(
        "autoregressive_monotone_integral",
        autoregressive(B.MonotoneIntegral, INTEGRAL),
        ("Autoregressive",),
        combines=True,
        is_double=True,  # of `umnn`
    ),
    Case(
        "autoregressive_context",
        autoregressive(B.Affine, order="reverse", context_size=C),
        ("Autoregressive",),
        context_size=C,
        kernel=False,
    ),
    Case(
        "autoregressive_jacobi",
        autoregressive(B.Affine, order=(2, 0, 1), context_size=C, solver="jacobi"),
        ("Autoregressive",),
        context_size=C,
        kernel=False,  # `test_jacobi.py` compiles the solver with gradients
    ),
    Case(
        "block_autoregressive",
        lambda dtype: B.BlockAutoregressive(D, (4,), context_size=C, seed=1, dtype=dtype),
        ("BlockAutoregressive",),
        context_size=C,
        kernel=False,
    ),
    Case("lu_linear", lambda dtype: B.LULinear(D, dtype=dtype), ("LULinear",), kernel=False),
    Case(
        "lu_linear_permutation",
        lambda dtype: B.LULinear(D, (2, 0, 1), dtype=dtype),
        ("LULinear",),
    ),
    Case(
        "qr_linear",
        lambda dtype: B.QRLinear(D, 3, seed=1, dtype=dtype),
        ("QRLinear",),
        kernel=False,  # reflections of `householder_linear`, a triangle of `lu_linear_permutation`
    ),
    Case(
        "householder_linear",
        lambda dtype: B.HouseholderLinear(D, seed=1, dtype=dtype),
        ("HouseholderLinear",),
    ),
    Case(
        "invertible_conv1x1",
        as_vector(lambda dtype: B.InvertibleConv1x1(D, seed=1, dtype=dtype), [1, 1, D]),
        ("InvertibleConv1x1",),
        kernel=False,  # `test_invertible_conv1x1.py` compiles both directions
    ),
    Case(
        "planar_leaky_relu", vector(B.Planar, nonlinearity="leaky_relu"), ("Planar",), kernel=False
    ),
    Case(
        "sylvester_triangular",
        vector(B.Sylvester, num_units=3, form="triangular", permutation=(2, 0, 1)),
        ("Sylvester",),
        float64=1e-8,
    ),
    # `test_residual.py` compiles the inverse, `test_fixed_point.py` its gradients, and
    # `test_exact_log_det.py` the log-det.
    Case("residual", residual, ("Residual",), float64=1e-8, kernel=False),
    Case("standardize", standardize, ("Standardize",)),
    Case(
        "standardize_context",
        standardize_context,
        ("StandardizeContext",),
        context_size=C,
        kernel=False,
    ),
    Case("batch_norm", batch_norm, ("BatchNorm",)),
    Case("act_norm", lambda dtype: B.ActNorm(D, dtype=dtype), ("ActNorm",)),
    Case("nice", recipe(F.nice), ("nice",), is_double=True),
    Case("real_nvp", recipe(F.real_nvp, num_layers=2), ("real_nvp",), is_double=True),
    Case("maf", recipe(F.maf, num_layers=2), ("maf",), is_double=True),
    Case("iaf", recipe(F.iaf, num_layers=2), ("iaf",), is_double=True),
    Case(
        "bnaf",
        recipe(F.bnaf, num_layers=1, hidden_units=(4,), activation=None, context_size=C),
        ("bnaf",),
        context_size=C,
        is_double=True,  # of `block_autoregressive`, of which it has one layer
    ),
    Case(
        "flow_plus_plus",
        recipe(F.flow_plus_plus, num_layers=1, num_components=4, context_size=C),
        ("flow_plus_plus",),
        context_size=C,
    ),
    Case(
        "umnn",
        recipe(F.umnn, num_layers=1, integrand_units=(4,), num_nodes=24, context_size=C),
        ("umnn",),
        context_size=C,
    ),
    Case("naf", recipe(F.naf, num_layers=1, num_units=4), ("naf",), is_double=True),
    Case(
        "naf_dense_context",
        recipe(F.naf, num_layers=1, dense=True, num_units=3, context_size=C),
        ("naf",),
        context_size=C,
    ),
    Case(
        "recurrent",
        recipe(F.recurrent, num_layers=1, hidden_units=(5,), activation=None),
        ("recurrent",),
    ),
    Case(
        "recurrent_context",
        recipe(
            F.recurrent,
            transformer=B.RationalQuadraticSpline,
            transformer_kwargs=SPLINE,
            cell="lstm",
            num_layers=1,
            hidden_units=(5, 4),
            activation=None,
            context_size=C,
        ),
        ("recurrent",),
        context_size=C,
    ),
    Case(
        "planar",
        recipe(F.planar, num_layers=2),
        ("planar", "Planar"),
        float64=1e-8,
        kernel=False,  # `sum_of_squares` has the same search, and `radial` the same products
    ),
    Case("radial", recipe(F.radial, num_layers=1), ("radial", "Radial")),
    Case("sylvester", recipe(F.sylvester, num_layers=1, num_units=2), ("sylvester",), float64=1e-8),
    Case(
        "sylvester_context",
        recipe(F.sylvester, num_layers=1, num_units=2, form="householder", context_size=C),
        ("sylvester", "Sylvester", "Amortized"),
        context_size=C,
        float64=1e-8,
        kernel=False,
    ),
    # Fixed steps: eager loops of adaptive ones to 1e-12 take minutes.
    Case(
        "ffjord_context",
        recipe(F.ffjord, hidden_units=(8,), solver="rk4", num_steps=32, context_size=C),
        ("ffjord", "Continuous"),
        context_size=C,
        is_traced=True,
    ),
    Case("iresnet", recipe(F.iresnet, num_layers=1), ("iresnet",), float64=1e-8),
    Case(
        "residual_flow_context",
        recipe(F.residual, num_layers=1, context_size=C),
        ("residual",),
        context_size=C,
        float64=1e-8,
    ),
    Case(
        "sos",
        recipe(F.sos, num_layers=1, num_polynomials=2, degree=2, hidden_units=(4,), context_size=C),
        ("sos",),
        context_size=C,
    ),
    Case(
        "neural_spline",
        recipe(F.neural_spline, num_layers=2),
        ("neural_spline",),
        is_double=True,  # of `neural_spline_context`
    ),
    *(
        Case(
            f"neural_spline_{spline}",
            recipe(F.neural_spline, num_layers=1, spline=spline),
            ("neural_spline",),
            is_double=True,
        )
        for spline in ("linear", "quadratic", "cubic")
    ),
    Case(
        "neural_spline_autoregressive",
        recipe(F.neural_spline, num_layers=1, autoregressive=True),
        ("neural_spline",),
        is_double=True,  # of `autoregressive_spline`
    ),
    *(
        Case(
            f"{make_flow.__name__}_context",
            recipe(make_flow, num_layers=num_layers, context_size=C),
            (make_flow.__name__,),
            context_size=C,
        )
        for make_flow, num_layers in (
            (F.nice, 2),
            (F.real_nvp, 2),
            (F.maf, 1),
            (F.iaf, 1),
            (F.neural_spline, 1),
        )
    ),
]

RECIPES = [case for case in CASES if hasattr(case.make, "flow")]
# The contract holds parts to everything, and what is made of them to what their combination could
# break. A recipe that is the only case of a bijector stands for that part.
PARTS = [
    case
    for case in CASES
    if not case.combines and (case not in RECIPES or set(case.covers) & set(B.__all__))
]
WHOLES = [case for case in CASES if case not in PARTS]
# The first part of each kind: what asks only how a bijector sits in TFP.
KINDS = list({(case.covers, case.context_size): case for case in reversed(PARTS)}.values())[::-1]


def perturb(variables, seed=0, scale=0.5):
    """Moves every trainable variable away from its start, so that nothing is the identity."""
    rng = np.random.default_rng(seed)
    for variable in variables:
        if variable.trainable and variable.dtype.is_floating:
            fan_in = variable.shape[0] if variable.shape.rank == 2 else 1
            noise = rng.normal(size=variable.shape) * scale / np.sqrt(fan_in)
            variable.assign_add(tf.constant(noise, variable.dtype))


def made_case(case, dtype="float64", scale=0.5):
    """The bijector of a case away from the identity, bound to a context `[C]` if it takes one."""
    if hasattr(case.make, "raw"):
        return case.make.new(tf.constant(2 * scale * case.make.raw, dtype))
    bijector = case.make(dtype)
    perturb(bijector.variables, scale=scale)
    if case.context_size:
        context = np.random.default_rng(7).normal(size=[case.context_size])
        bijector = tfpf.condition(bijector, context)
    return bijector
