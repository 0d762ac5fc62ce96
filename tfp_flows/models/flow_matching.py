"""Flow matching: trains a continuous flow without solving its differential equation."""

import random
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.bijectors import chain

from tfp_flows._tree import walk
from tfp_flows.bijectors import Continuous
from tfp_flows.conditioning import condition, waits_for_context
from tfp_flows.math._philox import philox_uniform
from tfp_flows.math._replica_seed import replica_seed


class FlowMatching(keras.Layer):
    r"""$\|(t_1 - t_0) f(t, z) - (x - u)\|^2, \; z = (1 - s) u + s x$

    A Keras layer that returns the squared error of flow matching for each row of data.

    `tfpf.FlowModel(flow, objective="flow_matching")` uses it. f is the vector field of the flow. u
    is drawn from the base, s uniformly from [0, 1], and $t = t_0 + s (t_1 - t_0)$: z moves on a
    straight path from the base to the data. This is the optimal-transport path of the paper with
    $\sigma_{\min} = 0$. The expectation is smallest, but not zero, if the flow of f carries the
    base to the density of the data. The times of a batch are spread evenly for less variance:
    $s_n = (s_0 + n / N) \bmod 1$. Each is still uniform.

    The flow must have one `Continuous` in its chain; transformed distributions may be nested. Parts
    between it and the data, such as `Standardize`, are inverted on x; parts between it and the base
    are applied to u. Only the field may have trainable variables, since matching would not train
    others.

    Shapes: x is `[N, D]`, or `(context, x)` with a context `[N, C]`; the result is `[N]`. Cost: one
    evaluation of the field.

    Source: Lipman et al. (2023), Flow matching for generative modeling, arXiv:2210.02747,
    section 4.1; even times: Kingma et al. (2021), arXiv:2107.00630, appendix I.1.

    Args:
      flow: a TFP distribution.

    Raises:
      ValueError: if the flow does not have this form.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> flow = tfpf.flows.ffjord(2, hidden_units=(8,))
      >>> matching = tfpf.models.FlowMatching(flow)
      >>> x = np.zeros([5, 2], "float32")
      >>> matching(x).shape  # a squared error for each row
      TensorShape([5])

    See also: `tfpf.FlowModel`, `tfpf.bijectors.Continuous`.
    """

    def __init__(self, flow: tfp.distributions.Distribution) -> None:
        super().__init__(name="flow_matching", dtype="float32", autocast=False)
        self._flow = flow
        self._is_conditional = waits_for_context(flow)
        _, continuous, _, base = _parts(flow)
        if base.batch_shape.rank != 0:
            raise ValueError(
                "`flow` must have a base without a batch shape for flow matching. "
                f"Received: base.batch_shape={base.batch_shape}"
            )
        own = {id(variable) for variable in continuous.trainable_variables}
        others = [v.name for v in flow.trainable_variables if id(v) not in own]
        if others:
            raise ValueError(
                "`flow` must have no trainable variables but those of its vector field, since flow "
                f"matching trains no others. Received: {', '.join(others)}"
            )
        # A weight, since Keras does not save the state of a `SeedGenerator`. It is drawn from
        # Python's generator, which `keras.utils.set_random_seed` seeds.
        self.seed = self.add_weight(
            name="seed",
            shape=(2,),
            dtype="int32",
            initializer=keras.initializers.Constant(random.randrange(2**31)),
            trainable=False,
            # Each device counts by itself: XLA cannot compile an update that waits for all devices.
            aggregation="none",
        )
        self.built = True

    def call(self, inputs: tf.Tensor | tuple[tf.Tensor, ...], training: bool = False) -> tf.Tensor:
        """Returns the squared error of each row of x, or of `(context, x)`: `[N]`."""
        flow, x = self._flow, inputs
        if self._is_conditional:
            context, x = inputs
            flow = condition(flow, context)
        to_data, continuous, from_base, base = _parts(flow)
        for bijector in to_data:
            x = bijector.inverse(x)
        x, context, _ = continuous._rows(x)
        # Outside of training the draws are always the same, so that epochs can be compared.
        seed = tf.zeros([2], tf.int32)
        if training:
            seed = replica_seed(tf.identity(self.seed.value))
            self.seed.assign_add([0, 1])
        num_rows = tf.shape(x)[0]
        u = base.sample(num_rows, seed=seed + tf.constant([1, 0]))
        for bijector in reversed(from_base):
            u = bijector.forward(u)
        s = philox_uniform([], seed, x.dtype)
        s += tf.range(num_rows, dtype=x.dtype) / tf.cast(num_rows, x.dtype)
        s = tf.math.floormod(s, tf.ones([], x.dtype))[:, tf.newaxis]
        u, x = tf.stop_gradient(tf.cast(u, x.dtype)), tf.stop_gradient(x)
        duration = continuous.t1 - continuous.t0
        f = continuous.velocity(continuous.t0 + s * duration, (1.0 - s) * u + s * x, context)
        return tf.reduce_sum((duration * f - (x - u)) ** 2, axis=-1)


def _parts(flow: tfp.distributions.Distribution) -> tuple[Any, ...]:
    """The bijectors from data to base: before the `Continuous`, it, after it; and the base."""
    bijectors, node = [], flow
    while hasattr(node, "bijector") and hasattr(node, "distribution"):
        bijectors += _flat(node.bijector)
        node = node.distribution
    places = [i for i, part in enumerate(bijectors) if isinstance(part, Continuous)]
    found = [part for part in walk(flow) if isinstance(part, Continuous)]
    if len(places) != 1 or len(found) != 1:
        raise ValueError(
            "`flow` must have one `Continuous` in its chain for flow matching, not in `tfb.Invert` "
            f"or another part. Received: {len(places)} in the chain, {len(found)} in the flow"
        )
    at = places[0]
    return bijectors[:at], bijectors[at], bijectors[at + 1 :], node


def _flat(bijector: tfp.bijectors.Bijector) -> list[tfp.bijectors.Bijector]:
    # `tfb.Chain` makes its base class `_Chain` if a part is not a composite tensor.
    if isinstance(bijector, chain._Chain):
        return [part for each in bijector.bijectors for part in _flat(each)]
    return [bijector]
