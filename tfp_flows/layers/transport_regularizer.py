"""The regularisers of a continuous flow: short and straight paths."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks


@keras.saving.register_keras_serializable(package="tfp_flows")
class TransportRegularizer(keras.layers.Layer):
    """R = mean_n integral (k |f|^2 + j |df/dz|^2) dt, added to the loss of training.

    The argument `regularizer` of `tfp_flows.bijectors.Continuous`. |f|^2 is the squared speed,
    |df/dz| the Frobenius norm, estimated by the noise where the trace is. Paths become nearly
    straight, and solvers take fewer steps. Keras's training mode decides: `fit` counts R, while
    `evaluate`, `predict` and a plain `log_prob` do not.

    Source: Finlay et al. (2020), How to train your neural ODE, arXiv:2002.02798, equation 8.

    Args:
        kinetic: k, not negative.
        jacobian: j, not negative.
        **kwargs: those of `keras.layers.Layer`.

    Raises:
        TypeError: if a factor is not a number.
        ValueError: if a factor is negative, or both are zero.
    """

    def __init__(self, kinetic: float = 0.0, jacobian: float = 0.0, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        factors = {"kinetic": kinetic, "jacobian": jacobian}
        if not any(factors.values()):
            raise ValueError(
                "`kinetic` or `jacobian` must be above zero. "
                f"Received: kinetic={kinetic!r}, jacobian={jacobian!r}"
            )
        for name, value in factors.items():
            factors[name] = 0.0 if value == 0 else _checks.positive_number(value, name)
        self.kinetic, self.jacobian = factors["kinetic"], factors["jacobian"]
        self.built = True

    def call(
        self, kinetic: tf.Tensor, jacobian: tf.Tensor, training: bool | None = False
    ) -> tf.Tensor:
        """Adds R to the losses, for the integrals `[N]` of each row."""
        if training:
            self.add_loss(tf.reduce_mean(self.kinetic * kinetic + self.jacobian * jacobian))
        return kinetic

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "kinetic": self.kinetic, "jacobian": self.jacobian}
