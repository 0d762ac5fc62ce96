"""The watch on a training: it ends as soon as the loss, or the weights, are lost."""

import keras
import tensorflow as tf

from tfp_flows.models._whole_files import drop_broken_metadata

_ADVICE = "A smaller learning rate, `clipnorm` in the optimizer, or standardised data often help."


def watched(model, callbacks):
    """The callbacks that a user gives to `fit`, and the watch on the loss of the model."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        result, each_callback = callbacks, callbacks.callbacks
    else:
        each_callback = [each for each in tf.nest.flatten(callbacks) if each is not None]
        result = each_callback
    for callback in each_callback:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            drop_broken_metadata(callback.backup_dir)
    # A list of the user's may be given to another `fit`.
    watches = [each for each in each_callback if isinstance(each, StopAtNonFinite)]
    if not watches:
        watches = [StopAtNonFinite()]
        each_callback.extend(watches)
    for watch in watches:
        # A list that is made already tells its model to nobody new.
        watch.set_model(model)
    return result


class StopAtNonFinite(keras.callbacks.Callback):
    """Ends a training whose loss, or whose weights, are lost."""

    def on_train_begin(self, logs=None):
        self.is_first = True

    def on_epoch_begin(self, epoch, logs=None):
        self.place = f"epoch {epoch + 1}"
        self.step = 0

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {}).get("loss", 0.0))
        self.step = batch + 1
        if not abs(loss) < float("inf"):
            advice = self.model._advice_at_start if self.is_first else _ADVICE
            raise FloatingPointError(
                f"The loss must stay finite, and training stops at step {self.step} of "
                f"{self.place}. {advice} Received: loss={loss}"
            )
        self.is_first = False

    def on_epoch_end(self, epoch, logs=None):
        # The loss of a step is that before its update: the last one is not seen otherwise.
        if not all(tf.reduce_all(tf.math.is_finite(v.value)) for v in self.model.trainable_weights):
            raise FloatingPointError(
                f"The weights must stay finite, and training stops after step {self.step} of "
                f"{self.place}. {_ADVICE} Received: weights with NaN or infinity"
            )
