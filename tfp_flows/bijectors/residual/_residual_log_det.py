"""The log-det of the residual bijector: random in training, deterministic in inference."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks
from tfp_flows.math._philox import philox_signs
from tfp_flows.math._replica_seed import next_replica_seed
from tfp_flows.math.linalg.exact_log_det import exact_log_det
from tfp_flows.math.linalg.power_series import num_terms_for, power_series_log_det
from tfp_flows.math.linalg.russian_roulette import russian_roulette_log_det

LOG_DETS = ("exact", "power_series", "russian_roulette")


@keras.saving.register_keras_serializable(package="tfp_flows")
class ResidualLogDet(keras.layers.Layer):
    """g(x) and log det(I + dg/dx), by a method that depends on D and on the training mode.

    It is a Keras layer because Keras shows the training mode only to layers: a model in training
    mode passes the mode on to every layer that is called meanwhile, as it does for dropout. The
    state of the seeds is saved with the model. The arguments are those of `Residual`.
    """

    def __init__(
        self,
        log_det: str = "exact",
        coefficient: float | None = None,
        num_terms: int | None = None,
        survival: float | None = None,
        num_samples: int = 1,
        tolerance: float = 1e-3,
        max_exact_size: int = 64,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.log_det = _checks.one_of(log_det, LOG_DETS, "log_det")
        if coefficient is not None:
            coefficient = _checks.fraction(coefficient, "coefficient")
        elif log_det != "exact":
            raise ValueError(
                "`coefficient` must be given if the network has no attribute `coefficient` and "
                f"the log-det is a series. Received: coefficient=None, log_det={log_det!r}"
            )
        if num_terms is None:
            num_terms = 8 if log_det == "power_series" else 2
        if survival is None:
            survival = max(0.5, (coefficient or 0.0) ** 1.5)
        self.coefficient: Any = coefficient
        self.num_terms = _checks.integer_at_least(num_terms, 1, "num_terms")
        self.survival = _checks.fraction(survival, "survival")
        self.num_samples = _checks.integer_at_least(num_samples, 1, "num_samples")
        self.tolerance = _checks.positive_number(tolerance, "tolerance")
        self.max_exact_size = _checks.integer_at_least(max_exact_size, 0, "max_exact_size")
        self.seed = None if seed is None else _checks.integer_at_least(seed, 0, "seed")
        if log_det != "exact":
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(
        self,
        x: tf.Tensor,
        bound: Any = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns g(x), `[N, D]`, and the log-det, `[N]`, in nats.

        Args:
          x: float `Tensor` `[N, D]`.
          bound: callable; `bound(m)` returns g as a function of m copies of the rows of x.
          training: whether to use the random estimate of training.
        """
        if self.log_det == "exact" or not training and x.shape[-1] <= self.max_exact_size:
            return exact_log_det(bound(1), x)
        many, function = tf.tile(x, [self.num_samples, 1]), bound(self.num_samples)
        # Random signs give the trace the least variance of all noise with mean 0 and variance 1.
        if not training:
            num_terms = num_terms_for(self.coefficient, self.tolerance)
            noise = philox_signs(tf.shape(many), [0, 0], x.dtype)
            g, log_det = power_series_log_det(function, many, noise, num_terms)
        else:
            # The signs are made from integers: TensorFlow's random floats differ under XLA.
            seed = next_replica_seed(self.seed_generator)
            noise = philox_signs(tf.shape(many), seed, x.dtype)
            if self.log_det == "power_series":
                g, log_det = power_series_log_det(function, many, noise, self.num_terms)
            else:
                g, log_det = russian_roulette_log_det(
                    function, many, noise, ~seed, self.num_terms, self.survival
                )
        if self.num_samples == 1:
            return g, log_det
        log_det = tf.reshape(log_det, [self.num_samples, -1])
        return g[: tf.shape(x)[0]], tf.reduce_mean(log_det, axis=0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = "log_det coefficient num_terms survival num_samples tolerance max_exact_size seed"
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}
