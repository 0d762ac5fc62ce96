# %% [markdown]
# # One target, every flow
#
# *About 1 minute on two cores.*
#
# Which flow should you take? There are many, and each has its way to bend a normal distribution
# into another one. This notebook fits four of them to the same density, one that is hard. Then it
# shows a gallery of all recipes for vectors on that density: a picture of each, how close it
# comes, and what it costs.

# %%
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## The target
#
# The pinwheel has five arms. We take five normal distributions, arranged as a star, and then turn
# each point about the middle by an angle that grows with its distance from there.
#
# This twist keeps areas as they are: each circle about the middle is turned as a whole. So the
# density of a twisted point is that of the point before, and we know it exactly.


# %%
def twist(points, sign):
    angle = sign * 1.2 * np.linalg.norm(points, axis=-1)
    x, y = points[..., 0], points[..., 1]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


arms = np.arange(5) * 2 * np.pi / 5
along = np.stack([np.cos(arms), np.sin(arms)], axis=-1)
across = np.stack([-np.sin(arms), np.cos(arms)], axis=-1)
covariance = 0.35**2 * np.einsum("ki,kj->kij", along, along)
covariance += 0.12**2 * np.einsum("ki,kj->kij", across, across)
star = tfd.MixtureSameFamily(
    tfd.Categorical(logits=np.zeros(5)),
    tfd.MultivariateNormalTriL(1.37 * along, np.linalg.cholesky(covariance)),
)


def draw(num_rows, seed):
    return twist(star.sample(num_rows, seed=seed).numpy(), 1.0).astype("float32")


def log_density(x):
    return star.log_prob(twist(np.asarray(x, "float64"), -1.0)).numpy()


# %% [markdown]
# We check that the density has the integral 1, by a sum over a grid. The same grid gives its
# *entropy*, the mean of -log p(x). No flow can have a lower loss than that.

# %%
half_width, num_pixels = 4.0, 400
axis = np.linspace(-half_width, half_width, num_pixels)
log_p = log_density(np.stack(np.meshgrid(axis, axis), axis=-1))
area = (axis[1] - axis[0]) ** 2
entropy = -np.sum(np.exp(log_p) * log_p) * area
figures["integral of the target"] = np.sum(np.exp(log_p)) * area
print(f"integral {figures['integral of the target']:.5f}, entropy {entropy:.4f} nats")

# %%
x, x_test = draw(2_000 if SHORT else 100_000, 1), draw(4_000, 2)
axis = np.linspace(-2.7, 2.7, 40 if SHORT else 120, dtype="float32")
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape([-1, 2])


def show(panel, density, title):
    picture = density.reshape([len(axis), len(axis)])
    panel.imshow(picture, origin="lower", extent=[-2.7, 2.7] * 2, vmin=0, vmax=top)
    panel.set_title(title, fontsize=9)
    panel.axis("off")


truth = np.exp(log_density(grid))
top = truth.max()
figure, (left, right) = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
left.plot(*x[:3_000].T, ".", markersize=1)
left.set(xlim=(-2.7, 2.7), ylim=(-2.7, 2.7), aspect="equal", title="data")
show(right, truth, "density")
plt.show()

# %% [markdown]
# ## Four flows
#
# All four change one coordinate at a time, by numbers that a network computes from the other one.
# They differ in what is done with these numbers.
#
# - **NICE** only shifts the coordinate. Areas stay as they are.
# - **RealNVP** shifts and scales it.
# - **MAF** does the same, with another kind of network and fewer layers.
# - **Neural spline flows** bend it, by a curve with knots.
#
# We measure how many nats each is away from the target: the mean of log p(x) - log flow(x) over new
# points. This is the Kullback-Leibler divergence from the target to the flow. First, how far is a
# normal distribution?

# %%
normal = tfd.MultivariateNormalTriL(
    x.mean(axis=0), np.linalg.cholesky(np.cov(x.T)).astype("float32")
)


def nats_from_target(log_prob):
    return float(np.mean(log_density(x_test) - log_prob))


print(f"A normal distribution is {nats_from_target(normal.log_prob(x_test)):.2f} nats away.")

# %%
BATCH_SIZE, EPOCHS, RATE = (200, 6, 2e-2) if SHORT else (250, 6, 3e-3)
hidden = {"num_layers": 2, "hidden_units": (32,)} if SHORT else {"hidden_units": (64, 64)}
flows = {
    "NICE": tfpf.flows.nice(2, seed=1, **hidden),
    "RealNVP": tfpf.flows.real_nvp(2, seed=1, **hidden),
    "MAF": tfpf.flows.maf(2, seed=1, **hidden),
    "spline": tfpf.flows.neural_spline(2, seed=1, **{"num_layers": 4, **hidden}),
}
if SHORT:
    flows = {"spline": flows["spline"]}

