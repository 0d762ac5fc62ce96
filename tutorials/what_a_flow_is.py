# %% [markdown]
# # What a normalizing flow is
#
# *About 3 minutes on two cores.*
#
# A normalizing flow is a simple random variable, such as a normal one, and an invertible function
# of it. The function is chosen so that its values look like data. Two things then come for free: we
# can draw samples, and we can compute the exact density of any point.
#
# This notebook begins with one number and one function. It ends with a flow of 32 layers in the
# plane.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.integrate
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions

# %% [markdown]
# The tests of this package run the notebook in a short form. You can do that, too: set the
# environment variable `TFP_FLOWS_SHORT` before you start. Otherwise `SHORT` is false: read the
# value after `else`.

# %%
SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## One number, one function
#
# Take u from a standard normal distribution, and let $y = u / (1 + |u|)$. In TensorFlow Probability
# (TFP) an invertible function is called a *bijector*, and this one has the name `Softsign`. It
# squeezes the whole line into the interval from -1 to 1.
#
# What is the density of y? Where the function is steep, it pulls points apart, and the density
# falls. Where it is flat, it pushes them together, and the density rises. This is the *change of
# variables*:
#
# $$\log p(y) = \log p(u) - \log |dy/du|,$$
#
# where u is the point that is mapped to y.
#
# The last term is called the *log-determinant*. Let us compute both terms by hand.

# %%
base = tfd.Normal(0.0, 1.0)
softsign = tfb.Softsign()

y = np.linspace(-0.99, 0.99, 397, dtype="float32")
u = softsign.inverse(y)
log_det = softsign.forward_log_det_jacobian(u)
by_hand = base.log_prob(u) - log_det

# %% [markdown]
# TFP does the same for us. `TransformedDistribution` takes a distribution and a bijector, and has
# `sample` and `log_prob` like any other distribution.

# %%
squeezed = tfd.TransformedDistribution(base, softsign)
error = np.max(np.abs(by_hand - squeezed.log_prob(y)))
print(f"The largest difference between the two log-densities: {error:.1e}")

# %% [markdown]
# A density has to have the integral 1. If the log-determinant were wrong, it would not. We add up
# the density over a grid.

# %%
figures["integral of the density"] = scipy.integrate.trapezoid(np.exp(by_hand), y)
print(f"The integral of the density from -0.99 to 0.99: {figures['integral of the density']:.4f}")

# %% [markdown]
# Here is the picture. A normal density has one mode, this one has two. The formula says where they
# are: the slope of log p(y) is zero where u (1 + u) = 2, which is at u = 1, and so at y = 1/2.

# %%
mode = y[np.argmax(by_hand)]
print(f"The density is largest at |y| = {abs(mode):.3f}")

samples = squeezed.sample(20_000, seed=1)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
line = np.linspace(-4, 4, 200, dtype="float32")
left.plot(line, softsign.forward(line))
left.set(title="the function", xlabel="u", ylabel="y")
right.hist(samples, 80, density=True, color="0.8", label="samples")
right.plot(y, np.exp(by_hand), label="density")
right.set(title="what it makes of a normal distribution", xlabel="y")
right.legend()
plt.show()

# %% [markdown]
# ## A function that is learned
#
# Now the other way round. We have data with two modes, and look for the function that turns a
# normal distribution into them. The data come from a known density here, so that we can tell how
# good the answer is.

# %%
truth = tfd.MixtureSameFamily(
    tfd.Categorical(probs=[0.7, 0.3]), tfd.Normal([-1.5, 1.5], [0.6, 0.3])
)
x = truth.sample([3_000 if SHORT else 20_000, 1], seed=2).numpy()
x_test = truth.sample([20_000, 1], seed=3).numpy()

# %% [markdown]
# The function is a *spline*: it is made of pieces between knots, and its numbers say where the
# knots are and how steep the function is there. Whatever the numbers are, it increases, so it has
# an inverse. `neural_spline` makes such a flow. It starts as the normal distribution itself.

# %%
flow = tfpf.flows.neural_spline(
    1, autoregressive=True, num_layers=1, num_bins=8, bound=4.0, hidden_units=(16, 16), seed=1
)
start = flow.prob(np.linspace(-4, 4, 200, dtype="float32")[:, np.newaxis])

# %% [markdown]
# We choose the numbers by *maximum likelihood*: the data should have a high density under the flow.
# Keras does the training. The loss is the mean of -log p(x), in units that are called *nats*. The
# rate of the optimizer is high here, since there are few numbers, and falls to zero.

