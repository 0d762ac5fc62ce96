"""Makes a training step change all variables that it should, or none."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows.models import _fused_adam
from tfp_flows.models._counted_rows import Found, is_one_of_several

FINE, LOSS, GRADIENT, WEIGHT, SAMPLE_WEIGHT = range(5)


class Outcome:
    """Records how the steps since the last `reset` went, in variables that are not saved.

    Once a step has failed, later steps change nothing either, until `reset`. Several of them may
    run before Python checks.
    """

    def __init__(self) -> None:
        options = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        with tf.init_scope():
            self._failure = tf.Variable(FINE, dtype=tf.int32, name="failure", **options)
            self._index = tf.Variable(0, dtype=tf.int32, name="index", **options)
            self._count = tf.Variable(0, dtype=tf.int64, name="count", **options)
            self._idle = tf.Variable(0, dtype=tf.int64, name="idle", **options)
            self._place = tf.Variable([-1, -1], dtype=tf.int32, name="place", **options)
            self._is_in_data = tf.Variable(False, name="is_in_data", **options)
            self._loss = tf.Variable(0.0, dtype=tf.float64, name="loss", **options)

    def reset(self) -> None:
        """Clears the record."""
        for variable in (self._failure, self._index, self._count, self._idle, self._loss):
            variable.assign(tf.zeros([], variable.dtype))
        self._place.assign([-1, -1])
        self._is_in_data.assign(False)

    @property
    def count(self) -> int:
        """The number of whole steps."""
        return int(tf.identity(self._count))

    @property
    def idle(self) -> int:
        """The number of whole steps without a row of positive weight; they change nothing."""
        return int(tf.identity(self._idle))

    @property
    def place(self) -> tuple[int, int]:
        """The row and column that made a step fail; -1 if unknown."""
        return tuple(tf.identity(self._place).numpy().tolist())

    @property
    def is_in_data(self) -> bool:
        """Whether that row number refers to the data; otherwise it refers to the batch."""
        return bool(tf.identity(self._is_in_data))

    @property
    def failure(self) -> int:
        """`FINE`, or what failed: `LOSS`, `GRADIENT`, `WEIGHT` or `SAMPLE_WEIGHT`."""
        return int(tf.identity(self._failure))

    @property
    def index(self) -> int:
        """The index of the trainable weight whose gradient or value was not finite."""
        return int(tf.identity(self._index))

    @property
    def loss(self) -> float:
        """The loss of the step that has failed."""
        return float(tf.identity(self._loss))

    def has_failed(self) -> tf.Tensor:
        """A boolean `Tensor`: whether a step has failed."""
        return tf.not_equal(self._failure, FINE)

    def record_test(self, loss: tf.Tensor, found: Found) -> None:
        """Adds a batch of `evaluate`."""
        failure = tf.where(tf.math.is_finite(loss), FINE, LOSS)
        has_good_weights, has_weight = found.on_all_devices()
        failure = tf.where(has_good_weights, failure, SAMPLE_WEIGHT)
        self.record(failure, tf.zeros([], tf.int32), loss, found, has_weight)

    def record(
        self,
        failure: tf.Tensor,
        index: tf.Tensor,
        loss: tf.Tensor,
        found: Found | None,
        has_weight: tf.Tensor,
    ) -> None:
        """Adds one step, unless a step before has failed."""
        before = tf.identity(self._failure)
        was_fine = tf.equal(before, FINE)
        # Not for several devices: around a `tf.cond` they would wait for each other forever.
        if found is not None and not is_one_of_several():
            # Search for the row only if something is wrong.
            is_spoiled = tf.equal(failure, LOSS) | tf.equal(failure, SAMPLE_WEIGHT)
            unknown = tf.constant([-1, -1])
            place = tf.cond(is_spoiled, lambda: tf.stack(found.place()), lambda: unknown)
            self._place.assign(tf.where(was_fine, place, self._place))
            is_in_data = tf.constant(found.index is not None)
            self._is_in_data.assign(tf.where(was_fine, is_in_data, self._is_in_data))
        is_idle = was_fine & tf.equal(failure, FINE) & ~has_weight
        self._idle.assign_add(tf.cast(is_idle, tf.int64))
        self._index.assign(tf.where(was_fine, index, self._index))
        self._loss.assign(tf.where(was_fine, tf.cast(loss, tf.float64), self._loss))
        self._count.assign_add(tf.cast(was_fine & tf.equal(failure, FINE), tf.int64))
        self._failure.assign(tf.where(was_fine, failure, before))


class WholeStep:
    """One training step. Make it before the loss is computed, since that updates statistics.

    Args:
      model: a `CompiledSteps`.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        optimizer = model.optimizer
        if not optimizer.built:  # in a step outside of `fit`
            optimizer.build(model.trainable_weights)
        self._weights = model.trainable_weights
        self._is_fused = model._updates_apart()
        changed = [weight.value for weight in model.non_trainable_weights]
        if not self._is_fused:
            changed += [v.value for v in (*self._weights, *optimizer.variables)]
        # An optimizer that wraps another one shares its variables.
        self._changed = list({id(variable): variable for variable in changed}.values())
        self._kept = [tf.identity(variable) for variable in self._changed]

    def apply(self, gradients: list[Any], loss: tf.Tensor, found: Found | None = None) -> tf.Tensor:
        """Updates the weights; returns whether the step has not failed, a boolean `Tensor`.

        If no row of the batch has a positive weight, nothing changes and nothing fails.

        Args:
          gradients: a list, one for each trainable weight.
          loss: scalar `Tensor`.
          found: the `Found` of the batch, if there is one.
        """
        optimizer = self._model.optimizer
        if self._model._num_replicas() > 1:
            # The mean over all devices is not finite if one of them has a loss that is not.
            context = tf.distribute.get_replica_context()
            loss = context.all_reduce(tf.distribute.ReduceOp.MEAN, loss)
        has_loss, has_good_weights = tf.math.is_finite(loss), tf.constant(True)
        has_weight = tf.constant(True)
        if found is not None:
            has_good_weights, has_weight = found.on_all_devices()
        has_failed = self._model._outcome.has_failed()
        if self._is_fused:
            may_change = has_loss & has_good_weights & has_weight & ~has_failed
            gradients = self._summed(gradients)
            stay_finite = _fused_adam.apply(optimizer, gradients, self._weights, may_change)
            # Each gradient is checked only if something is wrong.
            have_gradients = tf.cond(
                tf.reduce_all(stay_finite),
                lambda: stay_finite,
                lambda: tf.stack([_is_finite(gradient) for gradient in gradients]),
            )
        else:
            # A scaled loss may overflow. The optimizer then skips the step and lowers the scale.
            skips = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
            seen = [tf.constant(True) if skips else _is_finite(gradient) for gradient in gradients]
            have_gradients = self._agreed(seen)
            optimizer.apply_gradients(zip(gradients, self._weights, strict=True))
            stay_finite = self._agreed([_is_finite(weight.value) for weight in self._weights])
        checks = [
            (SAMPLE_WEIGHT, has_good_weights),
            *((LOSS, has_loss), (GRADIENT, have_gradients), (WEIGHT, stay_finite)),
        ]
        failure, index = tf.constant(FINE), tf.zeros([], tf.int32)
        for what, flags in reversed(checks):
            is_lost = ~tf.reduce_all(flags)
            failure = tf.where(is_lost, what, failure)
            if what in (GRADIENT, WEIGHT):
                index = tf.where(is_lost, _first_false(flags), index)
        # Gradients of a batch without positive weights may be anything.
        counts = has_weight | ~has_good_weights
        failure = tf.where(counts, failure, FINE)
        is_whole = tf.equal(failure, FINE) & ~has_failed
        self._put_back_unless(is_whole & counts)
        self._model._outcome.record(failure, index, loss, found, has_weight)
        return is_whole

    def _summed(self, gradients: list[Any]) -> list[Any]:
        """The gradients, summed over all devices, each of which has its part of the loss."""
        if self._model._num_replicas() == 1:
            return gradients
        present = [gradient for gradient in gradients if gradient is not None]
        context = tf.distribute.get_replica_context()
        sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
        return [None if gradient is None else next(sums) for gradient in gradients]

    def _agreed(self, flags: list[tf.Tensor]) -> tf.Tensor:
        """The flags `[n]`, each true if it is true on every device."""
        flags = tf.stack(flags)
        if self._model._num_replicas() == 1:
            return flags
        missing = tf.distribute.get_replica_context().all_reduce(
            tf.distribute.ReduceOp.SUM, 1.0 - tf.cast(flags, tf.float32)
        )
        return tf.equal(missing, 0.0)

    def _put_back_unless(self, is_whole: tf.Tensor) -> None:
        def put_back(variable: tf.Variable, kept: tf.Tensor, is_whole: tf.Tensor) -> None:
            variable.assign(tf.where(is_whole, variable, kept))

        def on_each_device(strategy: Any, variables: Any, kept: Any, is_whole: tf.Tensor) -> None:
            for variable, value in zip(variables, kept, strict=True):
                strategy.extended.update(variable, put_back, args=(value, is_whole), group=False)

        mirrored = []
        for variable, kept in zip(self._changed, self._kept, strict=True):
            if getattr(variable, "synchronization", None) == tf.VariableSynchronization.ON_READ:
                put_back(variable, kept, is_whole)
            else:
                mirrored.append((variable, kept))
        if mirrored:
            variables, kept = (list(each) for each in zip(*mirrored, strict=True))
            tf.__internal__.distribute.interim.maybe_merge_call(
                on_each_device, tf.distribute.get_strategy(), variables, kept, is_whole
            )


def _first_false(flags: tf.Tensor) -> tf.Tensor:
    return tf.argmin(tf.cast(flags, tf.int32), output_type=tf.int32)


def _is_finite(tensor: tf.Tensor | tf.IndexedSlices | None) -> tf.Tensor:
    if tensor is None:
        return tf.constant(True)
    values = tensor.values if isinstance(tensor, tf.IndexedSlices) else tensor
    if not values.dtype.is_floating:
        return tf.constant(True)
    return tf.reduce_all(tf.math.is_finite(values))
