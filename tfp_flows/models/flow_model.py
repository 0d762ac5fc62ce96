"""The Keras model that fits distributions by maximum likelihood."""

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
    r"""$L = -\sum_n w_n \log p(x_n) / \sum_n w_n$

    A Keras model that fits any TFP distribution p to data x by maximum likelihood.

    L is in nats. The weights are all variables of the distribution, networks included. Training,
    callbacks, the progress bar and `.keras` files are Keras's own. Dropout acts only in training.

    - `adapt(x)` sets `Standardize` and `ActNorm` by the data, before training.
    - `fit(x)` trains; a flow with a context (`context_size > 0`) takes `fit(context, x)`.
    - `model(x)`, `predict(x)` and `log_prob(x)` return the log-density of each row of x as given.
      With a context use `model((context, x))`, `predict((context, x))`, `log_prob(x, context)`.
    - `sample(n)` or `sample(n, context)` draws samples; `distribution` is the trained distribution.

    Data are arrays, or batches from a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator:
    `x`, `(x,)`, `(x, None, sample_weight)` or `(context, x[, sample_weight])`. A generator must
    give tuples; a `PyDataset` cannot hold `None` and gives `((x,), sample_weight)`. Arrays are cut
    into batches of one shape, so that XLA compiles once; rows of weight zero fill up the last one.

    Wrap a flow of images (`uint8`) in `tfpf.distributions.Dequantized`. The model then uses a lower
    bound of the log-density in its place, and also reports `bits_per_dimension`. Every distribution
    with a bound `elbo(x)` is fitted by it, such as `tfpf.flows.pointflow` for sets. A continuous
    flow (`tfpf.flows.ffjord`) trains many times as fast with `objective="flow_matching"`. `fit` and
    `evaluate` then report a squared error (see `FlowMatching`); `predict` is still in nats.

    Args:
      distribution: any TFP distribution with variables, such as the flow that a recipe returns. It
        may be built only from TFP and `tf_keras`.
      name: Python `str`.
      objective: "likelihood", or "flow_matching" for a flow with one `Continuous`.

    Raises:
      TypeError: if `distribution` is not a TFP distribution.
      ValueError: if it has no variables, if it has a batch shape or contexts of different sizes, or
        if it does not suit the objective.

    Example:
      >>> import numpy as np
      >>> import tfp_flows as tfpf
      >>> x = np.random.default_rng(0).normal([1.0, 5.0], [0.1, 2.0], [256, 2]).astype("float32")
      >>> flow = tfpf.flows.maf(2, num_layers=1, hidden_units=(8,))
      >>> model = tfpf.FlowModel(tfpf.distributions.Flow(flow, tfpf.bijectors.Standardize(2)))
      >>> model.adapt(x)
      >>> model.compile("adam", jit_compile=False)  # without XLA, for a short run
      >>> history = model.fit(x, epochs=1, verbose=0)
      >>> round(history.history["loss"][0], 1)  # nats
      1.2
      >>> model.sample(3, seed=1).shape
      (3, 2)
    """

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        name: str | None = None,
        objective: str = "likelihood",
        **kwargs: Any,
    ) -> None:
        super().__init__(distribution, name=name, **kwargs)
        check_is_one(distribution, "must not be bound to a context: call `fit(context, x)`")
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
        """Sets the parts that learn from data before training: `adapt(x)` or `adapt(context, x)`.

        x and contexts are arrays `[N, ...]`. `Standardize` and `ActNorm` adapt, even if they have
        before, from the data to the base. Each sees the rows as the parts before it leave them.
        `StandardizeContext` adapts to contexts. Conditional flows may do without a context if no
        part takes one before the last part that adapts.

        Raises:
          ValueError: if no part adapts, or if the data do not reach a part that does.
        """
        if not is_array(x):
            raise TypeError(
                "`x` must be an array, since parts adapt to all rows at once. "
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

        First, each `ActNorm` that has not seen data adapts to the first batch, that of all devices.
        A `UserWarning` says if float64 numbers differ by less than the flow's dtype can hold, and
        once if `Standardize` seems to be missing: if the first trained layer of a flow over vectors
        gets columns far from zero mean and unit scale, or rows outside of all splines.

        Args:
          x: an array `[N, ...]`, or a dataset of batches; the context if `y` is given.
          y: the data `[N, ...]` of a conditional flow.
          batch_size: rows in a step; 256 by default.
          epochs: Python `int`.
          verbose: as in Keras.
          callbacks: as in Keras; `keras.callbacks.BackupAndRestore` resumes a killed training.
          validation_split: the share of rows, taken from the end, that is held out.
          validation_data: `x`, `(x,)` or `(x, None, sample_weight)`; with a context `(context, x)`
            or `(context, x, sample_weight)`; or a dataset.
          shuffle: whether each epoch takes the rows in a new order.
          sample_weight: weights of the rows, an array `[N]`.
          validation_batch_size: rows in a validation step; `batch_size` by default.
          **kwargs: further arguments of `keras.Model.fit`.

        Returns:
          A `keras.callbacks.History` of `loss` and `val_loss`, in nats.

        Raises:
          ValueError: if data are not finite, outside of the support or of the wrong shape, if
            weights are negative, not finite or all zero, or if a dataset has no batches.
          TypeError: if a continuous flow gets integers, or if data are not arrays.
          FloatingPointError: if a loss is not finite, in validation too; names the step.
        """
        self._check_trainable()
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "`class_weight` must not be given: rows have no classes. Use `sample_weight`. "
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
                # `batches` shuffles. Keras would warn that it does not shuffle datasets.
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
        r"""Returns $-\sum_n w_n \log p(x_n) / \sum_n w_n$ over every row, a `float`, in nats."""
        if is_array(x):
            x = self._arrays.batches(x, y, sample_weight, batch_size)
        else:
            x = checked_dataset(x, y=y, sample_weight=sample_weight)
            # `fit` has already looked at its validation data.
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
        """The model as plain data; raises a `ValueError` that names what cannot be saved."""
        config = super().get_config()
        if self.matching is not None:
            config["objective"] = self.objective
        return config
