"""The watch on a training: it ends as soon as the loss, or the weights, are lost."""

import keras
import tensorflow as tf

from tfp_flows.models._whole_files import drop_broken_metadata
from tfp_flows.models._whole_step import FINE, GRADIENT, LOSS
from tfp_flows.models._workers import FromFirst, SharedBackup, num_workers

_OF_WORKERS = (FromFirst, SharedBackup)
_ADVICE = "A smaller learning rate, `clipnorm` in the optimizer, or standardised data often help."


def watched(model, callbacks):
    """The callbacks that a user gives to `fit`, and the watch on the loss of the model."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        result, each_callback = callbacks, callbacks.callbacks
    else:
        each_callback = [each for each in tf.nest.flatten(callbacks) if each is not None]
        result = each_callback
    backups = [each for each in each_callback if isinstance(each, keras.callbacks.BackupAndRestore)]
    for backup in backups:
        drop_broken_metadata(backup.backup_dir)
    # A list of the user's may be given to another `fit`.
    watches = [each for each in each_callback if isinstance(each, StopAtNonFinite)]
    if not watches:
        watches = [StopAtNonFinite()]
        # Before those of the user, which would otherwise write down a step that was lost.
        each_callback[:0] = watches
    if num_workers(model.distribute_strategy) > 1:
        each_callback[:] = [each for each in each_callback if not isinstance(each, _OF_WORKERS)]
        shared = [SharedBackup(backup) for backup in backups]
        each_callback[:0] = shared
        each_callback.append(FromFirst())
        watches = [*watches, *shared, each_callback[-1]]
    for watch in watches:
        # A list that is made already tells its model to nobody new.
        watch.set_model(model)
    return result


class StopAtNonFinite(keras.callbacks.Callback):
    """Ends a training as soon as a step has changed nothing, since something was not finite."""

    def on_train_begin(self, logs=None):
        self.model._outcome.reset()

    def on_epoch_begin(self, epoch, logs=None):
        self.place = f"epoch {epoch + 1}"
        self.start = self.model._outcome.count

    def on_train_batch_end(self, batch, logs=None):
        self.step = batch + 1
        if self.model._outcome.failure != FINE:
            step = self.model._outcome.count - self.start + 1
            raise not_finite(self.model, f" at step {step} of {self.place}")

    def on_epoch_end(self, epoch, logs=None):
        # No step makes a weight NaN, but what else assigns it may.
        for weight in self.model.trainable_weights:
            if not tf.reduce_all(tf.math.is_finite(weight.value)):
                path = _path(self.model, weight)
                raise FloatingPointError(
                    f"The weights must stay finite, and training stops after step {self.step} of "
                    f"{self.place}. {_ADVICE} Received: `{path}` with NaN or infinity"
                )


def not_finite(model, place=""):
    """The error that a step which was not finite ends in.

    Args:
      model: one whose steps record their `Outcome`.
      place: where it was, in words.
    """
    outcome = model._outcome
    if outcome.failure == LOSS:
        what, received = "loss", f"loss={outcome.loss}"
    else:
        path = _path(model, model.trainable_weights[outcome.index])
        kind = "gradient" if outcome.failure == GRADIENT else "updated weight"
        what, received = f"{kind} of `{path}`", f"a {kind} with NaN or infinity"
    advice = _ADVICE if outcome.count else model._advice_at_start
    return FloatingPointError(
        f"The {what} must stay finite, and training stops{place}. That step has changed no "
        f"variable. {advice} Received: {received}"
    )


def _path(model, weight):
    """How a user knows a weight: by Keras's path, or by the name of a variable of their own."""
    is_loose = any(weight is each for each in model.loose_variables.adopted)
    return weight.value.name.removesuffix(":0") if is_loose else weight.path
