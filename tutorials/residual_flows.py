# %% [markdown]
# # Residual flows, and what a log-determinant costs
#
# *About 1 minute on two cores.*
#
# Most flows are built so that their log-determinant is cheap: a coupling leaves half of the numbers
# alone, an autoregressive layer has a triangular Jacobian. A *residual flow* does neither. A block
# adds to x any function g that is a contraction:
#
# $$y = x + g(x), \quad |g(a) - g(b)| \le k |a - b|$$
#
# for all a and b, with $k < 1$.
#
# Each number may depend on all the others. The price is paid in two places. The log-determinant
# has no short formula, and the inverse has none at all. This notebook computes both in all the ways
# that there are, counts what they cost, and then fits such a flow to data.
#
# In the code, `SHORT` is for the tests. It is false here: read the value after `else`.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## A contraction, and its log-determinant
#
# Here is one that we can read: $g(x) = -k A \tanh(A^\top x)$, with an orthogonal matrix A. The
# matrix keeps lengths, and tanh has a slope of at most one, so k is the bound that we need. The
# block x + g(x) pulls points together, which is the harder case for what follows.
#
# The log-determinant is log det(I + J), where J is the matrix of the derivatives of g. We work in
# D = 16 dimensions. `tfpf.math.exact_log_det` fills J by D gradients of g, one for each coordinate.

# %%
D, K = 16, 0.9
A = np.linalg.qr(np.random.default_rng(1).normal(size=[D, D]))[0]


def g(x, k=K):
    return -k * tf.tanh(x @ A) @ A.T


x = np.random.default_rng(2).normal(scale=0.5, size=[5, D])
_, exact = tfpf.math.exact_log_det(g, tf.constant(x))
print("The log-determinants of five points, in nats:", np.round(exact, 3))

# %% [markdown]
# For this g we can do it by hand, since the eigenvalues of J are -k times the slopes of tanh.

# %%
slopes = 1 - np.tanh(x @ A) ** 2
by_hand = np.log1p(-K * slopes).sum(axis=-1)
figures["exact, largest error"] = np.max(np.abs(exact - by_hand))
print(f"The largest difference: {figures['exact, largest error']:.1e} nats")

# %% [markdown]
# D gradients are fine for 16 numbers. For an image with thousands of them they are not, and then
# there is a series:
#
# $$\log \det(I + J) = \text{tr} \, J - \text{tr} \, J^2 / 2 + \text{tr} \, J^3 / 3 - \ldots$$
#
# Its terms fall as fast as $k^n / n$. A trace costs nothing but a product: for a vector v of random
# signs, the mean of $v^\top J v$ is tr J. One gradient of g gives $J^\top v$ for any v, whatever D
# is. So n terms cost n gradients.
#
# Two errors come in. The series is **cut**, and the traces are **random**. To see the first one
# alone, we feed `power_series_log_det` with $v = \sqrt{D} e_i$ for each coordinate i. The mean over
# these D vectors has no random error.

# %%
point = tf.constant(x[:1])
unit_vectors = tf.constant(np.sqrt(D) * np.eye(D))
repeated = tf.repeat(point, D, axis=0)


def cut_error(n, k):
    def scaled(x):
        return g(x, k)

    _, terms = tfpf.math.power_series_log_det(scaled, repeated, unit_vectors, n)
    _, exact = tfpf.math.exact_log_det(scaled, point)
    return float(abs(tf.reduce_mean(terms) - exact[0]))


counts = [1, 2, 4, 8, 16, 32]
bounds = {k: [D * k ** (n + 1) / ((n + 1) * (1 - k)) for n in counts] for k in (0.5, 0.9)}
errors = {k: [cut_error(n, k) for n in counts] for k in bounds}
print("terms   " + "".join(f"  k = {k}: error   bound" for k in bounds))
for i, n in enumerate(counts):
    print(f"{n:5}   " + "".join(f"{errors[k][i]:16.1e} {bounds[k][i]:7.1e}" for k in bounds))
figures["cut series, largest error over bound"] = max(
    error / bound for k in bounds for error, bound in zip(errors[k], bounds[k], strict=True)
)

# %% [markdown]
# How many terms make the cut smaller than 0.001 nats for each dimension, whatever g is?
# `num_terms_for` says it. The nearer k is to one, the more.

# %%
for k in (0.5, 0.7, 0.9, 0.97):
    print(f"k = {k:4}: {tfpf.math.num_terms_for(k, 1e-3):4} terms")

# %% [markdown]
# ## Without the cut: Russian roulette
#
# In training a wrong log-determinant does harm: the flow learns to exploit it. A random error with
# mean zero does not, since it averages out. Chen et al. (2019) turn one into the other. After a few
# terms, a coin decides whether the next one is computed. If it is, it counts more, by one over its
# chance. Nothing is cut off *in the mean*, although few terms are computed.
#
# We draw both estimates many times, at the first of our points, with new signs each time. The bars
# are twice the standard error of the mean.

