"""Stops training as soon as the loss or a weight is not finite."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.distributions._support import described, support
from tfp_flows.models._whole_files import drop_broken_metadata
from tfp_flows.models._whole_step import FINE, GRADIENT, LOSS, SAMPLE_WEIGHT, Outcome
from tfp_flows.models._workers import FromFirst, SharedBackup, num_workers

_OF_WORKERS = (FromFirst, SharedBackup)
_ADVICE = "A smaller learning rate, `clipnorm` in the optimizer, or standardized data often help."


def watched(model: keras.Model, callbacks: Any) -> Any:
    """The callbacks that a user gives to `fit`, with those that watch the model."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        result, each_callback = callbacks, callbacks.callbacks
    else:
        each_callback = [each for each in tf.nest.flatten(callbacks) if each is not None]
        result = each_callback
    backups = [each for each in each_callback if isinstance(each, keras.callbacks.BackupAndRestore)]
    for backup in backups:
        drop_broken_metadata(backup.backup_dir)
    # The user may give the same list to another `fit`, so watches may be in it already.
    watches = [each for each in each_callback if isinstance(each, StopAtNonFinite)]
    if not watches:
        watches = [StopAtNonFinite()]
        # First, or a callback of the user would save a step that has failed.
        each_callback[:0] = watches
    if num_workers(model.distribute_strategy) > 1:
        each_callback[:] = [each for each in each_callback if not isinstance(each, _OF_WORKERS)]
        shared = [SharedBackup(backup) for backup in backups]
        each_callback[:0] = shared
        each_callback.append(FromFirst())
        watches = [*watches, *shared, each_callback[-1]]
    for watch in watches:
        # A `CallbackList` that exists already does not pass its model to new callbacks.
        watch.set_model(model)
    return result


class StopAtNonFinite(keras.callbacks.Callback):
    """Stops training after a step that was not finite, and so has changed nothing."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.model._outcome.reset()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.place = f"epoch {epoch + 1}"
        self.start = self.model._outcome.count
        self.start_idle = self.model._outcome.idle

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step = batch + 1
        if self.model._outcome.failure != FINE:
            step = self.model._outcome.count - self.start + 1
            raise not_finite(self.model, f" at step {step} of {self.place}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        check_weights(self.model._outcome, self.start, self.start_idle)
        loss = (logs or {}).get("val_loss")
        if loss is not None and not np.isfinite(loss):
            outcome = self.model._test_outcome
            place = f" at step {outcome.count + 1} of the validation after {self.place}"
            raise FloatingPointError(
                f"The validation loss must stay finite, and training stops{place}. Leave out rows "
                "that are not finite or outside of the support, or give them weight zero. If there "
                "are none, the weights may have diverged. "
                f"Received: val_loss={loss}{_where(self.model, outcome)}"
            )
        # No step makes a weight NaN, but other code that assigns it may.
        for weight in self.model.trainable_weights:
            if not tf.reduce_all(tf.math.is_finite(weight.value)):
                path = _path(self.model, weight)
                raise FloatingPointError(
                    f"The weights must stay finite, and training stops after step {self.step} of "
                    f"{self.place}. {_ADVICE} Received: `{path}` with NaN or infinity"
                )


def not_finite(model: keras.Model, place: str = "") -> Exception:
    """The error for a step that was not finite.

    Args:
      model: a model whose steps record their `Outcome`.
      place: the place of the step, in words.
    """
    outcome = model._outcome
    if outcome.failure == SAMPLE_WEIGHT:
        return _bad_weight(outcome, f"{place or ' of the batch'}, which has changed no variable")
    if outcome.failure == LOSS:
        what, received = "loss", f"loss={outcome.loss}{_where(model, outcome)}"
    else:
        path = _path(model, model.trainable_weights[outcome.index])
        kind = "gradient" if outcome.failure == GRADIENT else "updated weight"
        what, received = f"{kind} of `{path}`", f"a {kind} with NaN or infinity"
    advice = _ADVICE if outcome.count else model._advice_at_start
    return FloatingPointError(
        f"The {what} must stay finite, and training stops{place}. That step has changed no "
        f"variable. {advice} Received: {received}"
    )


def check_weights(outcome: Outcome, start: int = 0, start_idle: int = 0) -> None:
    """Refuses row weights that a step has found to be negative, not finite, or all zero.

    Args:
      outcome: an `Outcome`.
      start: the number of whole steps before.
      start_idle: the number of them without a positive weight.
    """
    if outcome.failure == SAMPLE_WEIGHT:
        raise _bad_weight(outcome, f" at step {outcome.count + 1}")
    if outcome.idle > start_idle and outcome.idle - start_idle == outcome.count - start:
        raise ValueError(
            "`sample_weight` must have a positive number. "
            f"Received: only zeros, in {outcome.idle - start_idle} batches"
        )


def _bad_weight(outcome: Outcome, place: str) -> ValueError:
    row, _ = outcome.place
    where = f", the first is row {row} of that batch" if row >= 0 else ""
    return ValueError(
        "`sample_weight` must have finite numbers, none of them negative. "
        f"Received: negative or not finite numbers{place}{where}"
    )


def _where(model: keras.Model, outcome: Outcome) -> str:
    """Says which row made a loss not finite."""
    row, column = outcome.place
    if row < 0:
        return ""
    of = "the data" if outcome.is_in_data else "that batch"
    if column < 0:
        bounds = support(model.distribution)
        known = "" if bounds is None else f"; the support is {described(bounds)}"
        return f"; row {row} of {of} has no finite density{known}"
    shape = tuple(model.distribution.event_shape)
    if None in shape or len(shape) == 0:
        return f"; x is not finite in row {row} of {of}"
    column = ", ".join(map(str, np.unravel_index(column, shape)))
    return f"; x is not finite in row {row} of {of}, column {column}"


def _path(model: keras.Model, weight: keras.Variable) -> str:
    """A weight's name as a user knows it: Keras's path, or the name of their own variable."""
    is_loose = any(weight is each for each in model.loose_variables.adopted)
    return weight.value.name.removesuffix(":0") if is_loose else weight.path
