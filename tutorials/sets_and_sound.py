# %% [markdown]
# # Sets of points, and sound
#
# *About 2 minutes on two cores.*
#
# Not all data are vectors. This notebook fits two flows that are made for other shapes. We make the
# data ourselves, so that we know their exact density:
#
# - `pointflow` for **sets** of points, whose order means nothing and whose number may vary;
# - `waveglow` for **sound**, a series in time, given a description of how it is to sound.
#
# In the code, `SHORT` is for the tests. It is false here: read the value after `else`.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end
rng = np.random.default_rng(1)

# %% [markdown]
# ## Sets: arcs of a circle
#
# Each set has 24 points on an arc of the unit circle, with noise of width 0.15. The arc begins
# anywhere, and is between one sixth and one half of the circle long. These two numbers are
# different in each set, and nobody tells them to the flow.

# %%
POINTS, WIDTH = 24, 0.15


def arcs(num_sets, num_points=POINTS):
    start = rng.uniform(0, 2 * np.pi, size=[num_sets, 1])
    length = 2 * np.pi * rng.uniform(1 / 6, 1 / 2, size=[num_sets, 1])
    angle = start + length * rng.uniform(size=[num_sets, num_points])
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return (circle + WIDTH * rng.normal(size=circle.shape)).astype("float32")


