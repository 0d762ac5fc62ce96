"""A flow as the posterior of a Bayesian model."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import flows
from tfp_flows.distributions import JointFlow

tfb = tfp.bijectors
tfd = tfp.distributions


def surrogate_posterior(
    pinned: tfp.experimental.distributions.JointDistributionPinned,
    recipe: Callable[..., tfd.Distribution] = flows.iaf,
    **recipe_kwargs: Any,
) -> JointFlow:
    r"""$z = r(k(x)), \; x \sim q$

    Makes a flow that can be fitted as the joint posterior of all latents of a Bayesian model.

    q is a flow over the D unconstrained dimensions of all latents together, so that it learns how
    they depend on each other. k maps each latent into the support of its prior, and r gives
    samples the structure of the model: a `StructTuple`, a `dict` or a list.

    Fit it with `tfpf.VariationalModel(posterior, pinned.unnormalized_log_prob)` or with
    `tfp.vi.fit_surrogate_posterior`. Samples and densities cost as much as those of the flow, so
    choose a recipe that samples fast, such as `iaf` or a coupling flow. The density of given
    latents, in nats, is exact. If scales and effects depend strongly on each other, the model is
    easier to fit in its non-centered form.

    `VariationalModel.save` cannot save the posterior, since the Bayesian model is a function;
    `save_weights` saves the weights.

    Source: Rezende and Mohamed (2015), arXiv:1505.05770; Kucukelbir et al. (2017), Automatic
    differentiation variational inference, arXiv:1603.00788.

    Args:
      pinned: a joint distribution with its data pinned: `joint.experimental_pin(...)`.
      recipe: a recipe for vectors of `tfp_flows.flows`, or a function with its signature.
      **recipe_kwargs: keywords of the recipe, such as `num_layers`.

    Returns:
      A `tfp_flows.distributions.JointFlow`.

    Raises:
      TypeError: if `pinned` is not a pinned joint distribution, or if `recipe` does not return a
        distribution.
      ValueError: if a latent is discrete or has no known constraint or static shape, if latents
        have different dtypes, if the model has a batch shape, or if the flow does not have D
        dimensions.

    Example:
      >>> import tensorflow_probability as tfp
      >>> import tfp_flows as tfpf
      >>> tfd = tfp.distributions
      >>> joint = tfd.JointDistributionNamedAutoBatched({
      ...     "scale": tfd.HalfNormal(1.0),
      ...     "x": lambda scale: tfd.Sample(tfd.Normal(0.0, scale), 3),
      ... })
      >>> pinned = joint.experimental_pin(x=[0.5, -0.3, 0.8])
      >>> posterior = tfpf.surrogate_posterior(pinned, num_layers=1, hidden_units=(8,))
      >>> latents = posterior.sample(100, seed=1)
      >>> list(latents), bool((latents["scale"] > 0).numpy().all())
      (['scale'], True)

    See also: `tfpf.VariationalModel`.
    """
    if not isinstance(pinned, tfp.experimental.distributions.JointDistributionPinned):
        raise TypeError(
            "`pinned` must be a joint distribution with pinned data: "
            f"`joint.experimental_pin(...)`. Received: pinned={pinned!r}"
        )
    dtype = _checked_dtype(pinned)
    constrain = _constraint(pinned)
    shapes = constrain.inverse_event_shape(pinned.event_shape)
    sizes = [shape.num_elements() for shape in tf.nest.flatten(shapes)]
    flow = recipe(sum(sizes), **{"dtype": dtype.name, **recipe_kwargs})
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(f"`recipe` must return a TFP distribution. Received: {flow!r}")
    if flow.event_shape != [sum(sizes)] or flow.dtype != dtype:
        raise ValueError(
            f"`recipe` must return a distribution over {sum(sizes)} dimensions in {dtype.name}. "
            f"Received: {flow!r}"
        )
    structure = tf.nest.pack_sequence_as(pinned.dtype, range(len(sizes)))
    of_shape = [
        tfb.Reshape(shape, event_shape_in=[size])
        for shape, size in zip(tf.nest.flatten(shapes), sizes, strict=True)
    ]
    parts = [constrain, tfb.Restructure(structure), tfb.JointMap(of_shape), tfb.Split(sizes)]
    return JointFlow(flow, tfb.Chain(parts, name="latents"), name="surrogate_posterior")


def _checked_dtype(pinned: tfp.experimental.distributions.JointDistributionPinned) -> tf.DType:
    """The one float dtype of all latents; refuses a model with a batch shape."""
    dtypes = tf.nest.flatten(pinned.dtype)
    if not dtypes:
        raise ValueError(
            "`pinned` must have latents left. Received: a model whose parts are all pinned"
        )
    if any(not dtype.is_floating for dtype in dtypes) or len(set(dtypes)) > 1:
        raise ValueError(
            "`pinned` must have continuous latents of one float dtype; sum discrete ones out. "
            f"Received: pinned.dtype={pinned.dtype}"
        )
    batch_shapes = tf.nest.flatten(pinned.batch_shape)
    if any(shape.rank != 0 for shape in batch_shapes):
        raise ValueError(
            "`pinned` must have no batch shape: use `tfd.Sample` or `tfd.Independent`, or an "
            "automatically batched joint distribution. "
            f"Received: pinned.batch_shape={pinned.batch_shape}"
        )
    if not all(shape.is_fully_defined() for shape in tf.nest.flatten(pinned.event_shape)):
        raise ValueError(
            "`pinned` must have latents of known shapes. "
            f"Received: pinned.event_shape={pinned.event_shape}"
        )
    return dtypes[0]


def _constraint(pinned: tfp.experimental.distributions.JointDistributionPinned) -> tfb.Bijector:
    """The bijector from unconstrained latents to those of the model."""
    try:
        constrain = pinned.experimental_default_event_space_bijector()
        constrain.inverse_event_shape(pinned.event_shape)
    except (NotImplementedError, AttributeError) as error:
        raise ValueError(
            "`pinned` must have latents with known constraints: their distributions need an "
            f"`experimental_default_event_space_bijector`. Received: {pinned!r} ({error})"
        ) from error
    return constrain
