# %% [markdown]
# # MAF, IAF and RealNVP
#
# *About 3 minutes on two cores.*
#
# Three famous flows are made of the same part, an affine map $y = \exp(s) x + t$ whose numbers s
# and t come from a network. They differ in what the network sees, and so in which direction is
# fast. This notebook fits all three to two moons, compares them with the true density, and measures
# their speed. If you know the flows of TensorFlow Probability (TFP), the second part shows you what
# replaces what.
#
# In the code, `SHORT` is for the tests. It is false here: read the value after `else`.

# %%
import os
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
B = tfpf.bijectors

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## Two moons
#
# Each moon is half a circle with normal noise around it. We draw a point on one of the half
# circles, and add the noise. The scale is such that each coordinate has about unit variance.

# %%
NOISE = 0.15


def half_circles(angle):
    """Points of the upper and of the lower moon at angles from 0 to pi, `[2, N, 2]`."""
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=-1)
    return 1.2 * np.stack([upper, -upper]) * [1.0, 1.6]


def draw(num_rows, seed):
    rng = np.random.default_rng(seed)
    points = half_circles(rng.uniform(0, np.pi, num_rows))
    chosen = points[rng.integers(2, size=num_rows), np.arange(num_rows)]
    return (chosen + NOISE * rng.normal(size=[num_rows, 2])).astype("float32")


x, x_test = draw(1_000 if SHORT else 20_000, 1), draw(500 if SHORT else 2_000, 2)

# %% [markdown]
# Since we made the data, we know their density: it is the mean of many narrow normal densities
# along the half circles. So we can say how many nats a flow is away from the truth.

# %%
centres = half_circles((np.arange(400) + 0.5) * np.pi / 400).reshape([-1, 2]).astype("float32")
truth = tfd.MixtureSameFamily(
    tfd.Categorical(logits=tf.zeros(len(centres))), tfd.MultivariateNormalDiag(centres, [NOISE] * 2)
)
covariance = np.cov(x.T).astype("float32")
normal = tfd.MultivariateNormalTriL(x.mean(0), np.linalg.cholesky(covariance))


def nats_from_truth(flow):
    """The mean of log p_truth(x) - log p(x) over test points: zero for the truth itself."""
    return float(tf.reduce_mean(truth.log_prob(x_test) - flow.log_prob(x_test)))


print(f"A normal distribution is {nats_from_truth(normal):.2f} nats from the truth.")

# %% [markdown]
# ## Three flows
#
# - **MAF**, the masked autoregressive flow: $s_i$ and $t_i$ of coordinate i depend on the
#   coordinates before it *in the data*. All of them are known when we ask for a density, so a
#   density takes one pass. A sample is made coordinate by coordinate.
# - **IAF**, the inverse autoregressive flow, is MAF turned around: samples take one pass, and
#   densities go coordinate by coordinate.
# - **RealNVP** leaves half of the coordinates as they are, and moves the other half by numbers that
#   depend on the first. Both directions take one pass, but a layer does less.

# %%
settings = {"num_layers": 2, "hidden_units": (32,)} if SHORT else {"num_layers": 6}
flows = {
    "MAF": tfpf.flows.maf(2, seed=1, **settings),
    "IAF": tfpf.flows.iaf(2, seed=1, **settings),
    "RealNVP": tfpf.flows.real_nvp(2, seed=1, **settings),
}

# %% [markdown]
# We fit each by maximum likelihood. `FlowModel` is a `keras.Model` whose loss is the mean of -log
# p(x). The rate of the optimizer falls to zero.

