"""The base of the Keras models of a distribution: variables, compiled steps and files."""

import functools
import math
import os
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.models._adopts import Adopts
from tfp_flows.models._compiled_steps import CompiledSteps
from tfp_flows.models._export import export
from tfp_flows.models._whole_files import write_whole


class DistributionModel(Adopts, CompiledSteps):
    """A `keras.Model` whose weights are all the variables of a TFP distribution."""

    # The advice in the error of a loss that is not finite from the start.
    _advice_at_start = (
        "The first batch already has no finite density: its rows or some parameters are not "
        "finite, or rows lie outside of the support of the distribution."
    )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means that `fit` and `evaluate` report."""
        raise NotImplementedError

    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Saves to a `.keras` file, as in Keras; on failure the old file is kept.

        Call this method, not `keras.saving.save_model(model, filepath)`. That function opens the
        file before it asks for the model, so a failure leaves half of a file.

        Raises:
          ValueError: if the file has Keras's older format, HDF5, which could not be loaded, or if
            the distribution cannot be saved.
          OSError: if the file cannot be written, for example on a full disk. The old file is kept.
        """
        if os.fspath(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "`filepath` must end with '.keras' (weights alone: `save_weights`). "
                f"Received: filepath={os.fspath(filepath)!r}"
            )
        write = functools.partial(super().save, zipped=zipped, **kwargs)
        write_whole(write, filepath, ".keras", overwrite, self._max_file_size())

    def save_weights(
        self, filepath: str | os.PathLike[str], overwrite: bool = True, **kwargs: Any
    ) -> None:
        """Saves the weights, as in Keras; on failure the old file is kept.

        If training is killed while it writes, the old file is still whole, so that
        `keras.callbacks.BackupAndRestore` can always resume.

        Raises:
          OSError: as for `save`.
        """
        write = functools.partial(super().save_weights, **kwargs)
        write_whole(write, filepath, ".weights.h5", overwrite, self._max_file_size())

    def _max_file_size(self) -> int:
        """A number of bytes that a file of weights does not exceed."""
        optimizer = getattr(self, "optimizer", None)
        variables = [*self.variables, *getattr(optimizer, "variables", ())]
        parts = len(variables) + len(list(self._flatten_layers()))
        values = sum(each.value.dtype.size * math.prod(each.shape) for each in variables)
        # HDF5 adds a header for each part, and the file holds the configuration.
        return values + 8192 * (parts + 1)

    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        verbose: int | str | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Writes a SavedModel of densities and samples, which is served without this package.

        Its endpoint `log_prob`, also called `serve`, takes x or `(context, x)`. Its endpoint
        `sample` takes `(seed, n)` or `(context, seed, n)`, where the seed is two integers. Other
        formats hold only the log-density.

        Args:
          filepath: the path of the folder.
          format: as in Keras.
          verbose: as in Keras.
          input_signature: a list of the `tf.TensorSpec`s of the inputs; by default they are of any
            number of rows.
          **kwargs: further arguments of `keras.Model.export`.
        """
        if input_signature is None:
            input_signature = [self._signature()]
        if format == "tf_saved_model" and not kwargs:
            export(self, filepath, input_signature, self._context_signature())
        else:
            super().export(filepath, format, verbose, input_signature, **kwargs)

    def _context_signature(self) -> tf.TensorSpec | None:
        """The `tf.TensorSpec` of a context for each row, or `None`."""
        return None

    def _signature(self) -> Any:
        """The `tf.TensorSpec` of the inputs, of any number of rows."""
        return tf.nest.map_structure(
            lambda dtype, shape: tf.TensorSpec([None, *shape], dtype, "x"),
            self.distribution.dtype,
            self.distribution.event_shape,
        )

    def _check_trainable(self) -> None:
        if not self.trainable_weights:
            raise ValueError(
                "`distribution` must have trainable variables to be fitted. "
                f"Received: {self.distribution!r} with {len(self.weights)} variables, none of "
                "them trainable"
            )
