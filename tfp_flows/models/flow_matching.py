"""Flow matching: training a continuous flow without solving its equation."""

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
    """|(t_1 - t_0) f(t, z) - (x - u)|^2 for each row, z = (1 - s) u + s x, t = t_0 + s (t_1 - t_0).

    u is drawn from the base, s uniformly from [0, 1]: straight paths from the base to the data,
    the optimal-transport path of the paper with sigma_min = 0. The expectation is least when f is
    the field whose flow carries the base to the density of the data; it is not zero there. Times
    of a batch are spread evenly, s_n = (s_0 + n / N) mod 1, each uniform, for less variance.

    The flow is one `Continuous` in a chain, of transformed distributions too. Parts between it
    and the data (`Standardize`) are inverted on x, parts between it and the base applied to u; no
    part but the field may have trainable variables: matching would not train them.

    Source: Lipman et al. (2023), Flow matching for generative modeling, arXiv:2210.02747,
    section 4.1; even times: Kingma et al. (2021), arXiv:2107.00630, appendix I.1.

    Args:
      flow: a TFP distribution.

    Raises:
      ValueError: if the flow is not of this form.
    """

    def __init__(self, flow: tfp.distributions.Distribution) -> None:
        super().__init__(name="flow_matching", dtype="float32", autocast=False)
        self._flow = flow
        self._is_conditional = waits_for_context(flow)
        _, continuous, _, base = _parts(flow)
        if base.batch_shape.rank != 0:
            raise ValueError(
                "The base of flow matching must have no batch shape. "
                f"Received: base.batch_shape={base.batch_shape}"
            )
        own = {id(variable) for variable in continuous.trainable_variables}
        others = [v.name for v in flow.trainable_variables if id(v) not in own]
        if others:
            raise ValueError(
                "Flow matching trains one vector field; no other part may have trainable "
                f"variables. Received: {', '.join(others)}"
            )
        # A weight, since Keras does not save the state of a `SeedGenerator`. Python's generator is
        # the one that `keras.utils.set_random_seed` sets.
        self.seed = self.add_weight(
            name="seed",
            shape=(2,),
            dtype="int32",
            initializer=keras.initializers.Constant(random.randrange(2**31)),
            trainable=False,
            # Each device counts on its own, or an update would wait for all, which XLA cannot.
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
        # Outside of training always the same draws, so that epochs compare.
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
    """Bijectors from the data to the `Continuous`, it, those from it to the base, and the base."""
    bijectors, node = [], flow
    while hasattr(node, "bijector") and hasattr(node, "distribution"):
        bijectors += _flat(node.bijector)
        node = node.distribution
    places = [i for i, part in enumerate(bijectors) if isinstance(part, Continuous)]
    found = [part for part in walk(flow) if isinstance(part, Continuous)]
    if len(places) != 1 or len(found) != 1:
        raise ValueError(
            "Flow matching takes a flow with one `Continuous` in its chain, not in `tfb.Invert` or "
            f"another part. Received: {len(places)} in the chain, {len(found)} in the flow"
        )
    at = places[0]
    return bijectors[:at], bijectors[at], bijectors[at + 1 :], node


def _flat(bijector: tfp.bijectors.Bijector) -> list[tfp.bijectors.Bijector]:
    # `tfb.Chain` makes its base class `_Chain` when a part is no composite tensor.
    if isinstance(bijector, chain._Chain):
        return [part for each in bijector.bijectors for part in _flat(each)]
    return [bijector]
