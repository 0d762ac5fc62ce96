"""The Keras model that fits a flow to a density by reverse KL divergence."""

import functools
import random
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import _checks, saving
from tfp_flows._inlined_maps import inlined_maps
from tfp_flows.conditioning import context_size, waits_for_context
from tfp_flows.models import _elbo_steps
from tfp_flows.models._distribution_model import DistributionModel
from tfp_flows.models._watch import watched
from tfp_flows.models._whole_step import WholeStep

# Arguments of Keras's `fit` that describe data.
_OF_DATA = {
    *("x", "y", "batch_size", "shuffle", "sample_weight", "class_weight"),
    *("validation_data", "validation_split", "validation_steps", "validation_batch_size"),
}


@keras.saving.register_keras_serializable(package="tfp_flows")
class VariationalModel(DistributionModel):
    r"""$\mathrm{ELBO} = E_q[\log \tilde p(x) - \log q(x)]$

    A Keras model that fits a flow q to any density $\tilde p$ that you can evaluate.

    `fit` maximizes the ELBO by reparameterized samples of q, and takes no data. Each step draws
    `num_samples` points and their densities in one pass of the flow. $\tilde p$ need not be
    normalized; the ELBO, in nats, is at most the logarithm of its normalizer.

    Args:
      flow: a TFP distribution with reparameterized samples; choose one that samples fast, such as
        `tfpf.flows.iaf`. For the latents of a joint distribution use `tfpf.surrogate_posterior`.
      target_log_prob_fn: $\log \tilde p$, from `[num_samples, ...]` to `[num_samples]`. A saved
        file holds its name if it is registered with Keras; otherwise it is left out.
      num_samples: the number of samples in a step.
      seed: Python `int` that fixes all samples (others with XLA than without); random if `None`.
      name: Python `str`.

    Raises:
      TypeError: if `flow` is not a distribution or `target_log_prob_fn` is not callable.
      ValueError: if the flow has no variables, no reparameterized samples, or an unbound context.

    Example:
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> target = tfp.distributions.MultivariateNormalDiag([1.0, -1.0], [1.0, 0.5])
      >>> model = tfpf.VariationalModel(tfpf.flows.iaf(2, num_layers=1), target.log_prob)
      >>> model.compile("adam", jit_compile=False)  # without XLA, for a short run
      >>> history = model.fit(steps_per_epoch=2, verbose=0)
      >>> model.distribution.sample(5, seed=1).shape
      TensorShape([5, 2])
    """

    _advice_at_start = (
        "The first samples already have no finite ELBO: `target_log_prob_fn` or the density of the "
        "flow is not finite at some of them."
    )
    _takes_structures = True

    def __init__(
        self,
        flow: tfp.distributions.Distribution,
        target_log_prob_fn: Callable[..., tf.Tensor] | None = None,
        num_samples: int = 256,
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(flow, tfp.distributions.Distribution):
            raise TypeError(f"`flow` must be a TFP distribution. Received: flow={flow!r}")
        super().__init__(flow, name=name, **kwargs)
        if flow.reparameterization_type != tfp.distributions.FULLY_REPARAMETERIZED:
            raise ValueError(
                "`flow` must have reparameterized samples. "
                f"Received: reparameterization_type={flow.reparameterization_type}"
            )
        if waits_for_context(flow):
            raise ValueError(
                "`flow` must be bound to a context first: `tfp_flows.condition(flow, context)`. "
                f"Received: a flow with context_size={context_size(flow)} and no context"
            )
        self.target_log_prob_fn = target_log_prob_fn
        self.num_samples = _checks.integer_at_least(num_samples, 1, "num_samples")
        if seed is None:
            # From the generator that `keras.utils.set_random_seed` seeds.
            seed = random.randrange(2**31 - 1)
        self.seed = _checks.integer_at_least(seed, 0, "seed")
        self.samples = _elbo_steps.Samples(flow, self.num_samples)
        self._loss_mean = keras.metrics.Mean(name="loss", dtype=self.compute_dtype)
        self._elbo_mean = keras.metrics.Mean(name="elbo", dtype=self.compute_dtype)

    @property
    def target_log_prob_fn(self) -> Callable[..., tf.Tensor] | None:
        r"""$\log \tilde p$; if you assign another one, the next `fit` or `evaluate` compiles it."""
        return self._target_log_prob_fn

    @target_log_prob_fn.setter
    def target_log_prob_fn(self, value: Callable[..., tf.Tensor] | None) -> None:
        if value is not None and not callable(value):
            raise TypeError(
                f"`target_log_prob_fn` must be callable. Received: target_log_prob_fn={value!r}"
            )
        self._target_log_prob_fn = value
        # The compiled functions hold the old one.
        self.train_function = self.test_function = None

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means of the loss and of the ELBO."""
        return [self._loss_mean, self._elbo_mean]

    def call(self, inputs: Any) -> tf.Tensor:
        """Returns `log q(x)`, in nats."""
        return self.distribution.log_prob(inputs)

    def fit(
        self,
        *,
        steps_per_epoch: int = 100,
        epochs: int = 1,
        verbose: int | str | None = "auto",
        callbacks: list[keras.callbacks.Callback] | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains on samples of the flow, so it takes no data.

        Other arguments, such as `callbacks`, are those of `keras.Model.fit`.

        Returns:
          A `keras.callbacks.History` of `loss` and `elbo`, in nats.

        Raises:
          ValueError: if there is no target, or if data are given.
          FloatingPointError: if the loss is not finite; names the step.
        """
        self._check_trainable()
        self._check_target()
        for name in _OF_DATA & kwargs.keys():
            raise _elbo_steps.data_given(name, kwargs[name])
        count = _checks.integer_at_least(steps_per_epoch, 1, "steps_per_epoch")
        return super().fit(
            _elbo_steps.steps(count, self._num_replicas()),
            epochs=epochs,
            verbose=verbose,
            callbacks=watched(self, callbacks),
            shuffle=False,
            **kwargs,
        )

    def evaluate(self, steps: int = 10, **kwargs: Any) -> float | dict[str, float]:
        """Returns the ELBO over `steps * num_samples` samples per device, a `float`, in nats.

        The samples are the same in each call, and differ from those of training.
        """
        self._check_target()
        return_dict = kwargs.pop("return_dict", False)
        data = _elbo_steps.steps(_checks.integer_at_least(steps, 1, "steps"), self._num_replicas())
        result = super().evaluate(data, return_dict=True, **kwargs)
        return result if return_dict else float(result["elbo"])

    def train_on_batch(self, x: Any = None, **kwargs: Any) -> Any:
        """As in Keras, on one draw of samples; takes no data."""
        if x is not None:
            raise _elbo_steps.data_given("x", x)
        return super().train_on_batch(tf.zeros([], tf.int64), **kwargs)

    def test_on_batch(self, x: Any = None, **kwargs: Any) -> Any:
        """As in Keras, on the first draw of `evaluate`; takes no data."""
        if x is not None:
            raise _elbo_steps.data_given("x", x)
        return super().test_on_batch(tf.zeros([], tf.int64), **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of the optimizer."""
        del data
        # The seed follows the optimizer's count, so that a resumed training continues where it was.
        step = tf.cast(self._count_of_steps().value, tf.int32)
        seed = tf.stack([self.seed, step * self._num_replicas() + _elbo_steps.replica()])
        whole_step = WholeStep(self)
        (loss, elbo), gradients = self._differentiated(self._loss_of_seed, seed)
        loss = self._update(whole_step, gradients, loss)
        self._loss_mean.update_state(loss)
        self._elbo_mean.update_state(elbo)
        return self._reported()

    def _loss_of_seed(self, seed: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        """Returns the loss that is differentiated, and `(loss, elbo)`."""
        elbo = self._elbo(seed, training=True)
        loss = -elbo
        for penalty in self.losses:
            loss += tf.cast(penalty, loss.dtype)
        return self.optimizer.scale_loss(loss / self._num_replicas()), (loss, elbo)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of `evaluate`."""
        # Minus keeps these seeds apart from those of training, which begin with the same number.
        seed = tf.stack([-1 - self.seed, tf.cast(data[0], tf.int32)])
        run = functools.partial(self._elbo, training=False)
        elbo = (self._program("elbo", run) if self._jit_inside else run)(seed)
        self._loss_mean.update_state(-elbo)
        self._elbo_mean.update_state(elbo)
        return self._reported()

    def _elbo(self, seed: tf.Tensor, training: bool) -> tf.Tensor:
        x, log_q = self._run(self.samples, seed, training)
        # XLA would compile a map in the target, as joint distributions have, again in each step.
        # `_check_target` has made sure that there is a target.
        with inlined_maps():
            log_p = tf.convert_to_tensor(self.target_log_prob_fn(x))  # type: ignore[misc]
        if not log_p.shape.is_compatible_with(log_q.shape):
            raise ValueError(
                "`target_log_prob_fn` must return one number for each sample: "
                f"{tuple(log_q.shape)}. Received: shape {tuple(log_p.shape)}"
            )
        return tf.reduce_mean(tf.cast(log_p, log_q.dtype) - log_q)

    def _check_target(self) -> None:
        if self.target_log_prob_fn is None:
            raise ValueError(
                "`target_log_prob_fn` must be set; Keras saves it only if it is registered. "
                "Received: target_log_prob_fn=None"
            )

    def get_config(self) -> dict[str, Any]:
        """The model as plain data, with the target only if it is registered with Keras."""
        config = super().get_config()
        config.update(num_samples=self.num_samples, seed=self.seed)
        if saving.is_registered(self.target_log_prob_fn):
            config["target"] = keras.saving.get_registered_name(self.target_log_prob_fn)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "VariationalModel":
        """Makes the model again; see `tfp_flows.saving`."""
        config = dict(config)
        target = config.pop("target", None)
        with saving.custom_object_scope(custom_objects), saving.reading("The target"):
            function = None if target is None else saving.find_registered(target)
        model = super().from_config(config, custom_objects)
        model.target_log_prob_fn = function
        return model
