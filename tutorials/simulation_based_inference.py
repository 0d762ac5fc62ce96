# %% [markdown]
# # Conditional densities and simulation-based inference
#
# *About 2 minutes on two cores.*
#
# You have a simulator: it takes parameters and makes data, with some randomness. You have an
# observation, and want the parameters. Bayes' rule gives a *posterior* over them, but it needs the
# probability of the data given the parameters, and a simulator does not tell it.
#
# A conditional flow finds the posterior from simulations alone. We draw parameters from the prior,
# simulate data for each, and fit a density of the parameters *given* the data. Afterwards a
# posterior for any observation costs no more simulations.
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

tfb, tfd = tfp.bijectors, tfp.distributions

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end
keras.utils.set_random_seed(1)  # start weights and batches
rng = np.random.default_rng(1)

# %% [markdown]
# ## The simulator
#
# This one is called *two moons*, and many papers use it as a test (Greenberg et al., 2019). Two
# parameters, theta, are uniform on the square from -1 to 1. They shift a point that was drawn from
# a thin crescent, and the shifted point is the data, x. The absolute value in the shift forgets a
# sign, so two different places in the square explain the same data.


# %%
def prior(num_rows):
    return rng.uniform(-1, 1, size=[num_rows, 2]).astype("float32")


def simulate(theta):
    angle = rng.uniform(-np.pi / 2, np.pi / 2, size=len(theta))
    radius = rng.normal(0.1, 0.01, size=len(theta))
    crescent = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], axis=-1)
    first, second = theta.T
    shift = np.stack([-np.abs(first + second), second - first], axis=-1) / np.sqrt(2)
    return (crescent + shift).astype("float32")


num_simulations = 1_000 if SHORT else 50_000
theta = prior(num_simulations)
x = simulate(theta)
print(f"{num_simulations:,} simulations: theta {theta.shape}, x {x.shape}")

# %% [markdown]
# ## The flow
#
# `context_size=2` makes the recipe conditional: every network in it sees the two numbers of x.
#
# The prior lives on a square, and the posterior should, too. So the last step from the base to the
# parameters is a sigmoid onto the interval from -1 to 1. The spline flow before it works best on
# numbers with zero mean and unit variance. `Standardize` stands between the two and scales, and
# `adapt` sets it from the parameters. In `tfb.Chain` the last one is applied first.

# %%
small = {"num_layers": 1, "num_bins": 8, "hidden_units": (32,)}
settings = small if SHORT else {"num_layers": 3, "num_bins": 16}
flow = tfpf.distributions.Flow(
    tfpf.flows.neural_spline(2, context_size=2, autoregressive=True, seed=1, **settings),
    tfb.Chain([tfb.Sigmoid(-1.0, 1.0), tfpf.bijectors.Standardize(2)]),
)
model = tfpf.FlowModel(flow)
model.adapt(theta)

# %% [markdown]
# The model is fitted to pairs, the context first. The loss is the mean negative log-density of the
# parameters. The learning rate falls to zero at the end of the training.

