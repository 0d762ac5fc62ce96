# %% [markdown]
# # Continuous flows: likelihood and flow matching
#
# *About 1 minute on two cores.*
#
# A flow need not be made of layers. Let a point u of the base move for one unit of time. A network
# f says how fast it moves, and where to, at each time and place:
#
# $$dz/dt = f(t, z), \quad z(0) = u, \quad x = z(1).$$
#
# Such a map always has an inverse: let the point move back. The log-density changes on the way by
# an integral of the divergence of f (Chen et al., 2018). This notebook trains the same network in
# two ways, by its likelihood and by *flow matching*. It shows the fields, the paths of points, and
# what each of the two costs.
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

import tfp_flows as tfpf

tfd = tfp.distributions

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## Data with a known density
#
# Six normal distributions form a ring. We know their density, so we can say how many nats a flow
# is away from it. For scale we also fit one normal distribution.

# %%
angles = np.arange(6) * np.pi / 3
centers = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype("float32")
truth = tfd.MixtureSameFamily(
    tfd.Categorical(logits=tf.zeros(6)), tfd.MultivariateNormalDiag(centers, [0.4, 0.4])
)
x = truth.sample(2_500 if SHORT else 20_000, seed=1).numpy()
x_test = truth.sample(1_000, seed=2).numpy()


def nats_from_truth(distribution):
    return float(tf.reduce_mean(truth.log_prob(x_test) - distribution.log_prob(x_test)))


normal = tfd.MultivariateNormalTriL(x.mean(0), np.linalg.cholesky(np.cov(x.T)).astype("float32"))
print(f"A normal distribution is {nats_from_truth(normal):.3f} nats from the truth.")

# %% [markdown]
# ## Two ways to train
#
# By **likelihood**, each training step solves the equation for every row, together with the
# divergence, and then once more backward in time for the gradients. We take 5 steps of the classic
# Runge-Kutta method, and each of them evaluates the field four times. The divergence is estimated
# from one random direction (*Hutchinson's* estimator); that is the default in training.
#
# **Flow matching** (Lipman et al., 2023) solves nothing. It takes a point u of the base and a point
# x of the data, and goes from u to x along a straight line. At a random time on the line, the
# network is to predict the velocity x - u. The flow cannot follow every line, since lines cross.
# But the mean of all velocities at a place is a field that carries the base to the data, and a
# regression finds this mean.

# %%
NUM_STEPS = 2 if SHORT else 5
WIDTHS = (32,) if SHORT else (64, 64)


def new_flow():
    return tfpf.flows.ffjord(2, hidden_units=WIDTHS, solver="rk4", num_steps=NUM_STEPS, seed=1)


def accurate(flow):
    """The same flow, solved in smaller steps."""
    field = flow.bijector.bijectors[0].field  # `ffjord` makes a chain, here of one `Continuous`
    bijector = tfpf.bijectors.Continuous(field, solver="rk4", num_steps=5 if SHORT else 20)
    return tfpf.distributions.Flow(flow.distribution, bijector)


epochs = {"likelihood": 4 if SHORT else 8, "flow_matching": 15 if SHORT else 60}
evaluations = {"likelihood": 2 * 4 * NUM_STEPS, "flow_matching": 1}  # of the field, for each row
keras.utils.set_random_seed(1)
flows = {}
for objective in epochs:
    flow = new_flow()
    model = tfpf.FlowModel(flow, objective=objective)
    num_updates = epochs[objective] * len(x) // 250
    rate = keras.optimizers.schedules.CosineDecay(3e-2 if SHORT else 1e-2, num_updates)
    model.compile(keras.optimizers.Adam(rate), jit_compile=False)
    start = time.process_time()
    model.fit(x, batch_size=250, epochs=epochs[objective], verbose=0)
    seconds = time.process_time() - start
    flows[objective.replace("_", " ")] = accurate(flow)
    print(
        f"{objective}: {num_updates:,} steps, {seconds:.0f} s of CPU; "
        f"evaluations in a step: {evaluations[objective]} for each row"
    )

