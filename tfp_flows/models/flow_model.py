"""Maximum likelihood, Keras's way."""

import keras
import numpy as np

from tfp_flows import _checks
from tfp_flows.conditioning import condition, context_size, waits_for_context
from tfp_flows.models._adapting import adapt, initialized
from tfp_flows.models._arrays import Arrays, checked_batch_size
from tfp_flows.models._batches import batches
from tfp_flows.models._devices import average_devices
from tfp_flows.models._given_data import checked_dataset, is_array, split
from tfp_flows.models._likelihood_steps import LikelihoodSteps
from tfp_flows.models._rows import Rows
from tfp_flows.models._score import score
from tfp_flows.models._watch import watched
from tfp_flows.models._workers import shared_seed
from tfp_flows.models.flow_matching import FlowMatching


@keras.saving.register_keras_serializable(package="tfp_flows")
class FlowModel(LikelihoodSteps):
    """loss = -sum_n w_n log p(x_n) / sum_n w_n, in nats, for any TFP distribution p.

    A `keras.Model` whose weights are all the variables of the distribution, its networks'
    included. `compile`, `fit`, `evaluate`, callbacks, the progress bar and `.keras` files are
    Keras's. A flow with a context (`context_size > 0`) is fitted by `fit(context, x)`.

    ```python
    model = tfp_flows.FlowModel(tfp_flows.flows.maf(2))
    model.compile(optimizer="adam", jit_compile=True)
    model.fit(x, epochs=10, validation_data=x_validation)
    model.distribution.sample(100)
    ```

    `model(x)` and `model.predict(x)` are the log-density of each row; `model((context, x))` for
    a conditional flow. Densities are those of the data as given, also when the flow holds a
    `Standardize`. `fit` runs networks in training mode (dropout), all else in inference.

    Data are arrays, or a `tf.data.Dataset` (or `keras.utils.PyDataset`, or generator) of batches
    `x`, `(x,)`, `(x, None, sample_weight)`, or `(context, x[, sample_weight])`; a generator gives
    tuples, and a `PyDataset`, which cannot hold `None`, `((x,), sample_weight)`. Batches of arrays
    all have the same shape, so that XLA compiles once; rows that fill up the last one weigh zero.

    Images of whole numbers (`uint8` arrays, or a dataset of them) are fitted by a flow in
    `tfp_flows.distributions.Dequantized`: the bound takes the place of the log-density in `fit`,
    `evaluate` and `predict`, and `bits_per_dimension` stands beside the loss. Any
    other distribution with an `elbo(x)`, as of sets (`tfp_flows.flows.pointflow`), is fitted by it.

    A continuous flow (`tfp_flows.flows.ffjord`) is trained many times as fast by
    `objective="flow_matching"`: `fit` and `evaluate` then report its squared error (see
    `tfp_flows.models.FlowMatching`) in place of nats, while `predict` and `log_prob` stay the
    log-density, that of the equation.

    Args:
      distribution: any TFP distribution with variables, such as the flow that a recipe returns,
        or TFP's own with a `tf_keras` network.
      name: Python `str`.
      objective: "likelihood", or "flow_matching" for a flow with one `Continuous`.

    Raises:
      TypeError: if `distribution` is not a TFP distribution.
      ValueError: if it has no variables, a batch shape, or parts with contexts of different sizes,
        or does not suit the objective.
    """

    def __init__(self, distribution, name=None, objective="likelihood", **kwargs):
        super().__init__(distribution, name=name, **kwargs)
        batch_shape = distribution.batch_shape
        if not (batch_shape.is_compatible_with([]) or batch_shape.is_compatible_with([1])):
            raise ValueError(
                "`distribution` must be one distribution, not a batch of them. A conditional flow "
                "is fitted before it is bound: `fit(context, x)`. "
                f"Received: distribution.batch_shape={distribution.batch_shape}"
            )
        self.objective = _checks.one_of(objective, ("likelihood", "flow_matching"), "objective")
        if objective == "flow_matching":
            self.matching = FlowMatching(distribution)
        self._is_conditional = waits_for_context(distribution)
        size = context_size(distribution) if self._is_conditional else 0
        self._rows = Rows(distribution, size, self.compute_dtype)
        self._arrays = Arrays(distribution, size, self.compute_dtype)

    def call(self, inputs):
        """Returns `log p(x)`, for inputs `(c, x)` `log p(x | c)`, or its bound: `[N]`, in nats."""
        if not self._is_conditional:
            return score(self.distribution, inputs)
        if not isinstance(inputs, tuple | list) or len(inputs) != 2:
            raise ValueError(
                "The inputs of a conditional flow must be `(context, x)`. "
                f"Received: {type(inputs).__name__}"
            )
        context, x = inputs
        return score(condition(self.distribution, context), x)

    def adapt(self, x, y=None):
        """Lets the parts that learn from data before training do so, from the data inwards.

        `adapt(x)`, or `adapt(context, x)` for a conditional flow; there the context may be left
        out if no part takes it before the last part that adapts. `Standardize` and `ActNorm`
        adapt, also if they have before; each sees the rows as the parts before it leave them.

        Args:
          x: an array `[N, ...]`; the context if `y` is given.
          y: the array `[N, ...]` of data of a conditional flow.

        Raises:
          ValueError: if no part adapts, or one stands where data do not reach it.
        """
        if not is_array(x):
            raise TypeError(
                "`x` must be an array: parts adapt to all rows at once. "
                f"Received: x of type {type(x).__name__}"
            )
        if y is None:
            adapt(self.distribution, self._arrays.checked_x(x, "data"))
            return
        (context, x), _ = self._arrays.checked(x, y)
        adapt(self.distribution, x, context)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        sample_weight=None,
        validation_batch_size=None,
        **kwargs,
    ):
        """Trains by maximum likelihood: `fit(x)`, or `fit(context, x)` for a conditional flow.

        Before the first step every `ActNorm` that has not met data yet adapts to the first batch,
        or with a strategy to the whole of it, on all devices alike.

        Args:
          x: an array `[N, ...]`, or a dataset of batches; the context if `y` is given.
          y: the array `[N, ...]` of data of a conditional flow.
          batch_size: rows in a step; 256 by default.
          epochs: Python `int`.
          verbose: as in Keras.
          callbacks: as in Keras; `keras.callbacks.BackupAndRestore` resumes a killed training.
          validation_split: the share of rows, taken from the end, that is held out.
          validation_data: `x`, `(x,)` or `(x, None, sample_weight)`; with a context `(context, x)`
            or `(context, x, sample_weight)`; or a dataset.
          shuffle: whether rows come in a new order in every epoch.
          sample_weight: an array `[N]` of weights of rows.
          validation_batch_size: rows in a validation step; `batch_size` by default.
          **kwargs: further arguments of `keras.Model.fit`.

        Returns:
          A `keras.callbacks.History` of `loss` and `val_loss`, in nats.

        Raises:
          ValueError: for data that are not finite, or of the wrong shape.
          TypeError: for integer data of a continuous flow.
          FloatingPointError: when the loss turns non-finite; names the step.
        """
        self._check_trainable()
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "`class_weight` must not be given: rows have no classes, but a `sample_weight`. "
                f"Received: class_weight={kwargs['class_weight']!r}"
            )
        if not is_array(x):
            dataset = checked_dataset(
                x, y=y, sample_weight=sample_weight, validation_split=validation_split or None
            )
        else:
            arrays, sample_weight = self._arrays.checked(x, y, sample_weight)
            if validation_split and validation_data is None:
                arrays, sample_weight, validation_data = split(
                    arrays, sample_weight, validation_split
                )
            seed = shared_seed(self.distribute_strategy) if shuffle else None
            size = checked_batch_size(batch_size)
            dataset = batches(arrays, sample_weight, size, shuffle, seed)
        if is_array(validation_data) or isinstance(validation_data, tuple):
            size = batch_size if validation_batch_size is None else validation_batch_size
            validation_data = self._arrays.validation_batches(validation_data, size)
        history = super().fit(
            initialized(self.distribution, dataset, self._rows.unpacked),
            epochs=epochs,
            verbose=verbose,
            callbacks=watched(self, callbacks),
            validation_data=validation_data,
            # `batches` shuffles; Keras would only warn that it does not.
            shuffle=False,
            **kwargs,
        )
        average_devices(self)
        return history

    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs):
        """Returns -sum_n w_n log p(x_n) / sum_n w_n over every row, a `float`, in nats."""
        if is_array(x):
            x = self._arrays.batches(x, y, sample_weight, batch_size)
        else:
            x = checked_dataset(x, y=y, sample_weight=sample_weight)
        average_devices(self)
        return_dict = kwargs.pop("return_dict", False)
        result = super().evaluate(x, return_dict=True, **kwargs)
        if "loss" not in result:
            raise ValueError(f"`x` must have batches. Received: x={x!r} without one")
        return result if return_dict else float(result["loss"])

    def predict(self, x, batch_size=None, **kwargs):
        """Returns the log-density of each row of `x`, or of `(context, x)`: `[N]`, in nats."""
        if is_array(batch_size) and np.ndim(batch_size):
            raise TypeError(
                "`batch_size` must be an integer: a context and x are given as one pair, "
                f"`predict((context, x))`. Received: batch_size of shape {np.shape(batch_size)}"
            )
        batch_size = checked_batch_size(batch_size)
        is_pair = self._is_conditional and isinstance(x, tuple | list)
        if not (is_pair or is_array(x) or isinstance(x, tuple)):
            return super().predict(checked_dataset(x), **kwargs)
        arrays, _ = self._arrays.checked(*(x if is_pair or isinstance(x, tuple) else (x,)))
        dataset = batches(arrays, None, batch_size, shuffle=False)
        return super().predict(dataset, **kwargs)[: len(arrays[0])]

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        """As in Keras, for `x`, or a context and x; adapts every `ActNorm` that waits for data."""
        initialized(self.distribution, [(x, y, sample_weight)], self._rows.unpacked)
        return super().train_on_batch(x, y, sample_weight, **kwargs)

    def _signature(self):
        return self._rows.signature()

    def get_config(self):
        """The model as plain data; raises `ValueError` for what cannot be saved, by name."""
        config = super().get_config()
        if self.matching is not None:
            config["objective"] = self.objective
        return config
