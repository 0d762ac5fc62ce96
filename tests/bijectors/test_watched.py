"""A watch on a pass sees each part once, with what it was given and what it gave."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.bijectors._watched import watching

tfb = tfp.bijectors
B = tfpf.bijectors


def test_parts_of_chains_and_transformers_of_couplings_are_seen():
    network = tfpf.layers.MLP(4, (4,))
    network.build((None, 1))
    coupling = B.Coupling(network, mask=[True, False, False])
    chain = tfb.Chain([tfb.Scale(2.0), tfb.Invert(tfb.Chain([coupling, tfb.Shift(1.0)]))])
    x = tf.constant([[1.0, 2.0, 3.0]])
    with watching() as seen:
        y, log_det = B.inverse_and_log_det(chain, x, 1)
    (whole,) = seen
    scale, inverted = whole.parts
    assert whole.bijector is chain and inverted.bijector is chain.bijectors[1]
    (inner,) = inverted.parts
    shift, layer = inner.parts
    assert [part.is_forward for part in (scale, shift, layer)] == [False, True, True]
    assert layer.bijector is coupling and layer.event_ndims == 1
    np.testing.assert_array_equal(shift.x, scale.y)
    np.testing.assert_array_equal(layer.y, y)
    total = scale.log_det + shift.log_det + layer.log_det
    np.testing.assert_allclose([total, inverted.log_det + scale.log_det], 2 * [log_det], rtol=1e-6)
    (affine,) = layer.parts
    assert isinstance(affine.bijector, B.Affine) and affine.log_det.shape == [1, 2]


def test_nothing_is_seen_after_it_and_watches_do_not_mix():
    with watching() as outer:
        B.forward_and_log_det(tfb.Scale(2.0), 1.0)
        with watching() as inner:
            B.forward_and_log_det(tfb.Shift(2.0), 1.0)
    B.forward_and_log_det(tfb.Exp(), 1.0)
    assert [part.bijector.name for part in outer] == ["scale"]
    assert [part.bijector.name for part in inner] == ["shift"]