# %%
EPOCHS = 8 if SHORT else 20
model = tfpf.FlowModel(flow)
rate = keras.optimizers.schedules.CosineDecay(0.1, EPOCHS * len(x) // 500)
model.compile(keras.optimizers.Adam(rate), jit_compile=not SHORT)
history = model.fit(x, batch_size=500, epochs=EPOCHS, verbose=0)

# %% [markdown]
# How good is it? The mean of log p_truth(x) - log p_flow(x) over new data is zero for a perfect
# flow, and above zero for any other. It is the *Kullback-Leibler divergence* from the truth to the
# flow. We compute it for the normal distribution with the mean and width of the data as well.

# %%
normal = tfd.Normal(x.mean(), x.std())
kl = float(np.mean(truth.log_prob(x_test)[:, 0] - flow.log_prob(x_test)))
kl_of_normal = float(np.mean(truth.log_prob(x_test) - normal.log_prob(x_test)))
figures["spline, nats from the truth"] = kl
print(
    f"The best normal distribution is {kl_of_normal:.3f} nats from the truth, the spline {kl:.3f}."
)

# %%
line = np.linspace(-4, 4, 200, dtype="float32")[:, np.newaxis]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(line, flow.bijector.forward(line))
left.set(title="the function that was learned", xlabel="u", ylabel="y")
right.hist(x[:, 0], 100, density=True, color="0.8", label="data")
right.plot(line, start, ":", label="flow at the start")
right.plot(line, flow.prob(line), label="flow after training")
right.set(title="its density", xlabel="y")
right.legend()
plt.show()

# %% [markdown]
# ## One function after another
#
# A function of a function is a function again, and its inverse is found by going back step by step.
# The log-determinants are added. So many simple functions make a complicated one, and nothing
# becomes harder to compute. This is the *flow*.
#
# `tfb.Chain` composes bijectors. **The last one in the list is applied first.**

# %%
spread, squeeze = tfb.Scale(3.0), tfb.Softsign()
chain = tfb.Chain([squeeze, spread])
point = tf.constant(0.7)
one_by_one = spread.forward_log_det_jacobian(point) + squeeze.forward_log_det_jacobian(
    spread.forward(point)
)
print(f"Log-determinants one by one, added: {one_by_one:.6f}")
print(f"Log-determinant of the chain:       {chain.forward_log_det_jacobian(point):.6f}")

# %% [markdown]
# ## In the plane
#
# With more than one number the slope becomes a matrix of derivatives, and the log-determinant is
# the logarithm of its determinant. A flow needs functions for which this is cheap.
#
# The first that became famous are *planar layers* (Rezende and Mohamed, 2015): each moves points
# along one direction, by an amount that depends on one projection of the point. One such layer does
# little. The paper shows what many of them do, by four densities $p(z) = \exp(-U(z)) / Z$. Here are
# the four energies U. Three of them wind about a sine.


# %%
def wave(z):
    return tf.sin(0.5 * np.pi * z[..., 0])


def wall(z):
    """Keeps |z_1| below 4, beyond which the energies of the paper would go on without end."""
    return 0.5 * tf.square(tf.nn.relu(tf.abs(z[..., 0]) - 4.0) / 0.2)


def log_bumps(first, second):
    return tf.reduce_logsumexp(-0.5 * tf.square(tf.stack([first, second], axis=-1)), axis=-1)


def ring(z):
    bumps = log_bumps((z[..., 0] - 2.0) / 0.6, (z[..., 0] + 2.0) / 0.6)
    return 0.5 * tf.square((tf.norm(z, axis=-1) - 2.0) / 0.4) - bumps


def sine(z):
    return 0.5 * tf.square((z[..., 1] - wave(z)) / 0.4) + wall(z)


def split(z):
    distance = z[..., 1] - wave(z)
    bump = 3.0 * tf.exp(-0.5 * tf.square((z[..., 0] - 1.0) / 0.6))
    return wall(z) - log_bumps(distance / 0.35, (distance + bump) / 0.35)


def branch(z):
    distance = z[..., 1] - wave(z)
    step = 3.0 * tf.sigmoid((z[..., 0] - 1.0) / 0.3)
    return wall(z) - log_bumps(distance / 0.4, (distance + step) / 0.35)


ENERGIES = {"U1": ring, "U2": sine, "U3": split, "U4": branch}

# %% [markdown]
# There are no data now, only an energy. So we go the other way: we draw samples from the flow and
# compare the flow's own density with the energy at them. The divergence KL(flow || p) is the mean
# of log flow(z) + U(z) + log Z over these samples. The constant log Z does not matter for the
# training, but we want to see the divergence itself. In the plane, Z is a sum over a grid.


# %%
def log_normalizer(energy, half_width=8.0, num_points=801):
    axis = np.linspace(-half_width, half_width, num_points)
    z = tf.constant(np.stack(np.meshgrid(axis, axis), axis=-1))
    return float(tf.reduce_logsumexp(-energy(z))) + 2 * np.log(axis[1] - axis[0])


# %% [markdown]
# `VariationalModel` trains a flow in this way. It reports the *evidence lower bound* (ELBO), the
# mean of -U(z) - log flow(z). It is at most log Z, and the gap is the divergence. As in the paper,
# the energy starts weak and grows to its full strength in the first half of the training, so that
# the flow sees the whole plane before it settles.

# %%
STEPS, LAYERS, RATE = (150, (2,), 0.05) if SHORT else (2_000, (2, 8, 32), 0.01)


def fit(energy, num_layers, num_epochs=10 if SHORT else 50):
    base = tfd.MultivariateNormalDiag(
        tf.Variable(tf.zeros(2)), tfp.util.TransformedVariable(tf.fill([2], 2.0), tfb.Softplus())
    )
    flow = tfpf.flows.planar(2, num_layers=num_layers, base=base, seed=1)
    strength = tf.Variable(1.0, trainable=False)
    model = tfpf.VariationalModel(flow, lambda z: -strength * energy(z), num_samples=256, seed=1)
    rate = keras.optimizers.schedules.CosineDecay(RATE, STEPS, alpha=0.01)
    model.compile(keras.optimizers.Adam(rate, clipnorm=10.0), jit_compile=not SHORT)
    grow = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: strength.assign(min(1.0, 0.1 + 1.8 * epoch / num_epochs))
    )
    model.fit(steps_per_epoch=STEPS // num_epochs, epochs=num_epochs, callbacks=[grow], verbose=0)
    return flow, log_normalizer(energy) - model.evaluate(steps=20 if SHORT else 100, verbose=0)


# %%
fits = {}
print("KL(flow || p) in nats")
print("energy " + "".join(f"{num_layers:>4} layers" for num_layers in LAYERS))
for name in ("U1",) if SHORT else ENERGIES:
    fits[name] = [fit(ENERGIES[name], num_layers) for num_layers in LAYERS]
    print(f"{name:6} " + "".join(f"{gap:11.3f}" for _, gap in fits[name]))
    figures[f"{name}, {LAYERS[-1]} layers, nats"] = fits[name][-1][1]

# %% [markdown]
# More layers bend more. In the picture the first column is the density itself, then come the fits.
# Two layers cannot follow the wave of U2, eight can. The fork of U4 takes more.

# %%
half_width = 4.5
axis = np.linspace(-half_width, half_width, 120, dtype="float32")
grid = tf.constant(np.stack(np.meshgrid(axis, axis), axis=-1))
shape = {"nrows": len(fits), "ncols": 1 + len(LAYERS)}
figure, panels = plt.subplots(
    **shape,
    figsize=(2.2 * shape["ncols"], 2.2 * shape["nrows"]),
    layout="constrained",
    squeeze=False,
)
for (name, row), all_panels in zip(fits.items(), panels, strict=True):
    pictures = [(name, np.exp(-ENERGIES[name](grid)))]
    for (flow, gap), num_layers in zip(row, LAYERS, strict=True):
        pictures.append((f"{num_layers} layers: {gap:.2f} nats", flow.prob(grid)))
    for (title, density), panel in zip(pictures, all_panels, strict=True):
        panel.imshow(density, origin="lower", extent=[-half_width, half_width] * 2)
        panel.set_title(title, fontsize=9)
        panel.axis("off")
plt.show()

# %% [markdown]
# ## The figures again
#
# These are the numbers that would be off if something in the flow were broken.

# %%
for name, value in figures.items():
    print(f"{name}: {value:.4g}")

# %% [markdown]
# ## What to try
#
# - Replace `Softsign` by `tfb.Sigmoid()`. How many modes does the density have? Give the base a
#   larger width, `tfd.Normal(0.0, 3.0)`, and look again.
# - Give the spline 2 bins instead of 8, or 32. How many nats does it gain or lose?
# - Replace `planar` by `neural_spline` in `fit`. Which of the four energies is easy for it?
# - Leave out the growing strength of the energy. Which part of the density is then missed?
