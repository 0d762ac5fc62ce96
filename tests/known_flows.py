"""A flow that is exact for known data, and three that are wrong: for all tests against data."""

import keras
import numpy as np
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions

rng = np.random.default_rng(5)
X = rng.normal(size=(400, 2)).astype("float32")
CONTEXT = rng.normal(size=(400, 1)).astype("float32")
GIVEN_CONTEXT = CONTEXT + X


def unconditional(kind="exact"):
    """Of X."""
    changes = {"exact": tfb.Scale(1.0), "shifted": tfb.Shift(0.5), "narrow": tfb.Scale(0.6)}
    return tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), changes[kind])


def conditional(kind="exact"):
    """Of GIVEN_CONTEXT; one that ignores its context has the right marginal."""
    network = keras.layers.Dense(4)
    network.build((None, 1))
    mean = 0.0 if kind == "ignores context" else 1.0
    # A shift and a log-scale for each of two columns.
    network.kernel.assign([[mean, 0.0, mean, 0.0]])
    shift = 0.5 if kind == "shifted" else 0.0
    log_scale = {"narrow": np.log(0.6), "ignores context": 0.5 * np.log(2.0)}.get(kind, 0.0)
    network.bias.assign([shift, log_scale, shift, log_scale])
    bijector = tfpf.bijectors.Amortized(network, tfpf.bijectors.Affine, context_size=1)
    return tfpf.distributions.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), bijector)


def cases():
    """Name, flow, rows, contexts, and whether the flow is exact."""
    for kind in ("exact", "shifted", "narrow"):
        yield f"{kind}", unconditional(kind), X, None, kind == "exact"
    for kind in ("exact", "shifted", "narrow", "ignores context"):
        flow = conditional(kind)
        yield f"conditional {kind}", flow, GIVEN_CONTEXT, CONTEXT, kind == "exact"
