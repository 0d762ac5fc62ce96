"""Compiles the steps of a model: losses, gradients and densities by XLA, each once."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import saving
from tfp_flows.models import _fused_adam
from tfp_flows.models._counted_rows import Found
from tfp_flows.models._programs import Programs
from tfp_flows.models._watch import check_weights, not_finite
from tfp_flows.models._whole_step import FINE, Outcome, WholeStep
from tfp_flows.models._workers import num_workers


class CompiledSteps(keras.Model):
    """A `keras.Model` without a loss of its own, whose `networks` are layers.

    By default XLA compiles the loss of a step with its gradients, as one program. A plain Adam
    update is not part of it: TensorFlow has a kernel for it, and compiling it would take as long as
    the rest.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._jit_inside = False
        self._programs = Programs()
        self._outcome = Outcome()
        self._test_outcome = Outcome()

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        jit_compile: bool | str = True,
        **kwargs: Any,
    ) -> None:
        """Configures training; there is no loss to choose.

        Args:
          optimizer: a Keras optimizer or its name.
          jit_compile: whether XLA compiles the steps. Keras's "auto" does not on a CPU.
          **kwargs: further arguments of `keras.Model.compile`.

        Raises:
          ValueError: if a loss or metrics are given, since the model has its own, or if
            `jit_compile` is neither a bool nor "auto".
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"`{name}` must not be given: the loss follows from the distribution. "
                    f"Received: {name}={kwargs[name]!r}"
                )
        if not (isinstance(jit_compile, bool) or jit_compile == "auto"):
            raise ValueError(
                "`jit_compile` must be True, False or 'auto'. "
                f"Received: jit_compile={jit_compile!r}"
            )
        if kwargs.get("auto_scale_loss", True) and self._is_half_precision():
            # Keras decides this by the policy of the model, which is that of the density.
            optimizer = keras.optimizers.get(optimizer)
            if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self._jit = jit_compile
        # XLA cannot compile a step that spans devices, but it can compile the part of each device.
        self._jit_inside = jit_compile is True and self._num_replicas() > 1
        self._programs = Programs()
        super().compile(
            optimizer=optimizer, jit_compile=False if self._jit_inside else jit_compile, **kwargs
        )

    def get_compile_config(self) -> dict[str, Any] | None:
        """The optimizer and how steps are compiled, as plain data."""
        if not self.compiled:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "jit_compile": self._jit,
            "is_started": self.optimizer.built,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles the model as it was when it was saved, so that training can continue."""
        with saving.reading("The optimizer of the saved model"):
            optimizer = keras.saving.deserialize_keras_object(config["optimizer"], safe_mode=True)
            # The saved optimizer already has its loss scaling, so nothing is to be added.
            jit_compile, is_started = config["jit_compile"], config["is_started"]
            self.compile(optimizer=optimizer, jit_compile=jit_compile, auto_scale_loss=False)
            if is_started:
                # The state of the optimizer is then read into these variables.
                self.optimizer.build(self.trainable_variables)

    def make_train_function(self, force: bool = False) -> Any:
        """As in Keras; XLA compiles the whole step, or only what `_differentiated` runs."""
        if self.train_function is None or force:
            self._programs.forget("gradients")
        if not self.optimizer.built:
            # A graph that makes variables takes many times as long, and is traced twice.
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_weights)
        if not self._updates_apart():
            return super().make_train_function(force)
        with self._without_jit():
            return super().make_train_function(force)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Drops compiled functions after an error, so that the next call uses nothing half made."""
        try:
            yield
        except BaseException as error:
            # An error that is found after a step leaves its program whole. A function whose tracing
            # was interrupted can make no more variables, of an optimizer or of a user's callable.
            if not isinstance(error, FloatingPointError):
                self.train_function = self.test_function = self.predict_function = None
                self._programs = Programs()
            raise

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing. Keras would build the model by a first batch, but it is already built.

        Keras's own method first averages that batch over workers, which fails if there are several
        (Keras 3.15.1).
        """

    def _updates_apart(self) -> bool:
        """Whether the update runs outside of the program of the gradients."""
        return _fused_adam.fits(self.optimizer, self.trainable_weights)

    def _count_of_steps(self) -> keras.Variable:
        """The variable in which the optimizer counts its steps.

        `optimizer.iterations` counts updates, which are fewer if gradients are accumulated.
        """
        optimizer = self.optimizer
        while isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = optimizer.inner_optimizer
        return next(each for each in optimizer.variables if each.name == "iteration")

    def _num_replicas(self) -> int:
        """How many devices train."""
        return self.distribute_strategy.num_replicas_in_sync

    def _reported(self) -> dict[str, Any]:
        """The running means by name, as a step returns them."""
        results = {mean.name: mean.result() for mean in self.metrics}
        if num_workers(self.distribute_strategy) == 1:
            return results
        # Keras averages the results of workers along an axis, and a scalar has none.
        return {name: result[tf.newaxis] for name, result in results.items()}

    @contextlib.contextmanager
    def _without_jit(self) -> Iterator[None]:
        """Steps that are made inside this context run as plain graphs around programs."""
        # A property of Keras, whose type mypy does not know.
        jit_compile, self.jit_compile = self.jit_compile, False  # type: ignore[has-type]
        try:
            yield
        finally:
            self.jit_compile = jit_compile

    def _program(self, key: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        """The first function of that key, compiled by XLA if that is wanted."""
        if self.run_eagerly:
            return function
        if self._jit_inside:  # Each device has a program of its own, with its own variables.
            return tf.function(function, jit_compile=True, autograph=False)
        return self._programs.of(key, function) if self.jit_compile else function

    def _differentiated(self, function: Callable[..., Any], *args: Any) -> tuple[Any, list[Any]]:
        """Returns `(results, gradients)` of a function that returns `(loss, results)`."""

        def run(*args: Any) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape:
                loss, results = function(*args)
            return results, tape.gradient(loss, self.trainable_weights)

        is_apart = self._updates_apart() or self._jit_inside
        return (self._program("gradients", run) if is_apart else run)(*args)

    def _update(
        self, step: WholeStep, gradients: list[Any], loss: tf.Tensor, found: Found | None = None
    ) -> tf.Tensor:
        """Ends a `WholeStep`; returns the loss, or NaN if the step has failed."""
        is_whole = step.apply(gradients, loss, found)
        return tf.where(is_whole, loss, tf.constant(float("nan"), loss.dtype))

    def _run(
        self, layer: keras.Layer, inputs: tf.Tensor | tuple[tf.Tensor, ...], training: bool
    ) -> Any:
        """Returns `layer(inputs)` in training or inference mode."""
        # Keras itself clears the `add_loss` terms of the last step only in parts of the layer.
        self._clear_losses()
        return layer(inputs, training=training)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As in Keras."""
        with self._refusing():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras."""
        with self._refusing():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras."""
        with self._refusing():
            return super().predict(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras."""
        with self._refusing():
            return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras."""
        with self._refusing():
            return super().predict_on_batch(*args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, but a step that is not finite changes nothing and raises an error.

        Raises:
          FloatingPointError: if the loss, a gradient or an updated weight is not finite.
          ValueError: if weights of rows are negative, not finite, or all zero.
        """
        self._outcome.reset()
        self.reset_metrics()  # Keras 3.12 returns the mean of all batches since the last reset
        with self._refusing():
            result = super().train_on_batch(*args, **kwargs)
        if self._outcome.failure != FINE:
            raise not_finite(self)
        check_weights(self._outcome)
        return result

    def _is_half_precision(self) -> bool:
        layers = [layer for each in self.networks for layer in (each, *getattr(each, "layers", ()))]
        return any(layer.compute_dtype == "float16" for layer in layers)