# %% [markdown]
# A step of flow matching is cheap, so there can be many of them. Its loss is a squared error of
# velocities, not nats. But the trained flow has a density, which is computed like that of the other
# flow. Rough steps are enough in training. From now on we solve both in 20 steps, with the
# exact divergence.

# %%
for name, flow in flows.items():
    figures[f"{name}, nats from the truth"] = nats_from_truth(flow)
    print(f"{name}: {figures[f'{name}, nats from the truth']:.3f} nats from the truth")

# %% [markdown]
# Both are close. The density by flow matching is rougher, and its peaks are uneven. It was fitted
# to velocities, and nothing in its training looks at the density.

# %%
axis = np.linspace(-3.5, 3.5, 20 if SHORT else 80, dtype="float32")
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape([-1, 2])


def show_density(panel, distribution, title):
    picture = np.reshape(distribution.prob(grid), [len(axis)] * 2)
    panel.imshow(picture, origin="lower", extent=[-3.5, 3.5] * 2)
    panel.set_title(title)
    panel.axis("off")


figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for (name, density), panel in zip({"truth": truth, **flows}.items(), panels, strict=True):
    show_density(panel, density, name)
plt.show()

# %% [markdown]
# ## Is the density right?
#
# The log-determinant of the flow is an integral of the divergence. We can compute it in another
# way: differentiate the whole map, from u to x, and take the determinant of the 2 by 2 matrix.

# %%
bijector = flows["flow matching"].bijector
u = tf.random.stateless_normal([20, 2], seed=[1, 2])


def slopes_of(i):
    """The derivatives of coordinate i of x with respect to u."""
    with tf.GradientTape() as tape:
        tape.watch(u)
        moved = bijector.forward(u)[:, i]
    return tape.gradient(moved, u)


by_matrix = tf.math.log(tf.abs(tf.linalg.det(tf.stack([slopes_of(0), slopes_of(1)], axis=1))))
# A copy, since TFP remembers what it computed for `u`.
by_integral = bijector.forward_log_det_jacobian(tf.identity(u), event_ndims=1)
figures["log-determinant, largest difference"] = float(tf.reduce_max(abs(by_matrix - by_integral)))
print(f"The largest difference: {figures['log-determinant, largest difference']:.1e} nats")

# %% [markdown]
# The samples are a test of their own. We draw from each flow, and ask by how many nats its own
# log-density of these points is above that of the truth. That is the Kullback-Leibler divergence in
# the other direction. It is large if samples land where there are no data.

# %%
for name, flow in flows.items():
    drawn, log_density = flow.experimental_sample_and_log_prob(2_000, seed=3)
    figures[f"{name}, nats of samples"] = float(tf.reduce_mean(log_density - truth.log_prob(drawn)))
    print(f"{name}: {figures[f'{name}, nats of samples']:.3f} nats above the truth at its samples")

# %% [markdown]
# ## The field
#
# The arrows show the velocity at the beginning, in the middle and at the end. Each panel has a
# scale of its own. The two fields are not the same, although they lead to nearly the same density:
# that by likelihood hardly changes with time, and that by flow matching turns around. Many fields
# carry the base to the data, and the likelihood does not prefer one of them.

# %%
fields = {name: flow.bijector.field for name, flow in flows.items()}
coarse = np.linspace(-3, 3, 15, dtype="float32")
places = tf.constant(np.stack(np.meshgrid(coarse, coarse), axis=-1).reshape([-1, 2]))
figure, panels = plt.subplots(2, 3, figsize=(9, 6), layout="constrained")
for (name, field), row in zip(fields.items(), panels, strict=True):
    for at, panel in zip((0.0, 0.5, 1.0), row, strict=True):
        velocity = field(tf.constant(at), places)
        panel.quiver(*np.transpose(places), *np.transpose(velocity))
        panel.set(title=f"{name}, t = {at}", aspect="equal")
        panel.axis("off")
plt.show()

# %% [markdown]
# ## The density on its way
#
# A `Continuous` with the same field and an earlier end, `t1`, is the flow up to that time. So we
# can look at the density while it changes from the base to the data.