sets, sets_test = arcs(200 if SHORT else 2_000), arcs(200)
figure, panels = plt.subplots(1, 8, figsize=(9, 1.4), layout="constrained", sharex=True)
for points, panel in zip(sets, panels, strict=False):
    panel.plot(*points.T, ".", markersize=3)
    panel.set(xticks=[], yticks=[], xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
plt.show()

# %% [markdown]
# The exact density of a set is a mean over all arcs that it may come from. We compute it on a grid:
# first the density of each point given the angle it comes from, then the mean over the angles of
# each arc, then the product over the points of the set, then the mean over all arcs.

# %%
NUM_ANGLES = 120
angle = 2 * np.pi * np.arange(NUM_ANGLES) / NUM_ANGLES
circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
lengths = np.arange(NUM_ANGLES // 6, NUM_ANGLES // 2 + 1)


def exact_nats(points):
    """log p(x) of one set `[M, 2]`."""
    square = np.sum((points[:, np.newaxis] - circle) ** 2, axis=-1)
    at_angle = np.exp(-0.5 * square / WIDTH**2) / (2 * np.pi * WIDTH**2)
    # The mean over an arc is a difference of cumulated sums.
    sums = np.cumsum(np.pad(np.tile(at_angle, [1, 2]), [[0, 0], [1, 0]]), axis=1)
    starts = np.arange(NUM_ANGLES)[:, np.newaxis]
    of_arcs = (sums[:, starts + lengths] - sums[:, starts]) / lengths
    return np.logaddexp.reduce(np.log(of_arcs + 1e-300).sum(axis=0), axis=None) - np.log(
        NUM_ANGLES * len(lengths)
    )


exact = np.mean([exact_nats(points) for points in sets_test])
print(f"The exact density of a set: {exact:.1f} nats on average")

# %% [markdown]
# What does a model reach that knows nothing of sets? It takes all points as independent draws, from
# the ring that all arcs together make.

# %%
square = np.sum((sets_test[..., np.newaxis, :] - circle) ** 2, axis=-1)
of_ring = np.mean(np.exp(-0.5 * square / WIDTH**2), axis=-1) / (2 * np.pi * WIDTH**2)
ring = np.mean(np.sum(np.log(of_ring), axis=-1))
print(f"Independent points of the whole ring: {ring:.1f} nats, {exact - ring:.1f} below exact")

# %% [markdown]
# ## A flow over sets
#
# `pointflow` (Yang et al., 2019) gives each set a few hidden numbers w, its *latent*. Given w, the
# points are independent, and each moves along a vector field that w sets. The latent has a flow as
# its prior. An encoder reads a set, in any order, and guesses w. As in a variational autoencoder,
# training raises a lower bound of log p(x), the `elbo`.
#
# Fields are solved by 4 steps of the Runge-Kutta method.

# %%
keras.utils.set_random_seed(1)
small = {"hidden_units": (16,), "prior_units": (16,), "point_units": (32,), "set_units": (32,)}
large = {
    "hidden_units": (32, 32),
    "prior_units": (32,),
    "point_units": (64, 64),
    "set_units": (64,),
}
flow = tfpf.flows.pointflow(
    2,
    latent_size=3,
    solver="rk4",
    num_steps=1 if SHORT else 4,
    seed=1,
    **(small if SHORT else large),
)
model = tfpf.FlowModel(flow)
epochs, batch_size = (8, 50) if SHORT else (25, 50)
rate = keras.optimizers.schedules.CosineDecay(
    2e-2 if SHORT else 5e-3, epochs * len(sets) // batch_size
)
model.compile(keras.optimizers.Adam(rate, global_clipnorm=100.0), jit_compile=False)
loss = model.fit(sets, batch_size=batch_size, epochs=epochs, verbose=0).history["loss"]
print("loss of an epoch, in nats of a set:", np.round(loss[:: -(-len(loss) // 8)], 1))

# %%
elbo = float(np.mean(flow.elbo(sets_test, num_samples=2 if SHORT else 10)))
figures["sets, exact minus elbo"] = exact - elbo
figures["sets, elbo above the ring"] = elbo - ring
print(f"ring {ring:.1f}, elbo of the flow {elbo:.1f}, exact {exact:.1f} nats")

# %% [markdown]
# Are the samples arcs? Their points should be near the circle, closer than 0.4, as nearly all
# points of the data are. And the exact density can be computed for new sets, too.

# %%
new = flow.sample(100, num_points=POINTS, seed=1).numpy()
for name, some in {"data": sets_test, "samples": new}.items():
    distance = np.abs(np.linalg.norm(some, axis=-1) - 1)
    share = np.mean(distance < 0.4)
    nats = np.mean([exact_nats(points) for points in some])
    print(f"{name}: {share:.1%} of the points near the circle, exact density {nats:.1f} nats")
figures["sets, share of points near the circle"] = float(share)

# %% [markdown]
# The first row shows samples of 60 points each. Below, the flow completes sets: it sees six points
# of a new arc, which are drawn large, and `reconstruct` draws 100 points for each, in gray. It was
# trained on sets of 24 points, and sometimes leaves out one that is far from the others.

# %%
figure, panels = plt.subplots(2, 8, figsize=(9, 2.6), layout="constrained")
drawn = flow.sample(8, num_points=60, seed=2).numpy()
few = arcs(8, num_points=6)
completed = flow.reconstruct(few, num_points=100, seed=3).numpy()
for i, (top, bottom) in enumerate(panels.T):
    top.plot(*drawn[i].T, ".", markersize=2)
    bottom.plot(*completed[i].T, ".", markersize=2, color="0.6")
    bottom.plot(*few[i].T, ".", markersize=6)
    for panel in (top, bottom):
        panel.set(xticks=[], yticks=[], xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
plt.show()

# %% [markdown]
# ## Sound: chirps
#
# A chirp is a tone whose pitch rises or falls. Ours have 64 steps. The frequency goes from one
# value to another, both between 0.03 and 0.12 oscillations a step. The phase is random, and there
# is noise of width 0.3.
#
# A synthesizer is told how a sound is to be, by a *spectrogram*, and it makes the sound. Our
# description is simpler. It has eight frames, and each says the frequency in the middle of its
# eight steps. It does not say the phase.

# %%
FRAMES, NOISE = 8, 0.3


def chirps(num_series, num_steps=64):
    """Series `[N, T, 1]`, and their descriptions `[N, frames, 1]`, of about unit size."""
    first, last = rng.uniform(0.03, 0.12, size=[2, num_series, 1])
    time = (np.arange(num_steps) + 0.5) / num_steps
    frequency = first + (last - first) * time
    phase = 2 * np.pi * (np.cumsum(frequency, axis=-1) + rng.uniform(size=[num_series, 1]))
    series = np.sin(phase) + NOISE * rng.normal(size=phase.shape)
    frames = frequency.reshape([num_series, -1, 8]).mean(axis=-1)
    described = (frames - 0.075) / 0.03
    return [part[..., np.newaxis].astype("float32") for part in (described, series)]


described, series = chirps(500 if SHORT else 8_000)
described_test, series_test = chirps(500)

# %% [markdown]
# Since only the phase is unknown, the exact density of a series given its description is a mean
# over phases. For scale we also take a normal distribution with the covariance of all series. It
# knows of the noise and of the range of frequencies, but it does not listen to the description.


# %%
def exact_given(described, series):
    """log p(x | c) of each series."""
    frames = described[..., 0] * 0.03 + 0.075
    # Frequencies are linear in time, and so follow from the first and the last frame.
    steps = np.arange(series.shape[1])
    slope = (frames[:, -1:] - frames[:, :1]) / (series.shape[1] - 8)
    phase = 2 * np.pi * np.cumsum(frames[:, :1] + slope * (steps - 3.5), axis=-1)
    shifts = 2 * np.pi * np.arange(200)[:, np.newaxis, np.newaxis] / 200
    square = np.sum((series[..., 0] - np.sin(phase + shifts)) ** 2, axis=-1)
    constant = 0.5 * series.shape[1] * np.log(2 * np.pi * NOISE**2)
    return np.logaddexp.reduce(-0.5 * square / NOISE**2, axis=0) - np.log(200) - constant


truth = np.mean(exact_given(described_test, series_test))
flat = series[..., 0]
normal = tfd.MultivariateNormalTriL(
    flat.mean(axis=0), np.linalg.cholesky(np.cov(flat.T)).astype("float32")
)
deaf = float(np.mean(normal.log_prob(series_test[..., 0])))
print(f"exact {truth:.1f} nats, a normal distribution {deaf:.1f} nats")

# %% [markdown]
# ## A flow over series
#
# `waveglow` (Prenger et al., 2019) makes blocks of eight steps into channels. Its layers mix the
# channels by a linear map, and then change half of them given the other half. The networks are
# convolutions over time, which see the description of the block, too. Density and sample are both
# parallel in time.

# %%
keras.utils.set_random_seed(1)


def new_waveglow(num_frames):
    return tfpf.flows.waveglow(
        (8 * num_frames, 1),
        context_size=(num_frames, 1),
        num_scales=1 if SHORT else 2,
        num_layers=1 if SHORT else 3,
        hidden_channels=(16,) if SHORT else (32, 32, 32),
        seed=1,
    )


synthesizer = new_waveglow(FRAMES)
model = tfpf.FlowModel(synthesizer)
epochs = 6 if SHORT else 15
rate = keras.optimizers.schedules.CosineDecay(2e-2 if SHORT else 3e-3, epochs * len(series) // 100)
model.compile(keras.optimizers.Adam(rate, global_clipnorm=100.0), jit_compile=False)
model.fit(described, series, batch_size=100, epochs=epochs, verbose=0)
nats = -model.evaluate(described_test, series_test, verbose=0)
figures["sound, nats from the truth"] = truth - nats
figures["sound, nats above a normal"] = nats - deaf
print(f"normal {deaf:.1f}, flow {nats:.1f}, exact {truth:.1f} nats")

# %% [markdown]
# ## Does it play what it is told?
#
# We draw sounds for descriptions of the test, and measure their frequencies: in each half of a
# series we look for the tone that fits best. The same is done for the data, since noise makes it
# inexact, and for a normal distribution, which plays anything.

# %%
tones = np.linspace(0.02, 0.14, 121)
waves = np.exp(2j * np.pi * tones[:, np.newaxis] * np.arange(32))


def pitch(series):
    """The frequency in the first and in the second half of each series."""
    halves = np.reshape(series, [-1, 2, 32])
    return tones[np.argmax(np.abs(halves @ waves.T), axis=-1)]


told = described_test.reshape([-1, 2, 4]).mean(axis=-1) * 0.03 + 0.075
played = tfpf.condition(synthesizer, described_test).sample(seed=1).numpy()
for name, some in {
    "data": series_test,
    "samples of the normal": normal.sample(500, seed=2).numpy(),
    "samples of the flow": played,
}.items():
    off = np.median(np.abs(pitch(some) - told))
    print(f"{name}: half of the pitches are closer than {off:.4f} to what was told")
figures["sound, median error of the pitch"] = float(off)

# %% [markdown]
# The weights do not depend on the number of steps, as long as a frame is eight steps. So we can
# give them to a flow of longer series, and play a tune that is longer than any series that it has
# heard: the frequency goes up, down and up again.

# %%
longer = new_waveglow(4 * FRAMES)
for variable, trained in zip(
    longer.trainable_variables, synthesizer.trainable_variables, strict=True
):
    variable.assign(trained)
tune = np.sin(np.linspace(0, 2 * np.pi, 4 * FRAMES, dtype="float32"))[:, np.newaxis]
song = tfpf.condition(longer, tune).sample(seed=1).numpy()

figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.6), layout="constrained", width_ratios=[2, 3]
)
for i in range(4):
    left.plot(series_test[i, :, 0] - 4 * i, color="0.6", linewidth=0.8)
    left.plot(played[i, :, 0] - 4 * i, linewidth=1)
left.set(title="data in gray, samples for the same description", xlabel="step", yticks=[])
right.plot(song[:, 0], linewidth=0.8)
right.plot(8 * np.arange(4 * FRAMES) + 3.5, tune[:, 0] - 3.5)
right.set(title="a longer sound, and its description below", xlabel="step", yticks=[])
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
# - Give `pointflow` one latent instead of three. An arc has two numbers. What do the samples look
#   like?
# - Look at the latents: `flow.posterior(sets).mean()`. Color them by the middle of the arc.
# - Replace `waveglow` by `tfpf.flows.wavenet`. Its samples are made step by step. How long do they
#   take?
# - Leave the description out, `context_size=0`. How many nats does it bring?