# %%
BATCH_SIZE, EPOCHS, RATE = (200, 8, 2e-2) if SHORT else (500, 60, 3e-3)
for name, flow in flows.items():
    model = tfpf.FlowModel(flow)
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(x) // BATCH_SIZE)
    model.compile(keras.optimizers.Adam(rate), jit_compile=not SHORT)
    model.fit(x, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    figures[f"{name}, nats from the truth"] = nats_from_truth(flow)
    print(f"{name} is {figures[f'{name}, nats from the truth']:.3f} nats from the truth.")

# %% [markdown]
# ## The bridge
#
# The base of each flow is one normal distribution, in one piece. A flow is continuous in both
# directions, so what it makes of the base is in one piece, too. The moons are in two. The flow
# leaves a thin bridge between them.
#
# One affine layer can do little about that: for a given first coordinate it makes a normal density
# of the second, with one mode, where the moons have up to three. Only several layers together can
# bend it. On a logarithmic scale the bridge is easy to see.

# %%
axis = np.linspace(-2.8, 2.8, 25 if SHORT else 150, dtype="float32")
grid = np.stack(np.meshgrid(axis, axis), axis=-1)
figure, panels = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for (name, density), panel in zip({"truth": truth, **flows}.items(), panels, strict=True):
    log_prob = density.log_prob(grid.reshape([-1, 2])).numpy().reshape(grid.shape[:2])
    panel.imshow(np.maximum(log_prob, -8), origin="lower", extent=[axis[0], axis[-1]] * 2)
    panel.set_title(name)
    panel.axis("off")
figure.suptitle("log-density, cut off at -8 nats")
plt.show()

# %% [markdown]
# How much of each flow is on the bridge? We count the samples that are further from both half
# circles than four times the noise.


# %%
def share_outside(samples):
    distance = np.linalg.norm(samples[:, np.newaxis] - centres, axis=-1).min(axis=1)
    return np.mean(distance > 4 * NOISE)


print(f"The data:   {share_outside(x[:2_000]):.2%}")
for name, flow in flows.items():
    figures[f"{name}, share outside"] = share_outside(flow.sample(2_000, seed=3).numpy())
    print(f"{name + ':':11} {figures[f'{name}, share outside']:.2%}")

# %% [markdown]
# ## Who is fast in which direction
#
# With two coordinates the difference is small, so we take 32. Each function is compiled by XLA and
# called once before we measure. The numbers depend on your machine. The pattern does not.

# %%
SIZE, NUM_ROWS, REPEATS = (2, 100, 1) if SHORT else (32, 2_000, 7)


def seconds(function, *arguments):
    """The shortest of several calls of the compiled function."""
    compiled = function if SHORT else tf.function(function, jit_compile=True)
    compiled(*arguments)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        compiled(*arguments).numpy()
        times.append(time.perf_counter() - start)
    return min(times)


many = tf.random.stateless_normal([NUM_ROWS, SIZE], seed=[1, 2])
costs = {}
print(f"milliseconds for {NUM_ROWS:,} rows of {SIZE} numbers    density     sample")
for name in flows:
    recipe = {"MAF": tfpf.flows.maf, "IAF": tfpf.flows.iaf, "RealNVP": tfpf.flows.real_nvp}[name]
    flow = recipe(SIZE, num_layers=2, seed=1)
    costs[name] = (
        seconds(flow.log_prob, many),
        seconds(lambda seed, flow=flow: flow.sample(NUM_ROWS, seed=seed), tf.constant([1, 2])),
    )
    print(f"{name:46}  {1e3 * costs[name][0]:9.1f}  {1e3 * costs[name][1]:9.1f}")

# %%
figure, panel = plt.subplots(figsize=(5, 3), layout="constrained")
places = np.arange(3)
panel.bar(places - 0.2, [1e3 * density for density, _ in costs.values()], 0.4, label="density")
panel.bar(places + 0.2, [1e3 * sample for _, sample in costs.values()], 0.4, label="sample")
panel.set_xticks(places, list(costs))
panel.set_ylabel("milliseconds")
panel.legend()
plt.show()

# %% [markdown]
# So take MAF to score data, IAF where samples and *their* densities are needed (as in variational
# inference), and RealNVP, or better `neural_spline`, where both directions matter.
#
# ## From TFP's MAF to ours
#
# TFP has these flows as well, with networks of `tf_keras`. Here is one layer of its MAF. The
# distribution is wrapped in a functional model whose output is the log-density, and a loss negates
# that output.

# %%
tf_keras.utils.set_random_seed(1)
base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
network = tfb.AutoregressiveNetwork(params=2, hidden_units=[32, 32], activation="relu")
before = tfd.TransformedDistribution(base, tfb.MaskedAutoregressiveFlow(network))

inputs = tf_keras.Input((2,))
model = tf_keras.Model(inputs, before.log_prob(inputs))
model.compile(tf_keras.optimizers.Adam(5e-3), loss=lambda _, log_prob: -log_prob)
EPOCHS = 8 if SHORT else 20
history = model.fit(x, np.zeros(len(x)), batch_size=100, epochs=EPOCHS, verbose=0)

# %% [markdown]
# And here is the same layer in this package.
#
# | TFP | here |
# |---|---|
# | `tfb.AutoregressiveNetwork(params=2, ...)` | `tfpf.layers.MADE(2, num_params, ...)` |
# | `tfb.MaskedAutoregressiveFlow(network)` | `B.Autoregressive(network, B.Affine)` |
# | `tfd.TransformedDistribution(base, bijector)` | `tfpf.distributions.Flow(base, bijector)` |
# | a functional model and a loss | `tfpf.FlowModel(flow)` |

# %%
network = tfpf.layers.MADE(
    2, B.Affine.params_size(), hidden_units=(32, 32), activation="relu", seed=1
)
network.build((None, 2))
after = tfpf.distributions.Flow(base, B.Autoregressive(network, B.Affine))

model = tfpf.FlowModel(after)
model.compile(keras.optimizers.Adam(5e-3), jit_compile=not SHORT)
history = model.fit(x, batch_size=100, epochs=EPOCHS, verbose=0)

# %% [markdown]
# Both are the same family of densities, so both should come to the same number of nats. One layer
# is far from enough for two moons: for a given first coordinate it has one mode only.

# %%
nats = nats_from_truth(before), nats_from_truth(after)
figures["one MAF layer, nats from the truth"] = nats[1]
figures["one MAF layer, ours minus TFP's"] = nats[1] - nats[0]
print(f"One layer, nats from the truth: TFP {nats[0]:.3f}, this package {nats[1]:.3f}")

# %% [markdown]
# ## From TFP's RealNVP to ours
#
# | TFP | here |
# |---|---|
# | `tfb.RealNVP(num_masked=1, ...)` | `B.Coupling(network, B.Affine, mask=[True, False])` |
# | `tfb.real_nvp_default_template(...)` | `tfpf.layers.MLP(output_size, hidden_units)` |
#
# `mask` is true for the coordinates that stay as they are. To show that the two are one and the
# same map, we give both the same shift and the same scale.


# %%
def shift_and_log_scale(first, *_, **__):
    return tf.sin(first), 0.5 * tf.cos(first)


def raw_numbers(first):
    return tf.concat(shift_and_log_scale(first), axis=-1)


before = tfb.RealNVP(num_masked=1, shift_and_log_scale_fn=shift_and_log_scale)
after = B.Coupling(raw_numbers, B.Affine, mask=[True, False])
points = tf.constant(x_test[:100])
figures["RealNVP, difference from TFP"] = float(
    tf.reduce_max(tf.abs(before.forward(points) - after.forward(points)))
    + tf.reduce_max(
        tf.abs(
            before.forward_log_det_jacobian(points, event_ndims=1)
            - after.forward_log_det_jacobian(points, event_ndims=1)
        )
    )
)
print(f"The largest difference: {figures['RealNVP, difference from TFP']:.1e}")

# %% [markdown]
# ## The figures again
#
# These are the numbers that would be off if something in the flows were broken.

# %%
for name, value in figures.items():
    print(f"{name}: {value:.4g}")

# %% [markdown]
# ## What to try
#
# - Fit `tfpf.flows.neural_spline(2)` to the moons. How much of the bridge is left?
# - Give MAF a base with two modes, `base=tfpf.distributions.mixture_of_gaussians(2,
#   num_components=2, seed=1)`. The bridge can vanish now. Why?
# - Try 2, 4 and 12 layers.
# - Measure the speed at 8 and at 64 numbers. Which of the six bars grow?