# %%
base = flows["likelihood"].distribution
stops = (0.5,) if SHORT else (0.25, 0.5, 0.75, 0.9)
shape = {"nrows": 2, "ncols": len(stops), "squeeze": False}
figure, panels = plt.subplots(**shape, figsize=(10, 4.3), layout="constrained")
for (name, field), row in zip(fields.items(), panels, strict=True):
    for t1, panel in zip(stops, row, strict=True):
        until = tfpf.bijectors.Continuous(field, t1=t1, solver="rk4", num_steps=5 if SHORT else 10)
        show_density(panel, tfpf.distributions.Flow(base, until), f"t = {t1}")
    row[0].set_title(f"{name}, t = {stops[0]}")
plt.show()

# %% [markdown]
# ## What a solution costs
#
# The default solver of `ffjord` is that of Dormand and Prince. It estimates its own error and
# chooses its steps by it. We call it directly, `tfpf.math.dormand_prince`, so that we can count how
# often it asks the network. The last column compares the samples with those at a tolerance of 1e-6.


# %%
def solve(field, u, tolerance, start=0.0, stop=1.0):
    """Where points are at `stop`, and the number of evaluations of the field."""
    count = 0

    def slopes(t, state):
        nonlocal count
        count += 1
        return (field(t, state[0]),), ()

    accuracy = {"rtol": tolerance, "atol": tolerance}
    solution = tfpf.math.dormand_prince(slopes, (u,), start, stop, **accuracy)
    return solution.state[0], count


u = base.sample(500, seed=4)
for name, field in fields.items():
    reference, _ = solve(field, u, 1e-6)
    print(f"{name}\ntolerance  evaluations  largest error of samples")
    for tolerance in (1e-2, 1e-4) if SHORT else (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        sample, count = solve(field, u, tolerance)
        error = float(tf.reduce_max(abs(sample - reference)))
        print(f"{tolerance:9.0e}  {count:11}  {error:24.1e}")
    figures[f"{name}, evaluations"] = count
    figures[f"{name}, error of samples"] = error

# %% [markdown]
# At tolerances of 1e-2 and below, the field of flow matching takes more evaluations: its velocities
# change more on the way. In training it is the other way round. A step by likelihood takes tens of
# evaluations, with a divergence at each, and a step of flow matching takes one.
#
# ## Paths
#
# The last picture shows where each point goes. We also ask how straight the paths are: the length
# of a path, divided by the distance between its ends. Points of flow matching often move inward
# first: the lines from a point of the base lead to all parts of the data, so the mean velocity
# leads toward the mean of the data. Then they turn around.

# %%
times = np.linspace(0, 1, 4 if SHORT else 17)
figure, panels = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for (name, field), panel in zip(fields.items(), panels, strict=True):
    path = [u[:150]]
    for start, stop in zip(times[:-1], times[1:], strict=True):
        path.append(solve(field, path[-1], 1e-3, start, stop)[0])
    path = np.stack(path)
    length = np.linalg.norm(np.diff(path, axis=0), axis=-1).sum(axis=0)
    ratio = np.mean(length / np.linalg.norm(path[-1] - path[0], axis=-1))
    print(f"{name}: paths are {ratio:.2f} times as long as straight lines, on average")
    panel.plot(path[:, :, 0], path[:, :, 1], color="0.6", linewidth=0.6)
    panel.plot(*path[0].T, ".", markersize=3, label="base")
    panel.plot(*path[-1].T, ".", markersize=4, label="samples")
    panel.set(title=name, aspect="equal", xlim=[-3.5, 3.5], ylim=[-3.5, 3.5])
panels[0].legend()
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
# - Train by likelihood with `trace="exact"`. Is it better, and what does it cost?
# - Give `ffjord` a weight of the squared speed in `new_flow`, such as `kinetic=0.01`. Paths by
#   likelihood are nearly straight already. From which weight on do evaluations or nats change?
# - Draw samples with 1, 2 and 4 steps of `"euler"`. For which of the two flows do they look right?
# - Start from the weights of flow matching, and go on with the likelihood.
