"""The steps of maximum likelihood: losses, gradients and reported means."""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.distributions import Dequantized
from tfp_flows.models._adapting import forgotten_unless_trained, initialized
from tfp_flows.models._counted_rows import Found
from tfp_flows.models._distribution_model import DistributionModel
from tfp_flows.models._score import total_weight, weighted_mean
from tfp_flows.models._watch import check_weights
from tfp_flows.models._whole_step import WholeStep


class LikelihoodSteps(DistributionModel):
    r"""$L = -\sum_n w_n \log p(x_n) / \sum_n w_n$

    A model whose steps compute this loss over the rows of a batch, and its running mean.

    A subclass says how a batch is split into parts: its `_rows` has a method `unpacked`. If the
    model has a layer `matching`, the loss is the mean of the squared errors of that layer.
    """

    def __init__(
        self, distribution: tfp.distributions.Distribution, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(distribution, name=name, **kwargs)
        self.matching: keras.Layer | None = None
        self._loss_mean = keras.metrics.Mean(name="loss", dtype=self.compute_dtype)
        self._bits_mean = None
        if isinstance(distribution, Dequantized):
            self._bits_mean = keras.metrics.Mean("bits_per_dimension", dtype=self.compute_dtype)
            self._nats_per_bit = distribution.event_shape.num_elements() * math.log(2.0)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means of the loss and, for a `Dequantized`, of bits per dimension."""
        return [mean for mean in (self._loss_mean, self._bits_mean) if mean is not None]

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of the optimizer."""
        inputs, weight, index = self._rows.counted(data)
        step = WholeStep(self)
        share = self._share_of_rows(inputs, weight)
        data = (inputs, weight, share)
        (loss, values), gradients = self._differentiated(self._loss_of_batch, *data)
        loss = self._update(step, gradients, loss, Found(_x(inputs), values, weight, index))
        return self._logs(loss, values, weight)

    def _loss_of_batch(
        self,
        inputs: tf.Tensor | tuple[tf.Tensor, ...],
        weight: tf.Tensor | None,
        share: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        """Returns the loss that is differentiated, and `(loss, values)`."""
        values = self._score(inputs, training=True)
        loss = self.compute_loss(y_pred=values, sample_weight=weight)
        scaled = self.optimizer.scale_loss(self._part_of_loss(loss, values, weight, share))
        return scaled, (loss, values)

    def _share_of_rows(
        self, inputs: tf.Tensor | tuple[tf.Tensor, ...], weight: tf.Tensor | None
    ) -> tf.Tensor | None:
        """This device's share of the weight of all rows; `None` if there is one device."""
        if self._num_replicas() == 1:
            return None
        if weight is None:
            x = inputs[-1] if isinstance(inputs, tuple) else inputs
            own = tf.cast(tf.shape(x)[0], self.compute_dtype)
        else:
            own = tf.reduce_sum(weight)
        # This is outside of the program, since XLA compiles no exchange between devices.
        context = tf.distribute.get_replica_context()
        return tf.math.divide_no_nan(own, context.all_reduce(tf.distribute.ReduceOp.SUM, own))

    def _part_of_loss(
        self, loss: tf.Tensor, values: tf.Tensor, weight: tf.Tensor | None, share: tf.Tensor | None
    ) -> tf.Tensor:
        """The term that this device adds to the loss of all devices, weighted by row."""
        if share is None:
            return loss
        mean = weighted_mean(-values, weight)
        return (loss - mean) / self._num_replicas() + tf.cast(share, mean.dtype) * mean

    # Tracing and compiling a density takes seconds, so validation, `evaluate` and `predict` share
    # one program of it. Their own functions are plain graphs around that program.

    def make_test_function(self, force: bool = False) -> Any:
        """As in Keras."""
        return self._around_programs(super().make_test_function, force)

    def make_predict_function(self, force: bool = False) -> Any:
        """As in Keras."""
        return self._around_programs(super().make_predict_function, force)

    def _around_programs(self, make: Callable[[bool], Any], force: bool) -> Any:
        if force:
            for layer in (self, self.matching):
                self._programs.forget(layer)
        with self._without_jit():
            return make(force)

    def _run(
        self, layer: keras.Layer, inputs: tf.Tensor | tuple[tf.Tensor, ...], training: bool
    ) -> Any:
        if training:
            return super()._run(layer, inputs, training)
        run = functools.partial(super()._run, layer, training=False)
        return self._program(layer, run)(inputs)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of `evaluate`; the loss is without regularizers."""
        inputs, weight, index = self._rows.counted(data)
        values = self._score(inputs, training=False)
        loss = weighted_mean(-values, weight)
        self._test_outcome.record_test(loss, Found(_x(inputs), values, weight, index))
        return self._logs(loss, values, weight)

    def train_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Any:
        """As in Keras, for `x`, or a context and x; adapts every `ActNorm` that has not yet."""
        for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
            _checks.plain(part, name)
        with forgotten_unless_trained(self):
            initialized(self.distribution, [(x, y, sample_weight)], self._rows.unpacked)
            return super().train_on_batch(x, y, sample_weight, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, but refuses weights that are negative, not finite, or all zero."""
        self._test_outcome.reset()
        self.reset_metrics()  # as in `train_on_batch`
        result = super().test_on_batch(*args, **kwargs)
        check_weights(self._test_outcome)
        return result

    def predict_step(self, data: Any) -> tf.Tensor:
        """The log-densities of one batch."""
        return self._run(self, self._rows.unpacked(data)[0], training=False)

    def _score(self, inputs: tf.Tensor | tuple[tf.Tensor, ...], training: bool) -> tf.Tensor:
        """The maximized values `[N]`: the log-density, or minus the squared error of matching."""
        if self.matching is None:
            return self._run(self, inputs, training)
        return -self._run(self.matching, inputs, training)

    def _logs(self, loss: tf.Tensor, values: tf.Tensor, weight: tf.Tensor | None) -> dict[str, Any]:
        """Updates the running means with one more batch, and returns them."""
        total = total_weight(values, weight)
        self._loss_mean.update_state(loss, sample_weight=total)
        if self._bits_mean is not None:
            bits = weighted_mean(-values, weight) / self._nats_per_bit
            self._bits_mean.update_state(bits, sample_weight=total)
        return self._reported()

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: tf.Tensor | None = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The weighted mean of -`y_pred`, the maximized values, plus the networks' regularizers."""
        del x, y, training
        loss = weighted_mean(-y_pred, sample_weight)
        for penalty in self.losses:
            loss += tf.cast(penalty, loss.dtype)
        return loss


def _x(inputs: tf.Tensor | tuple[tf.Tensor, ...]) -> tf.Tensor:
    """Returns x from inputs that are x or `(context, x)`."""
    return inputs[-1] if isinstance(inputs, tuple) else inputs
