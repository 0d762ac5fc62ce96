"""What the Keras models of a distribution share: its variables, compiled steps, saving."""

import functools
import math
import os

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import saving
from tfp_flows._tree import walk
from tfp_flows.models._compiled_steps import CompiledSteps
from tfp_flows.models._loose_variables import _LooseVariables
from tfp_flows.models._whole_files import write_whole


class DistributionModel(CompiledSteps):
    """A `keras.Model` whose weights are all the variables of a TFP distribution.

    The networks inside are tracked as the Keras layers that they are; every other `tf.Variable`
    is adopted, so that the optimizer, `summary`, checkpoints and `.keras` files see all of them.
    """

    # What is said of a loss that is not finite from the start.
    _advice_at_start = (
        "The first batch already has no finite density: its rows, or some parameters, are not "
        "finite, or rows lie outside of the support of the distribution."
    )

    def __init__(self, distribution, name=None, **kwargs):
        if not isinstance(distribution, tfp.distributions.Distribution):
            raise TypeError(
                "`distribution` must be a TFP distribution. "
                f"Received: distribution={distribution!r}"
            )
        dtype = distribution.dtype
        if not isinstance(dtype, tf.DType):
            raise TypeError(
                "`distribution` must be over one tensor, not over several as a joint distribution "
                f"is. Received: distribution={distribution!r}"
            )
        if "dtype" in kwargs:
            raise ValueError(
                "`dtype` must not be given: it is that of the distribution. "
                f"Received: dtype={kwargs['dtype']!r}"
            )
        variables = distribution.variables
        networks = [node for node in walk(distribution) if isinstance(node, keras.Layer)]
        if not variables and not any(network.weights for network in networks):
            raise ValueError(
                "`distribution` must have variables to train. A Keras 3 network inside one of "
                "TFP's own bijectors is not seen by TFP, nor what a function closes over, and an "
                "unbuilt network has none yet. "
                f"Received: distribution={distribution!r} without variables"
            )
        # Inputs arrive in the dtype of the distribution whatever the global policy says: under
        # a mixed one the model would round them to half precision.
        dtype = getattr(distribution, "density_dtype", dtype)
        super().__init__(name=name, dtype=dtype.name if dtype.is_floating else "float32", **kwargs)
        self._distribution = distribution
        self.networks = networks
        owned = {id(weight.value) for network in networks for weight in network.weights}
        self.loose_variables = _LooseVariables(
            [variable for variable in variables if id(variable) not in owned]
        )
        self.built = True

    @property
    def distribution(self):
        """The TFP distribution that the model trains."""
        return self._distribution

    @property
    def metrics(self):
        """The running means that `fit` and `evaluate` report."""
        raise NotImplementedError

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        """As in Keras, to a `.keras` file; one that exists is replaced at once, or stays.

        `keras.saving.save_model(model, filepath)` opens the file before it asks for the model, so
        that a failure leaves half of a file there: call this method.

        Raises:
          ValueError: for Keras's older format, HDF5, which could not be loaded; for a distribution
            that cannot be saved.
          OSError: if the file cannot be written, on a full disk for instance; the previous one
            stays.
        """
        if os.fspath(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "`filepath` must end with '.keras' (weights alone: `save_weights`). "
                f"Received: filepath={os.fspath(filepath)!r}"
            )
        write = functools.partial(super().save, zipped=zipped, **kwargs)
        write_whole(write, filepath, ".keras", overwrite, self._max_file_size())

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """As in Keras, but a file that exists is replaced at once.

        A training that is killed while it writes leaves the previous file, so that
        `keras.callbacks.BackupAndRestore` can always resume.

        Raises:
          OSError: as for `save`.
        """
        write = functools.partial(super().save_weights, **kwargs)
        write_whole(write, filepath, ".weights.h5", overwrite, self._max_file_size())

    def _max_file_size(self):
        """A number of bytes that files of weights do not exceed."""
        optimizer = getattr(self, "optimizer", None)
        variables = [*self.variables, *getattr(optimizer, "variables", ())]
        parts = len(variables) + len(list(self._flatten_layers()))
        values = sum(each.value.dtype.size * math.prod(each.shape) for each in variables)
        # What HDF5 notes of each part, and the configuration.
        return values + 8192 * (parts + 1)

    def export(
        self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs
    ):
        """As in Keras: what is exported gives the log-density of x, or of `(context, x)`.

        Args:
          filepath: of the folder.
          format: as in Keras.
          verbose: as in Keras.
          input_signature: a list of the inputs' `tf.TensorSpec`; by default of any number of rows.
          **kwargs: further arguments of `keras.Model.export`.
        """
        if input_signature is None:
            input_signature = [self._signature()]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def _signature(self):
        """The `tf.TensorSpec` of the inputs, of any number of rows."""
        shape = [None, *self.distribution.event_shape]
        return tf.TensorSpec(shape, self.distribution.dtype, "x")

    def _check_trainable(self):
        if not self.trainable_weights:
            raise ValueError(
                "`distribution` must have trainable variables to be fitted. "
                f"Received: {self.distribution!r} with {len(self.weights)} variables, none of "
                "them trainable"
            )

    def get_config(self):
        """The model as plain data; raises `ValueError` for what cannot be saved, by name."""
        return {
            "name": self.name,
            "format_version": saving.FORMAT_VERSION,
            "distribution": saving.encode(self.distribution),
            # Of layers, too: Keras lets go of weights only with the layer that it has frozen.
            "frozen_layers": _frozen(self._flatten_layers()),
            "frozen_weights": _frozen(self.weights),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the model again; see `tfp_flows.saving`.

        Raises:
          ValueError: for a configuration of another format, or one that was tampered with.
        """
        config = dict(config)
        saving.check_version(config.pop("format_version", None))
        with saving.reading("The saved model"):
            with saving.custom_object_scope(custom_objects):
                distribution = saving.decode(config.pop("distribution"))
            frozen = {name: config.pop(name) for name in ("frozen_layers", "frozen_weights")}
            model = cls(distribution, **config)
            _freeze(list(model._flatten_layers()), frozen["frozen_layers"], "frozen_layers")
            _freeze(model.weights, frozen["frozen_weights"], "frozen_weights")
        return model

    def get_build_config(self):
        """Nothing: the networks are built when they are made."""
        return None


def _freeze(parts, numbers, name):
    for i in numbers:
        if i not in range(len(parts)):
            raise ValueError(f"`{name}` must be below {len(parts)}, each. Received: {i!r}")
        parts[i].trainable = False


def _frozen(parts):
    return [i for i, part in enumerate(parts) if not part.trainable]
