"""Kernels held below a norm, against norms that are known."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.layers._lipschitz_kernel import lipschitz_kernel

# The norm of x -> x W, which is 2 for the one that is named and 1 for the other.
KERNELS = {1: np.array([[1.0, 1.0], [0.0, 0.0]]), "inf": np.array([[1.0, 0.0], [1.0, 0.0]])}


@pytest.mark.parametrize(("norm", "other"), [(1, "inf"), ("inf", 1)])
def test_kernel_of_norm_two_is_halved_and_of_norm_one_is_kept(norm, other):
    kernel = KERNELS[norm]
    np.testing.assert_array_equal(lipschitz_kernel(tf.constant(kernel), 1.0, norm), 0.5 * kernel)
    np.testing.assert_array_equal(lipschitz_kernel(tf.constant(kernel), 1.0, other), kernel)


@pytest.mark.parametrize(("norm", "other"), [(1, "inf"), ("inf", 1)])
def test_places_of_a_convolution_add_up(norm, other):
    kernel = np.tile(KERNELS[norm], [3, 1, 1, 1])
    for name, size in ((norm, 6.0), (other, 3.0)):
        held = lipschitz_kernel(tf.constant(kernel), 1.0, name, image_shape=(4, 4))
        np.testing.assert_allclose(held, kernel / size, rtol=1e-15)
