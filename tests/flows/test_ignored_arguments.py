"""No recipe takes an argument that it would ignore."""

import inspect

import numpy as np
import pytest
import tensorflow_probability as tfp

import tfp_flows as tfpf

F = tfpf.flows
tfd = tfp.distributions

IMAGE = (4, 4, 1)
# Those that take vectors as well as images, image recipes alone, and series.
BOTH = ["flow_plus_plus", "neural_spline", "residual"]
IMAGES = [*BOTH, "glow", "mintnet", "multiscale", "variational_dequantization"]
SERIES = ["parallel_wavenet", "waveglow", "wavenet"]
VECTORS = sorted(set(F.__all__) - set(IMAGES) - set(SERIES))


def data(name):
    """The first argument of the smallest flow of a recipe."""
    if name == "variational_dequantization":
        return tfd.Sample(tfd.Normal(0.0, 1.0), IMAGE)
    if name in SERIES:
        return (8, 1)
    return IMAGE if name in IMAGES else 2


def small_image(name, **options):
    """A flow of small images with one layer, in one scale where the recipe has scales."""
    make = getattr(F, name)
    if "num_scales" in inspect.signature(make).parameters:
        options = {"num_scales": 1, **options}
    return make(data(name), **{"num_layers": 1, "seed": 1, **options})


@pytest.mark.parametrize("name", sorted(F.__all__))
@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (True, TypeError),
        (1.5, TypeError),
        ("a", TypeError),
        (np.True_, TypeError),
        (-1, ValueError),
    ],
    ids=repr,
)
def test_a_seed_is_an_integer(name, seed, error):
    with pytest.raises(error, match="`seed` must be an integer .*Received: seed="):
        getattr(F, name)(data(name), seed=seed)


@pytest.mark.parametrize("name", sorted(F.__all__))
def test_a_seed_of_numpy_is_an_integer(name):
    small = {"num_layers": 1} if name != "flow_plus_plus" else {"num_layers": 1, "num_heads": 0}
    getattr(F, name)(data(name), seed=np.int64(3), **small)


@pytest.mark.parametrize("event_shape", [2, (2,)], ids=repr)
@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("flow_plus_plus", "num_heads", 4),
        ("neural_spline", "num_scales", 2),
        ("residual", "num_scales", 2),
        *((name, "hidden_channels", (4, 4)) for name in BOTH),
    ],
)
def test_what_is_for_images_is_refused_for_vectors(name, argument, value, event_shape):
    with pytest.raises(ValueError, match=f"`{argument}` is only for images.*Received: {argument}="):
        getattr(F, name)(event_shape, num_layers=1, **{argument: value})


def test_what_is_for_images_is_refused_for_autoregressive_splines():
    with pytest.raises(ValueError, match="`num_scales` is only for images.*Received: num_scales=2"):
        F.neural_spline(2, autoregressive=True, num_scales=2)


@pytest.mark.parametrize("name", IMAGES)
def test_widths_of_images_have_two_names(name):
    # `Squeeze` makes four channels of one, so that `mintnet` rounds up no width of eight.
    by_channels = small_image(name, hidden_channels=(8,))
    by_units = small_image(name, hidden_units=(8,))
    assert len(by_channels.variables) == len(by_units.variables) > 0
    for one, other in zip(by_channels.variables, by_units.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(
        ValueError, match="`hidden_units` .*`hidden_channels`.*Received: hidden_channels=.*_units="
    ):
        small_image(name, hidden_channels=(8,), hidden_units=(8,))


@pytest.mark.parametrize("argument", ["hidden_channels", "hidden_units"])
@pytest.mark.parametrize("name", IMAGES)
def test_wrong_widths_of_images_are_named_as_they_were_given(name, argument):
    with pytest.raises(ValueError, match=f"`{argument}` must .*Received: {argument}="):
        small_image(name, **{argument: (4, 0)})


@pytest.mark.parametrize(
    ("name", "vectors", "images"),
    [
        ("flow_plus_plus", {"hidden_units": (128, 128)}, {"num_heads": 4}),
        ("neural_spline", {"hidden_units": (128, 128)}, {"num_scales": 2}),
        ("residual", {"hidden_units": (128, 128)}, {"num_scales": 2}),
    ],
)
def test_defaults_are_those_that_the_documents_name(name, vectors, images):
    make = getattr(F, name)
    small = {"num_layers": 1, "seed": 1}
    shape = (4, 4, 1)
    for given, default in (
        (make(2, **vectors, **small), make(2, **small)),
        (make(shape, **images, hidden_channels=(128, 128), **small), make(shape, **small)),
    ):
        for one, other in zip(given.variables, default.variables, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["ffjord", "pointflow"])
@pytest.mark.parametrize(
    ("solver", "argument", "value"),
    [
        ("dormand_prince", "num_steps", 20),
        ("rk4", "rtol", 1e-5),
        ("rk4", "atol", 1e-5),
        ("euler", "rtol", 1e-5),
    ],
)
def test_accuracy_of_another_solver_is_refused(name, solver, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` applies .*Received: {argument}=.*solver="):
        getattr(F, name)(2, solver=solver, **{argument: value})


def test_an_unknown_solver_is_named_first():
    with pytest.raises(ValueError, match="`solver` must be one of .*Received: solver='midpoint'"):
        F.ffjord(2, solver="midpoint", num_steps=3)
