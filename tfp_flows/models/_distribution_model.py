"""What the Keras models of a distribution share: its variables, compiled steps, saving."""

import functools
import os

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import saving
from tfp_flows._tree import walk
from tfp_flows.models._loose_variables import _LooseVariables
from tfp_flows.models._whole_files import write_whole


class DistributionModel(keras.Model):
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
        self._jit_inside = False
        self._penalties = None
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

    def compile(self, optimizer="adam", jit_compile=True, **kwargs):
        """Configures training; there is no loss to choose.

        Args:
          optimizer: a Keras optimizer or its name.
          jit_compile: whether XLA compiles the steps. Keras's "auto" is off on CPU.
          **kwargs: further arguments of `keras.Model.compile`.

        Raises:
          ValueError: if a loss or metrics are given: the model has its own.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"`{name}` must not be given: the loss follows from the distribution. "
                    f"Received: {name}={kwargs[name]!r}"
                )
        if kwargs.get("auto_scale_loss", True) and self._is_half_precision():
            # Keras does it by the policy of the model, which is that of the density.
            optimizer = keras.optimizers.get(optimizer)
            if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self._jit = jit_compile
        # XLA cannot compile a step that spans devices, but it can what each of them does.
        self._jit_inside = jit_compile is True and self._num_replicas() > 1
        super().compile(
            optimizer=optimizer, jit_compile=False if self._jit_inside else jit_compile, **kwargs
        )

    def get_compile_config(self):
        """The optimizer and how steps are compiled, as plain data."""
        if not self.compiled:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "jit_compile": self._jit,
            "is_started": self.optimizer.built,
        }

    def compile_from_config(self, config):
        """Compiles as the saved model was, so that training goes on where it was."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], safe_mode=True)
        # It has been wrapped already, if it was to be.
        self.compile(optimizer=optimizer, jit_compile=config["jit_compile"], auto_scale_loss=False)
        if config["is_started"]:
            # The optimizer's state is read into variables that exist.
            self.optimizer.build(self.trainable_variables)

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        """As in Keras, to a `.keras` file; one that exists is replaced at once, or stays.

        Raises:
          ValueError: for Keras's older format, HDF5, which could not be loaded; for a distribution
            that cannot be saved.
        """
        if os.fspath(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "`filepath` must end with '.keras' (weights alone: `save_weights`). "
                f"Received: filepath={os.fspath(filepath)!r}"
            )
        write = functools.partial(super().save, zipped=zipped, **kwargs)
        write_whole(write, filepath, ".keras", overwrite)

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """As in Keras, but a file that exists is replaced at once.

        A training that is killed while it writes leaves the previous file, so that
        `keras.callbacks.BackupAndRestore` can always resume.
        """
        write = functools.partial(super().save_weights, **kwargs)
        write_whole(write, filepath, ".weights.h5", overwrite)

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

    def _is_half_precision(self):
        layers = [layer for each in self.networks for layer in (each, *getattr(each, "layers", ()))]
        return any(layer.compute_dtype == "float16" for layer in layers)

    @property
    def losses(self):
        """As in Keras: what regularisers and networks add to the loss."""
        # Those of a function within the step are what it returned.
        return super().losses if self._penalties is None else list(self._penalties)

    def _num_replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    def _run(self, layer, inputs, training):
        """`layer(inputs)` in the mode, compiled here if the step around it cannot be."""
        # Keras clears what the step before has added by `add_loss` in parts of the layer only.
        self._clear_losses()
        self._penalties = None
        if not self._jit_inside:
            return layer(inputs, training=training)

        @tf.function(jit_compile=True, autograph=False)
        def compiled(inputs):
            values = layer(inputs, training=training)
            return values, tuple(self.losses)

        values, penalties = compiled(inputs)
        self._penalties = penalties if training else None
        return values

    def _check_trainable(self):
        if not self.trainable_weights:
            raise ValueError(
                "`distribution` must have trainable variables to be fitted. "
                f"Received: {self.distribution!r} with {len(self.weights)} variables, none of "
                "them trainable"
            )

    def _apply_gradients(self, tape, loss):
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self._penalties = None

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
        """Makes the model again; see `tfp_flows.saving`."""
        config = dict(config)
        saving.check_version(config.pop("format_version", None))
        with saving.custom_object_scope(custom_objects):
            distribution = saving.decode(config.pop("distribution"))
        layers, weights = config.pop("frozen_layers"), config.pop("frozen_weights")
        model = cls(distribution, **config)
        for every, frozen in ((list(model._flatten_layers()), layers), (model.weights, weights)):
            for i in frozen:
                every[i].trainable = False
        return model

    def get_build_config(self):
        """Nothing: the networks are built when they are made."""
        return None


def _frozen(parts):
    return [i for i, part in enumerate(parts) if not part.trainable]