histories = {}
for name, flow in flows.items():
    model = tfpf.FlowModel(flow)
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * len(x) // BATCH_SIZE)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=5.0), jit_compile=not SHORT)
    histories[name] = model.fit(x, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0).history["loss"]
    nats = nats_from_target(flow.log_prob(x_test))
    figures[f"{name}, nats from the target"] = nats
    print(f"{name:8} {nats:.3f} nats away, {model.count_params():,} weights")

# %% [markdown]
# The pictures show what is hard for each. All start from a single normal distribution and have to
# spread it over five arms. Where a flow cannot tear it apart, bridges between the arms remain.

# %%
figure, panels = plt.subplots(1, len(flows) + 1, figsize=(11, 2.5), layout="constrained")
show(panels[0], truth, "target")
for (name, flow), panel in zip(flows.items(), panels[1:], strict=True):
    show(panel, flow.prob(grid).numpy(), f"{name}: {figures[f'{name}, nats from the target']:.2f}")
plt.show()

# %% [markdown]
# Where do the samples land that should not be there? We call a point *lost* where the target is so
# thin that it has only one point in a thousand there.

# %%
thin = np.quantile(log_density(draw(100_000, 3)), 0.001)
for name, flow in flows.items():
    lost = np.mean(log_density(flow.sample(10_000, seed=4).numpy()) < thin)
    figures[f"{name}, share of lost samples"] = lost
    print(f"{name:8} {lost:.3f} of its samples are lost")

# %% [markdown]
# The loss shows the way there. The dotted line is the entropy of the target.

# %%
figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
for name, history in histories.items():
    panel.plot(np.arange(1, EPOCHS + 1), history, ".-", label=name)
panel.axhline(entropy, color="k", linestyle=":", label="entropy")
panel.set(xlabel="epoch", ylabel="loss in nats")
panel.legend()
plt.show()

# %% [markdown]
# ## All recipes
#
# `tutorials/gallery.py` did the same for each recipe for vectors, with 2,500 steps, and 2,000 for
# `ffjord`, whose steps are slow. That takes too long for a notebook. So its results are in the
# repository and are read here: this cell needs a copy of the repository, installed by
# `pip install -e`.

# %%
folder = pathlib.Path(tfpf.__file__).resolve().parents[1] / "docs" / "images" / "gallery"
results = json.loads((folder / "gallery.json").read_text())
figures["recipes in the gallery"] = len(results)

print(
    "                               nats from              steps of  ms of CPU for a step of 256,"
)
print(
    "                           target, error    weights   training  1,000 densities, 1,000 samples"
)
for name, result in sorted(results.items(), key=lambda item: item[1]["nats_from_truth"]):
    print(
        f"{name:28} {result['nats_from_truth']:6.3f} {result['standard_error']:5.3f} "
        f"{result['num_weights']:10,} {result['num_steps']:10,} "
        f"{result['step_ms']:9.1f} {result['density_ms']:7.1f} "
        f"{result['sample_ms']:7.1f}"
    )

# %%
figure, panels = plt.subplots(4, 5, figsize=(8.8, 7.8), layout="constrained")
for panel in panels.flat:
    panel.axis("off")
names = ["truth", *results]
for name, panel in zip(names, panels.flat, strict=False):
    panel.imshow(plt.imread(folder / f"{name}.png"))
    nats = f"\n{results[name]['nats_from_truth']:.2f} nats" if name in results else ""
    panel.set_title(name.replace("_autoregressive", ", autoregressive") + nats, fontsize=9)
plt.show()

# %% [markdown]
# Near in nats and cheap in time is what we want, the lower left of this picture. The order is that
# of one density in the plane and of a short training. In many dimensions other things count, such
# as how samples are made. The page "Which flow?" of the documentation lists these.

# %%
figure, panel = plt.subplots(figsize=(7, 4), layout="constrained")
for name, result in results.items():
    place = result["density_ms"] + result["sample_ms"], result["nats_from_truth"]
    panel.plot(*place, "o", color="C0")
    panel.annotate(name, place, xytext=(4, 3), textcoords="offset points", fontsize=7)
panel.set(
    xscale="log",
    xlabel="ms of CPU for 1,000 densities and 1,000 samples",
    ylabel="nats from target",
)
panel.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())  # they would overlap
plt.show()

# %% [markdown]
# ## The figures again
#
# These are the numbers that would be off if something in a flow were broken.

# %%
nats = [result["nats_from_truth"] for result in results.values()]
figures["gallery, fewest nats from the target"] = min(nats)
figures["gallery, most nats from the target"] = max(nats)
for name, value in figures.items():
    print(f"{name}: {value:.4g}")

# %% [markdown]
# ## What to try
#
# - Add `tfpf.flows.planar(2, seed=1, num_layers=32)` to the four. It has 160 weights.
# - Give NICE 16 layers in place of 4. How many nats does it gain?
# - Replace the base: `base=tfpf.distributions.mixture_of_gaussians(...)` starts with several modes.
#   Do the bridges disappear?
# - Run `python tutorials/gallery.py NAME` with another `NUM_STEPS`. Who gains most from a longer
#   training?
