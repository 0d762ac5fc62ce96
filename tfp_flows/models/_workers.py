"""Makes several workers, each a process with devices of its own, agree."""

import contextlib
import json
import random
import zlib
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import saving

# These may differ between workers that train the same flow: names count the layers that a process
# has made, and variables get the values of the first worker.
_FREE = ("name", "seed", "value")


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """The number of processes that train together.

    Args:
      strategy: a `tf.distribute.Strategy`.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    return strategy.num_replicas_in_sync // len(strategy.extended.worker_devices)


def of_first(strategy: tf.distribute.Strategy, values: list[Any]) -> list[tf.Tensor]:
    """The values of the first worker; every worker has to call this.

    Args:
      strategy: a strategy of several workers.
      values: a list of numbers or variables, of the same shapes and dtypes on each worker.

    Returns:
      A list of tensors.
    """
    results = _of_first(strategy, [tf.convert_to_tensor(value) for value in values])
    return [strategy.experimental_local_results(result)[0] for result in results]


@tf.function(autograph=False)
def _of_first(strategy: tf.distribute.Strategy, tensors: list[tf.Tensor]) -> Any:
    def shared() -> list[tf.Tensor]:
        context = tf.distribute.get_replica_context()
        is_first = tf.equal(context.replica_id_in_sync_group, 0)
        sums = []
        for tensor in tensors:
            # A sum needs numbers.
            number = tf.cast(tensor, tf.int32) if tensor.dtype == tf.bool else tensor
            own = tf.where(is_first, number, tf.zeros_like(number))
            total = context.all_reduce(tf.distribute.ReduceOp.SUM, own)
            sums.append(tf.cast(total, tensor.dtype))
        return sums

    return strategy.run(shared)


@tf.function(autograph=False)
def _gathered(strategy: tf.distribute.Strategy, tensor: tf.Tensor) -> Any:
    def gathered() -> tf.Tensor:
        # The copy belongs to this device; a tensor from outside belongs to none.
        own = tf.identity(tensor)
        return tf.distribute.get_replica_context().all_gather(own, axis=0)

    return strategy.run(gathered)


def shared_seed(strategy: tf.distribute.Strategy) -> int | None:
    """A seed that is the same on all workers; `None` if there is one worker."""
    if num_workers(strategy) == 1:
        return None
    return int(of_first(strategy, [random.randrange(2**31 - 1)])[0])


def check_same(
    strategy: tf.distribute.Strategy, distribution: tfp.distributions.Distribution
) -> None:
    """Raises an error on all workers if they have made different flows.

    Args:
      strategy: a strategy of several workers.
      distribution: a TFP distribution. If it cannot be saved, it is taken to be the same.

    Raises:
      ValueError: if masks, permutations or arguments differ between workers.
    """
    try:
        config = saving.encode(distribution)
    except ValueError:
        config = None
    text = json.dumps(_fixed(config), default=lambda part: type(part).__name__)
    own = zlib.crc32(text.encode())
    result = _gathered(strategy, tf.constant([own], tf.int64))
    sums = strategy.experimental_local_results(result)[0].numpy().tolist()
    if len(set(sums)) > 1:
        raise ValueError(
            "Every worker must make the same flow, with the same permutations and masks: give the "
            f"recipe a `seed`. Received: {len(set(sums))} different flows on {len(sums)} devices"
        )


def _fixed(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _fixed(part) for key, part in config.items() if key not in _FREE}
    return [_fixed(part) for part in config] if isinstance(config, list) else config


class FromFirst(keras.callbacks.Callback):
    """Starts all workers from the state of the first, as only that may have read a backup.

    It must be the last callback.
    """

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        model = self.model
        strategy = model.distribute_strategy
        check_same(strategy, model.distribution)
        variables = [*model.weights, *model.optimizer.variables]
        variables = list({id(variable): variable.value for variable in variables}.values())
        # `BackupAndRestore` leaves the number of finished epochs in `_initial_epoch`.
        *values, epoch = of_first(strategy, [*variables, model._initial_epoch or 0])
        with strategy.scope():
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        model._initial_epoch = int(epoch)


class SharedBackup(keras.callbacks.Callback):
    """Makes and removes the folder of a `BackupAndRestore`, which workers may share.

    Keras's callback does this on each worker, so that the second of two workers would fail. This
    callback must come before Keras's.

    Args:
      backup: a `keras.callbacks.BackupAndRestore`.
    """

    def __init__(self, backup: keras.callbacks.BackupAndRestore) -> None:
        super().__init__()
        self._backup = backup

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        tf.io.gfile.makedirs(self._backup.backup_dir)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self._backup.delete_checkpoint:
            return
        strategy = self.model.distribute_strategy
        of_first(strategy, [0])  # From here on no worker writes.
        with contextlib.suppress(tf.errors.OpError):  # Keras removes the rest, or raises.
            tf.io.gfile.rmtree(self._backup.backup_dir)
        of_first(strategy, [0])  # From here on no worker looks at a folder that another removes.