# %%
NUM_DRAWS, ROWS = (40, 100) if SHORT else (300, 100)
rows = tf.repeat(point, ROWS, axis=0)


def estimate(one_draw):
    """The mean over draws, its standard error, and the error of one draw for one row."""
    draw = tf.function(one_draw, autograph=False)
    means = []
    for i in range(NUM_DRAWS):
        seed = tf.constant([i, 1])
        uniform = tf.random.stateless_uniform(rows.shape, seed, dtype=rows.dtype)
        signs = tf.sign(uniform - 0.5)
        means.append(draw(signs, seed)[1])
    one_row = np.std(means)
    means = np.mean(means, axis=1)  # of rows that share their number of terms
    return np.mean(means), np.std(means) / np.sqrt(NUM_DRAWS), one_row


estimates = {}
for n in (2, 4, 8):
    estimates[f"series, {n} terms"] = (
        n,
        estimate(lambda v, seed, n=n: tfpf.math.power_series_log_det(g, rows, v, n)),
    )
for r in (0.5, 0.85):
    estimates[f"roulette, survival {r}"] = (
        2 + r / (1 - r),
        estimate(lambda v, seed, r=r: tfpf.math.russian_roulette_log_det(g, rows, v, seed, 2, r)),
    )

truth = float(exact[0])
print(f"exact: {truth:.3f} nats, by {D} gradients of g")
for name, (cost, (mean, error, one)) in estimates.items():
    figures[f"{name}, standard errors away"] = abs(mean - truth) / error
    print(
        f"{name:23} {mean:7.3f} +- {error:.3f} by {cost:4.1f} gradients,"
        f" {abs(mean - truth) / error:5.1f} standard errors away, one draw +- {one:.1f}"
    )

# %%
figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
for height, (_, (mean, error, _)) in enumerate(estimates.values()):
    panel.errorbar(mean, -height, xerr=2 * error, fmt="o", capsize=4)
panel.axvline(truth, color="0.5", linestyle="--")
panel.set_yticks(-np.arange(len(estimates)), list(estimates))
panel.set_xlabel("log-determinant in nats; the dashed line is exact")
plt.show()

# %% [markdown]
# The short series are off by many standard errors, and more draws do not help. The roulette is
# right in the mean. Its single draws spread more, and less so with a higher chance of survival,
# which costs more terms. Below $k^2$ the spread need not even be finite: then rare draws are very
# large, and error bars say little. So `residual` takes the larger of k^1.5 and 0.5.
#
# ## The inverse
#
# To find x from y = x + g(x), iterate $x \leftarrow y - g(x)$. Each step brings x nearer by at
# least the factor k. So the number of steps grows as k comes near one.

# %%
fixed_point = tf.function(tfpf.math.fixed_point, autograph=False)  # eager loops are slow
figure, panel = plt.subplots(figsize=(6, 3.2), layout="constrained")
for k in (0.5, 0.9, 0.97):
    y = x + g(x, k)

    def backward(z, y=y, k=k):
        return y - g(z, k)

    solution = fixed_point(backward, y)
    error = float(tf.reduce_max(abs(solution.point - x)))
    count = int(solution.num_iterations)
    figures[f"fixed point, k = {k}, error"] = error
    print(f"k = {k:4}: {count:4} evaluations of g, largest error {error:.1e}")
    z, distances = np.array(y), []
    for _ in range(100):
        distances.append(np.linalg.norm(z - x, axis=-1).max())
        z = np.array(backward(z))
    (line,) = panel.semilogy(distances, label=f"k = {k}")
    panel.semilogy(distances[0] * k ** np.arange(100.0), ":", color=line.get_color())
panel.set(xlabel="evaluations of g", ylabel="distance from x", ylim=(1e-15, 10))
panel.legend(title="dotted: the bound")
plt.show()

# %% [markdown]
# ## A flow of such blocks
#
# In a flow, g is a network. `LipschitzMLP` keeps the bound whatever its weights are: it makes each
# kernel smaller where its norm is too large. `tfpf.flows.residual` stacks such blocks and trains
# them by the roulette. `iresnet` trains them by the cut series (Behrmann et al., 2019). Since we
# want to see what a cut does, we give it 2 terms only, instead of 8.
#
# The data are points about a wave, of which we know the density.

# %%
wave = tfd.JointDistributionSequential(
    [tfd.Normal(0.0, 1.5), lambda first: tfd.Normal(tf.sin(2.0 * first), 0.3)]
)


