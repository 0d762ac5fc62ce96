"""What splines share: one signature for `params_size` and `new`, and checks that run once."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import bijectors as B

SPLINES = [
    B.LinearSpline,
    B.QuadraticSpline,
    B.CubicSpline,
    B.RationalQuadraticSpline,
    B.CircularSpline,
]
each = pytest.mark.parametrize("cls", SPLINES, ids=lambda cls: cls.__name__)


@each
def test_params_size_takes_the_arguments_of_new(cls):
    names = list(inspect.signature(cls.new).parameters)
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(cls.new).parameters.items()
        if name != "params"
    }
    assert names[0] == "params"
    assert cls.params_size() == cls.params_size(**defaults) == cls.params_size(*defaults.values())
    assert cls.params_size(5) == cls.params_size(num_bins=5) != cls.params_size(num_bins=6)
    bijector = cls.new(tf.zeros([3, cls.params_size(5)]), 5)
    np.testing.assert_allclose(bijector.forward([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3], atol=1e-6)


@each
def test_params_size_refuses_what_new_does_not_take(cls):
    with pytest.raises(TypeError, match="nonsense"):
        cls.params_size(nonsense=1)
    with pytest.raises(TypeError, match="arguments?"):
        cls.params_size(*range(20))


@each
def test_what_cannot_be_hashed_is_named(cls):
    for _ in range(2):
        with pytest.raises(TypeError, match=r"`num_bins` must be .*Received: num_bins=\[8\]"):
            cls.new(tf.zeros([3, 8]), num_bins=[8])


@each
def test_equal_numbers_of_other_types_are_checked_by_themselves(cls):
    params = tf.zeros([3, cls.params_size(1)])
    cls.new(params, num_bins=1)
    for other in (True, 1.0):
        with pytest.raises(TypeError, match="`num_bins` must be an integer"):
            cls.new(params, num_bins=other)
