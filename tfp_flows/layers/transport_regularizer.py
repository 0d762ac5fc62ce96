"""Regularizers of a continuous flow, for short and straight paths."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows import _checks


@keras.saving.register_keras_serializable(package="tfp_flows")
class TransportRegularizer(keras.layers.Layer):
    r"""$R = \text{mean}_n \int (k |f|^2 + j |\partial f / \partial z|^2) dt$

    A penalty on the paths of a continuous flow, added to the loss in training.

    It is meant for the argument `regularizer` of `Continuous`. |f| is the speed, and the second
    term has the Frobenius norm, which is estimated by noise if the trace is. Paths become nearly
    straight, and solvers take fewer steps. R counts in Keras's training mode: `fit` adds it, while
    `evaluate`, `predict` and a plain `log_prob` do not.

    Source: Finlay et al. (2020), How to train your neural ODE, arXiv:2002.02798, equation 8.

    Args:
        kinetic: k, a non-negative number.
        jacobian: j, a non-negative number.
        **kwargs: those of `keras.layers.Layer`.

    Raises:
        TypeError: if a factor is not a number.
        ValueError: if a factor is negative, or both are zero.

    Example:
        >>> import tensorflow as tf
        >>> import tfp_flows as tfpf
        >>> regularizer = tfpf.layers.TransportRegularizer(kinetic=0.1, jacobian=0.5)
        >>> kinetic, jacobian = tf.constant([1.0, 3.0]), tf.constant([2.0, 2.0])  # of two rows
        >>> _ = regularizer(kinetic, jacobian, training=True)
        >>> float(regularizer.losses[0])  # 0.1 * 2 + 0.5 * 2
        1.2

    See also: `tfpf.bijectors.Continuous`.
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
        """Adds R to the losses, given the two integrals of each row, `[N]` each."""
        if training:
            self.add_loss(tf.reduce_mean(self.kinetic * kinetic + self.jacobian * jacobian))
        return kinetic

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "kinetic": self.kinetic, "jacobian": self.jacobian}