def wave_log_prob(data):
    return wave.log_prob([data[:, 0], data[:, 1]])


data, test = (
    np.stack(wave.sample(n, seed=n), axis=-1) for n in (5_000 if SHORT else 10_000, 2_000)
)
normal = tfd.MultivariateNormalTriL(
    data.mean(axis=0), np.linalg.cholesky(np.cov(data.T)).astype("float32")
)
gap = float(tf.reduce_mean(wave_log_prob(test) - normal.log_prob(test)))
print(f"A normal distribution is {gap:.2f} nats from the truth.")

# %%
keras.utils.set_random_seed(1)
SIZE = {"num_layers": 2 if SHORT else 6, "hidden_units": (32,) if SHORT else (64, 64)}
EPOCHS, RATE = (3, 1e-2) if SHORT else (30, 1e-2)
flows = {
    "residual": tfpf.flows.residual(2, num_terms=2, seed=1, **SIZE),
    "iresnet": tfpf.flows.iresnet(2, num_terms=2, seed=1, **SIZE),
}
for name, flow in list(flows.items())[: 1 if SHORT else 2]:
    model = tfpf.FlowModel(flow)
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(data) // 250)
    model.compile(keras.optimizers.Adam(rate), jit_compile=False)
    loss = model.fit(data, batch_size=250, epochs=EPOCHS, verbose=0).history["loss"][-1]
    on_data = -float(tf.reduce_mean(flow.log_prob(data)))
    gap = float(tf.reduce_mean(wave_log_prob(test) - flow.log_prob(test)))
    figures[f"{name}, loss minus exact"] = loss - on_data
    figures[f"{name}, nats from the truth"] = gap
    print(f"{name}: the loss said {loss:.3f} nats, exact are {on_data:.3f}")
    print(f"{name}: {gap:.3f} nats from the truth on new points")

# %% [markdown]
# After the training, densities are exact: in two dimensions two gradients a block are cheap. So we
# see what each loss was worth. That of `residual` was right but for its noise. That of `iresnet`
# promised much more than there is. The flow learned to raise the terms that are left, at the price
# of those that are cut off.
#
# Did the bound hold? We compute the norm of J for each trained block at the data, and count how
# many evaluations the inverse of each takes.

# %%
flow = flows["residual"]
z = tf.constant(test[:500])
for i, block in enumerate(flow.bijector.bijectors):
    network = block.bijector.network.prepared()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        first, second = tf.unstack(network(z), axis=-1)
    jacobian = tf.stack([tape.gradient(first, z), tape.gradient(second, z)], axis=1)
    norm = float(tf.reduce_max(tf.linalg.svd(jacobian, compute_uv=False)))
    y = z + network(z)
    solution = tfpf.math.fixed_point(lambda a, y=y, network=network: y - network(a), y)
    count = int(solution.num_iterations)
    print(f"block {i + 1}: norm of J up to {norm:.3f}, {count} evaluations for the inverse")
    figures["largest norm of J"] = max(norm, figures.get("largest norm of J", 0.0))
    z = y
back = flow.bijector.forward(tf.identity(flow.bijector.inverse(test[:500])))
figures["there and back, largest error"] = float(tf.reduce_max(abs(back - test[:500])))
print(f"There and back, the largest error is {figures['there and back, largest error']:.1e}.")

# %%
half_width, size = 4.5, 40 if SHORT else 120
axis = np.linspace(-half_width, half_width, size, dtype="float32")
grid = np.stack(np.meshgrid(axis, axis * 0.6), axis=-1).reshape([-1, 2])
extent = [-half_width, half_width, -0.6 * half_width, 0.6 * half_width]
figure, panels = plt.subplots(2, 2, figsize=(8, 5.2), layout="constrained")
pictures = {"truth": wave_log_prob, **{name: flow.log_prob for name, flow in flows.items()}}
for (name, log_prob), panel in zip(pictures.items(), panels.flat, strict=False):
    density = np.exp(log_prob(grid)).reshape([size, size])
    panel.imshow(density, origin="lower", extent=extent)
    panel.set_title(name)
samples = flow.sample(500 if SHORT else 2_000, seed=1).numpy()
panels[1, 1].plot(*samples.T, ".", markersize=2)
panels[1, 1].set(title="samples of residual", xlim=extent[:2], ylim=extent[2:], aspect="equal")
plt.show()

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
# - Change the sign of g, so that the block pushes points apart. How many terms does the series need
#   then? Its terms now change their signs.
# - Train `iresnet` with 8 terms, its default. Is its loss honest?
# - Set `coefficient=0.5` in both. A block then stretches by 1.5 at most. How many blocks make up
#   for that?
# - Give the roulette a `survival` of 0.3. Is its variance still finite, and what do you see?
