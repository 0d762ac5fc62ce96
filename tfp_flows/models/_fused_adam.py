"""Adam with one operation per weight, which can also leave all weights unchanged."""

import math
from typing import Any

import keras
import tensorflow as tf


def fits(optimizer: keras.optimizers.Optimizer, weights: list[keras.Variable]) -> bool:
    """Whether `apply` gives the same update as the optimizer.

    Args:
      optimizer: a Keras optimizer, built.
      weights: the weights that it will update.
    """
    return (
        type(optimizer) is keras.optimizers.Adam
        and not optimizer.amsgrad
        and optimizer.weight_decay is None
        and not optimizer.use_ema
        and not optimizer.gradient_accumulation_steps
        and optimizer.loss_scale_factor is None
        and optimizer.beta_1**2 < optimizer.beta_2 < 1.0
        and all(weight.constraint is None for weight in weights)
        and not any(getattr(weight, "overwrite_with_gradient", False) for weight in weights)
    )


def apply(
    optimizer: keras.optimizers.Optimizer,
    gradients: list[Any],
    weights: list[keras.Variable],
    may_change: tf.Tensor,
) -> tf.Tensor:
    r"""$m += (1 - b_1) (g - m), \; v += (1 - b_2) (g^2 - v), \; w -= a m / (\sqrt{v} + e)$

    Updates the weights and the variables of `keras.optimizers.Adam` by TensorFlow's kernel.

    The kernel is one operation per weight. Keras has about forty, half of all that XLA would
    compile for a training step. In float32 the kernel has 1 - b_2 to five digits, so moments differ
    from Keras's in the fifth digit.

    Args:
      optimizer: a `keras.optimizers.Adam` that `fits`.
      gradients: a list of tensors, of `tf.IndexedSlices`, or of `None` where a weight stays.
      weights: Keras variables, as many.
      may_change: boolean `Tensor`.

    Returns:
      Whether each weight and its moments stay finite, a boolean `Tensor` `[len(weights)]`. If one
      of them would not, nothing changes.

    Source: Kingma and Ba (2015), arXiv:1412.6980.
    """
    has_gradient = [gradient is not None for gradient in gradients]
    # Warns of missing gradients, as Keras does.
    gradients, weights = optimizer._filter_empty_gradients(gradients, weights)
    gradients = optimizer._clip_gradients(
        [tf.cast(g, weight.dtype) for g, weight in zip(gradients, weights, strict=True)]
    )
    rate = tf.convert_to_tensor(optimizer.learning_rate)
    # By the Cauchy-Schwarz inequality, m is at most `ratio` times the root of v, so no weight moves
    # by more than `ratio` times the learning rate.
    b1, b2 = optimizer.beta_1, optimizer.beta_2
    ratio = (1.0 - b1) / math.sqrt((1.0 - b2) * (1.0 - b1**2 / b2))
    is_small = tf.abs(rate) * ratio < 0.01 * rate.dtype.max
    # The second moment holds squares. `l2_loss` is half of their sum, hence the factor of 2.
    finite = iter([tf.math.is_finite(2.0 * tf.nn.l2_loss(gradient)) for gradient in gradients])
    flags = [next(finite) if has_one else tf.constant(True) for has_one in has_gradient]
    stay_finite = is_small & tf.stack(flags)

    def update() -> None:
        shared = {}
        for gradient, weight in zip(gradients, weights, strict=True):
            dtype = gradient.dtype
            if dtype not in shared:
                shared[dtype] = _shared(optimizer, rate, dtype)
            i = optimizer._get_variable_index(weight)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.value.handle,
                m=optimizer._momentums[i].value.handle,
                v=optimizer._velocities[i].value.handle,
                grad=gradient,
                **shared[dtype],
            )
        # The handle is that of this device if there are several.
        count = optimizer.iterations.value
        tf.raw_ops.AssignAddVariableOp(resource=count.handle, value=tf.ones([], count.dtype))

    tf.cond(may_change & tf.reduce_all(stay_finite), update, lambda: None)
    return stay_finite


def _shared(
    optimizer: keras.optimizers.Optimizer, rate: tf.Tensor, dtype: tf.DType
) -> dict[str, tf.Tensor]:
    """The arguments of the kernel that all weights share."""
    step = tf.cast(tf.convert_to_tensor(optimizer.iterations) + 1, dtype)
    b1, b2 = (tf.constant(b, dtype) for b in (optimizer.beta_1, optimizer.beta_2))
    return {
        "beta1_power": b1**step,
        "beta2_power": b2**step,
        "lr": tf.cast(rate, dtype),
        "beta1": b1,
        "beta2": b2,
        "epsilon": tf.constant(optimizer.epsilon, dtype),
    }
