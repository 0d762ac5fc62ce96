"""Maximum likelihood, Keras's way."""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.typing import ArrayLike

from tfp_flows import _checks
from tfp_flows.conditioning import context_size, waits_for_context
from tfp_flows.models._adapting import adapt, forgotten_unless_trained, initialized
from tfp_flows.models._adopts import check_is_one
from tfp_flows.models._arrays import Arrays, checked_batch_size
from tfp_flows.models._batches import batches
from tfp_flows.models._densities import Densities
from tfp_flows.models._devices import average_devices
from tfp_flows.models._draws import Draws
from tfp_flows.models._first_look import no_batches, with_batches
from tfp_flows.models._given_data import checked_dataset, is_array, split
from tfp_flows.models._raw_data import RawData
from tfp_flows.models._rows import Rows
from tfp_flows.models._score import score_of_inputs
from tfp_flows.models._watch import check_weights, watched
from tfp_flows.models._workers import shared_seed
from tfp_flows.models.flow_matching import FlowMatching


@keras.saving.register_keras_serializable(package="tfp_flows")
class FlowModel(Draws, Densities):
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

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        name: str | None = None,
        objective: str = "likelihood",
        **kwargs: Any,
    ) -> None:
        super().__init__(distribution, name=name, **kwargs)
        check_is_one(distribution, "is fitted before it is bound: `fit(context, x)`")
        self.objective = _checks.one_of(objective, ("likelihood", "flow_matching"), "objective")
        if objective == "flow_matching":
            self.matching = FlowMatching(distribution)
        self._is_conditional = waits_for_context(distribution)
        size = context_size(distribution) if self._is_conditional else 0
        self._rows = Rows(distribution, size, self.compute_dtype)
        self._arrays = Arrays(distribution, size, self.compute_dtype)
        self._raw_data = RawData(distribution)

    def call(self, inputs: tf.Tensor | tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Returns `log p(x)`, for inputs `(c, x)` `log p(x | c)`, or its bound: `[N]`, in nats."""
        return score_of_inputs(self.distribution, self._is_conditional, inputs)

    def adapt(self, x: ArrayLike, y: ArrayLike | None = None) -> None:
        """Lets the parts that learn from data before training do so, from the data inwards.

        `adapt(x)`, or `adapt(context, x)` for a conditional flow; there the context may be left
        out if no part takes it before the last part that adapts. `Standardize` and `ActNorm`
        adapt, also if they have before; each sees the rows as the parts before it leave them.
        `StandardizeContext` adapts to the contexts.

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
            x, context = self._arrays.checked_x(x, "data"), None
            self._arrays.check_support(x, "data")
        else:
            (context, x), _ = self._arrays.checked(x, y, in_support=True)
        adapt(self.distribution, x, context)

    def fit(
        self,
        x: ArrayLike | tf.data.Dataset | keras.utils.PyDataset | Iterator[Any] | None = None,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str | None = "auto",
        callbacks: list[keras.callbacks.Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        sample_weight: ArrayLike | None = None,
        validation_batch_size: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
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
          ValueError: for data that are not finite, outside of the support or of the wrong shape,
            weights that are negative, not finite or all zero, a dataset without batches.
          TypeError: for integer data of a continuous flow, and what is no array.
          FloatingPointError: when a loss turns non-finite, that of validation too; names the step.

        A `UserWarning` tells of float64 numbers whose differences the flow's dtype cannot hold.
        Another tells once of a flow over vectors whose first trained layer meets columns far from
        zero mean and unit scale, or rows outside of all splines: then `Standardize` is missing.
        """
        self._check_trainable()
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "`class_weight` must not be given: rows have no classes, but a `sample_weight`. "
                f"Received: class_weight={kwargs['class_weight']!r}"
            )
        if not is_array(x):
            not_taken = {"y": y, "sample_weight": sample_weight}
            not_taken["validation_split"] = validation_split or None
            dataset = with_batches(checked_dataset(x, **not_taken), self._rows, "x")
            dataset = self._raw_data.looked_at(dataset, self._rows.unpacked)
        else:
            arrays, sample_weight = self._arrays.checked(x, y, sample_weight, in_support=True)
            if validation_split and validation_data is None:
                arrays, sample_weight, validation_data = split(
                    arrays, sample_weight, validation_split
                )
            self._raw_data.look_at_rows(arrays[-1], sample_weight)
            seed = shared_seed(self.distribute_strategy) if shuffle else None
            size = checked_batch_size(batch_size)
            dataset = batches(arrays, sample_weight, size, shuffle, seed)
        if is_array(validation_data) or isinstance(validation_data, tuple):
            size = batch_size if validation_batch_size is None else validation_batch_size
            validation_data = self._arrays.validation_batches(validation_data, size)
        elif validation_data is not None:
            validation_data = with_batches(validation_data, self._rows, "validation_data")
        with forgotten_unless_trained(self):
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

    def evaluate(
        self,
        x: ArrayLike | tf.data.Dataset | keras.utils.PyDataset | Iterator[Any] | None = None,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        sample_weight: ArrayLike | None = None,
        **kwargs: Any,
    ) -> float | dict[str, float]:
        """Returns -sum_n w_n log p(x_n) / sum_n w_n over every row, a `float`, in nats."""
        if is_array(x):
            x = self._arrays.batches(x, y, sample_weight, batch_size)
        else:
            x = checked_dataset(x, y=y, sample_weight=sample_weight)
            # Those of `fit` have been looked at.
            if not kwargs.get("_use_cached_eval_dataset"):
                x = with_batches(x, self._rows, "x")
        average_devices(self)
        return_dict = kwargs.pop("return_dict", False)
        self._test_outcome.reset()
        result = super().evaluate(x, return_dict=True, **kwargs)
        if "loss" not in result:
            raise no_batches("x", x)
        check_weights(self._test_outcome)
        return result if return_dict else float(result["loss"])

    def _signature(self) -> Any:
        return self._rows.signature()

    def _context_signature(self) -> tf.TensorSpec | None:
        return self._rows.signature()[0] if self._is_conditional else None

    def get_config(self) -> dict[str, Any]:
        """The model as plain data; raises `ValueError` for what cannot be saved, by name."""
        config = super().get_config()
        if self.matching is not None:
            config["objective"] = self.objective
        return config