# %%
BATCH_SIZE, EPOCHS = (100, 6) if SHORT else (500, 25)
rate = keras.optimizers.schedules.CosineDecay(
    2e-2 if SHORT else 3e-3, EPOCHS * num_simulations // BATCH_SIZE
)
model.compile(keras.optimizers.Adam(rate, global_clipnorm=5.0), jit_compile=not SHORT)
history = model.fit(x, theta, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
figure, panel = plt.subplots(figsize=(4.5, 3), layout="constrained")
tfpf.diagnostics.learning_curve(history, panel)
plt.show()

# %% [markdown]
# ## Posteriors
#
# `condition` binds an observation. What it returns is a plain distribution with `sample` and
# `log_prob`. We bind three observations at once. Grey points are those simulated parameters whose
# data came within 0.02 of the observation. They show where the posterior is, and how few of all
# simulations would be of use without a network.

# %%
observations = np.array([[0.0, 0.0], [-0.6, 0.3], [-0.2, -0.6]], "float32")
samples = tfpf.condition(flow, observations).sample(1_500, seed=2).numpy()
figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
for k, panel in enumerate(panels):
    near = np.linalg.norm(x - observations[k], axis=-1) < 0.02
    panel.plot(*samples[:, k].T, ".", markersize=1.5, label="posterior")
    panel.plot(*theta[near].T, ".", color="0.4", markersize=4, label="simulations")
    panel.set(xlim=(-1, 1), ylim=(-1, 1), title=f"x = {observations[k]}", aspect="equal")
    panel.set_xlabel("first parameter")
panels[0].set_ylabel("second parameter")
panels[0].legend(loc="upper right", fontsize=8)
plt.show()

# %% [markdown]
# ## How close is it?
#
# For this simulator the exact posterior is known. Away from the border of the square it is half of
# the density of the crescent at x, shifted back. (A density of the radius and the angle becomes one
# of the point by a change of variables: it is divided by the radius.) So we can say how many nats
# the flow is away from it, for new simulations. `inside` keeps those x whose posterior does not
# touch the border.


# %%
def exact_log_prob(theta, x):
    first, second = theta.T
    shift = np.stack([-np.abs(first + second), second - first], axis=-1) / np.sqrt(2)
    place = (x - shift).astype("float64") - [0.25, 0.0]
    radius = np.linalg.norm(place, axis=-1)
    log_radius = -0.5 * ((radius - 0.1) / 0.01) ** 2 - np.log(0.01 * np.sqrt(2 * np.pi))
    return np.where(place[:, 0] >= 0, log_radius - np.log(np.pi * radius) - np.log(2), -np.inf)


theta_test = prior(5_000)
x_test = simulate(theta_test)
inside = (np.abs(x_test[:, 1]) - x_test[:, 0] < 0.85) & (x_test[:, 0] < 0.2)
exact = exact_log_prob(theta_test[inside], x_test[inside]).mean()
approximate = model.predict((x_test[inside], theta_test[inside]), verbose=0).mean()
figures["two moons, exact nats"] = exact
figures["two moons, nats from the exact posterior"] = exact - approximate
print(
    f"Mean log-density of the true parameters, {inside.sum():,} simulations away from the border:"
)
print(f"  prior {-np.log(4):.2f}, flow {approximate:.2f}, exact posterior {exact:.2f} nats")

# %% [markdown]
# ## Is it calibrated?
#
# In real life there is no exact posterior to compare with. But there is a test that needs nothing
# else than new simulations. Draw parameters from the prior and simulate. Under the posterior of
# that simulation the true parameter is a draw like any other, so its rank among samples is equally
# likely to be any number. This is *simulation-based calibration* (Talts et al., 2018). The function
# `sbc` does it, and tells how likely ranks as uneven as these are for an exact posterior. A p-value
# that is not small is what we hope for. The parameters come first here, and the context second.

# %%
CHECKED = 100 if SHORT else 500
calibration = tfpf.diagnostics.sbc(flow, theta_test, x_test, num_samples=99, num_rows=CHECKED)
figures["two moons, p of calibration"] = calibration.p_value
print(calibration)

# %% [markdown]
# The picture shows the distribution of the ranks, minus that of an exact posterior. Lines that stay
# in the grey band are fine.

# %%
figure, panel = plt.subplots(figsize=(4.5, 3), layout="constrained")
calibration.plot(panel)
plt.show()

# %% [markdown]
# ## Data that are too long for a context
#
# Data are often a series, an image or a table. A second network, the *embedding*, then sums it up
# in a few numbers, and these are the context. Nobody has to say which numbers: the embedding is
# trained together with the flow.
#
# Here is a damped oscillation, seen at 60 points in time with noise. The parameters are its
# frequency and how fast it fades, both scaled to the square. Its phase is random, and not asked
# for.

# %%
time = np.linspace(0, 1, 60)


def oscillation(theta):
    frequency, fading = (4 + 2 * theta[:, :1]) * 2 * np.pi, 3 + 2 * theta[:, 1:]
    phase = rng.uniform(0, 2 * np.pi, size=[len(theta), 1])
    clean = np.exp(-fading * time) * np.cos(frequency * time + phase)
    return (clean + 0.1 * rng.normal(size=clean.shape)).astype("float32")[..., np.newaxis]


theta = prior(1_000 if SHORT else 100_000)
series = oscillation(theta)
figure, panel = plt.subplots(figsize=(7, 2.4), layout="constrained")
panel.plot(time, series[:3, :, 0].T, ".-")
panel.set(xlabel="time", ylabel="x", title="three simulations")
plt.show()

# %% [markdown]
# The embedding is any Keras network. It ends in eight numbers.

# %%
embedding = keras.Sequential(
    [
        keras.Input((60, 1)),
        keras.layers.Conv1D(16, 5, strides=2, activation="relu"),
        keras.layers.Conv1D(32, 5, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(8),
    ]
)
settings = small if SHORT else {"num_layers": 2, "num_bins": 8}
flow = tfpf.distributions.Flow(
    tfpf.flows.neural_spline(2, context_size=8, autoregressive=True, seed=1, **settings),
    tfb.Chain([tfb.Sigmoid(-1.0, 1.0), tfpf.bijectors.Standardize(2)]),
)

# %% [markdown]
# A model of Keras holds the two. Its output is the log-density of the parameters given the series,
# and the loss negates that. `FlowModel` is a layer here: called with a context and parameters it
# gives the log-density, and the gradient reaches the embedding through the context. Keras passes a
# loss the target and the output. There is no target here, so `fit` gets zeros in its place.
#
# The networks see each simulation six times only. Where simulations are cheap, more of them are
# better than more epochs: networks that see the same few again and again learn them by heart.
#
# This class is short, but `save` refuses it. A model that is to be saved is built as in "A flow
# inside a Keras model", a page of the documentation: from a `DistributionLayer`, and with a loss
# that is registered.


# %%
class Posterior(keras.Model):
    def __init__(self, embedding, flow_model):
        super().__init__()
        self.embedding, self.flow_model = embedding, flow_model

    def call(self, inputs):
        series, theta = inputs
        return self.flow_model((self.embedding(series), theta))


flow_model = tfpf.FlowModel(flow)
flow_model.adapt(theta)
posterior = Posterior(embedding, flow_model)

EPOCHS, RATE = 6, 5e-3 if SHORT else 2e-3
rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(theta) // 250)
posterior.compile(
    keras.optimizers.Adam(rate, global_clipnorm=5.0),
    loss=lambda _, log_prob: -log_prob,
    jit_compile=not SHORT,
)
before = embedding.get_weights()
history = posterior.fit(
    (series, theta), np.zeros(len(theta)), batch_size=250, epochs=EPOCHS, verbose=0
)
change = max(
    np.abs(new - old).max() for new, old in zip(embedding.get_weights(), before, strict=True)
)
print(f"The weights of the embedding moved by up to {change:.2f}.")

# %% [markdown]
# How much do we learn from a series? The mean log-density of the true parameters of new simulations
# says it in nats. The prior has -log 4. And are these posteriors calibrated?

# %%
theta_test = prior(2_000)
contexts = embedding.predict(oscillation(theta_test), verbose=0)
nats = flow_model.predict((contexts, theta_test), verbose=0).mean()
figures["oscillation, nats gained over the prior"] = nats + np.log(4)
print(f"prior {-np.log(4):.2f}, posterior {nats:.2f} nats")

rows = 4 * CHECKED  # all: the more rows, the smaller the errors that the test sees
calibration = tfpf.diagnostics.sbc(flow, theta_test, contexts, num_samples=99, num_rows=rows)
figures["oscillation, p of calibration"] = calibration.p_value
print(calibration)

# %% [markdown]
# What would `sbc` say of posteriors that are too narrow? We make some: the same bijectors, but from
# a base with half the scale. (`flow.bijector` is the sigmoid with the scaling, and the spline flow
# before them is `flow.distribution`.) The true parameters are now too often near the lowest or the
# highest samples, so the lines become an S. The test sees it at once: 0.0005 is the smallest p that
# it can give to a column.

# %%
narrow = tfpf.distributions.Flow(
    tfd.Sample(tfd.Normal(0.0, 0.5), 2),
    tfb.Chain([flow.bijector, flow.distribution.bijector]),
)
wrong = tfpf.diagnostics.sbc(narrow, theta_test, contexts, num_samples=99, num_rows=rows)
figures["too narrow on purpose, p of the better column"] = wrong.column_p_values.max()
print(wrong)

figure, panels = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True)
calibration.plot(panels[0]).set_title("the flow")
wrong.plot(panels[1]).set_title("too narrow on purpose")
plt.show()

# %% [markdown]
# Here is what the posterior says of one series. The cross marks the true parameters. The frequency
# is found well, the fading less so.

# %%
truth = np.array([[0.3, 0.2]], "float32")
observed = oscillation(truth)
samples = tfpf.condition(flow, embedding.predict(observed, verbose=0)[0]).sample(1_500, seed=4)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(time, observed[0, :, 0], ".-")
left.set(xlabel="time", ylabel="x", title="observed")
right.plot(*samples.numpy().T, ".", markersize=1.5)
right.plot(*truth[0], "kx", markersize=10)
right.set(xlim=(-1, 1), ylim=(-1, 1), xlabel="frequency", ylabel="fading", title="posterior")
plt.show()
print("standard deviations of the posterior:", samples.numpy().std(axis=0).round(3))

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
# - Give the oscillation 10,000 simulations and five times the epochs. What happens to the nats and
#   to the calibration?
# - Use a tenth of the simulations of the crescent. Which suffers first, the nats or the
#   calibration?
# - Replace the embedding by two numbers that you choose, such as the mean and the standard
#   deviation of the series. How many nats are lost?
# - Leave out the sigmoid. How many samples of the posterior leave the square?
# - Replace `sbc` by `coverage`, which looks at both parameters together.
