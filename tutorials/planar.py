# %% [markdown]
# # Four energies, and planar flows that learn them
#
# The figure of the paper that brought normalizing flows to variational inference (Rezende and
# Mohamed, 2015, arXiv 1505.05770, table 1 and figure 3): four densities p(z) = exp(-U(z)) / Z in
# the plane, known up to Z, and fits of 2, 8 and 32 planar layers by reverse KL. The ELBO of a fit
# is at most log Z, and falls short of it by the divergence KL(q || p). In the plane log Z follows
# from a sum over a grid, so that the gap can be printed. Run it with `python tutorials/planar.py`;
# it leaves `planar.png` in the current folder.

# %%
"""Fit planar flows to the four energies of Rezende and Mohamed (2015) by reverse KL."""

import argparse
import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_flows as tfpf

tfb = tfp.bijectors
tfd = tfp.distributions

# %% [markdown]
# ## Settings

# %%
NUM_SAMPLES = 256
LEARNING_RATE = 0.01
SEED = 1
FULL = {"energies": ("U1", "U2", "U3", "U4"), "num_layers": (2, 8, 32), "num_steps": 6_000}
SHORT = {"energies": ("U1", "U2"), "num_layers": (2,), "num_steps": 200}

# %% [markdown]
# ## The energies
#
# U2, U3 and U4 of the paper go on without end along the first axis, so that Z is infinite. The
# paper draws them for |z_1| <= 4; a wall holds them there.


# %%
def wave(z):
    """w_1, the sine about which three of the energies wind."""
    return tf.sin(0.5 * np.pi * z[..., 0])


def wall(z):
    """Grows outside of |z_1| <= 4."""
    return 0.5 * tf.square(tf.nn.relu(tf.abs(z[..., 0]) - 4.0) / 0.2)


def log_bumps(first, second):
    """log(exp(-a^2 / 2) + exp(-b^2 / 2))."""
    return tf.reduce_logsumexp(-0.5 * tf.square(tf.stack([first, second], axis=-1)), axis=-1)


def ring(z):
    """U1: two bumps on a ring."""
    radius = tf.norm(z, axis=-1)
    bumps = log_bumps((z[..., 0] - 2.0) / 0.6, (z[..., 0] + 2.0) / 0.6)
    return 0.5 * tf.square((radius - 2.0) / 0.4) - bumps


def sine(z):
    """U2: one wave."""
    return 0.5 * tf.square((z[..., 1] - wave(z)) / 0.4) + wall(z)


def split(z):
    """U3: a wave that parts in two and joins again."""
    distance = z[..., 1] - wave(z)
    bump = 3.0 * tf.exp(-0.5 * tf.square((z[..., 0] - 1.0) / 0.6))
    return wall(z) - log_bumps(distance / 0.35, (distance + bump) / 0.35)


def branch(z):
    """U4: a wave with a branch."""
    distance = z[..., 1] - wave(z)
    step = 3.0 * tf.sigmoid((z[..., 0] - 1.0) / 0.3)
    return wall(z) - log_bumps(distance / 0.4, (distance + step) / 0.35)


ENERGIES = {"U1": ring, "U2": sine, "U3": split, "U4": branch}


def log_normalizer(energy, half_width=8.0, num_points=1601):
    """log Z, by a sum over a grid; the densities are smooth and end far within it."""
    axis = np.linspace(-half_width, half_width, num_points)
    z = tf.constant(np.stack(np.meshgrid(axis, axis), axis=-1))
    area = (axis[1] - axis[0]) ** 2
    return float(tf.reduce_logsumexp(-energy(z))) + np.log(area)


# %% [markdown]
# ## The fit
#
# As in the paper the energy is annealed: it is multiplied by a factor that grows to one over the
# first half of the training, so that the flow sees all of the plane before it settles.


# %%
class Annealing(keras.callbacks.Callback):
    """Sets the factor from the fraction of epochs that are done."""

    def __init__(self, factor, num_epochs):
        super().__init__()
        self.factor, self.num_epochs = factor, num_epochs

    def on_epoch_begin(self, epoch, logs=None):
        """Linear from 0.1 to 1 over the first half."""
        del logs
        self.factor.assign(min(1.0, 0.1 + 1.8 * epoch / self.num_epochs))


def fit(energy, num_layers, num_steps, num_epochs=100):
    """A planar flow over a normal base of learned place and widths, and its ELBO in nats."""
    base = tfd.MultivariateNormalDiag(
        tf.Variable(tf.zeros(2)), tfp.util.TransformedVariable(tf.fill([2], 2.0), tfb.Softplus())
    )
    flow = tfpf.flows.planar(2, num_layers=num_layers, base=base, seed=SEED)
    factor = tf.Variable(1.0, trainable=False)
    model = tfpf.VariationalModel(flow, lambda z: -factor * energy(z), NUM_SAMPLES, seed=SEED)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, num_steps, alpha=0.01)
    model.compile(keras.optimizers.Adam(rate, clipnorm=10.0), jit_compile=True)
    steps = num_steps // num_epochs
    callback = Annealing(factor, num_epochs)
    model.fit(steps_per_epoch=steps, epochs=num_epochs, callbacks=[callback], verbose=0)
    return flow, model.evaluate(steps=200, verbose=0)


# %% [markdown]
# ## The picture
#
# Left the density itself, then the fits. The density of a fit at given points takes a root search
# in each layer, which is the slow direction of planar flows.


# %%
def draw(densities, path, half_width=5.0, num_points=200):
    """Writes the picture: a row for each energy, of `(title, log-density)` pairs."""
    axis = np.linspace(-half_width, half_width, num_points, dtype="float32")
    z = tf.constant(np.stack(np.meshgrid(axis, axis), axis=-1))
    num_rows, num_columns = len(densities), len(densities[0])
    figure = Figure(figsize=(3 * num_columns, 3 * num_rows), layout="constrained")
    all_axes = figure.subplots(num_rows, num_columns, squeeze=False)
    for row, axes in zip(densities, all_axes, strict=True):
        for (title, log_density), panel in zip(row, axes, strict=True):
            panel.imshow(
                np.exp(log_density(z)), origin="lower", extent=[-half_width, half_width] * 2
            )
            panel.set_title(title, fontsize=9)
            panel.axis("off")
    figure.savefig(path, dpi=80)


# %% [markdown]
# ## Run


# %%
def main(arguments=None):
    """Fits, prints the gaps, and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a short run that shows it works")
    settings = SHORT if parser.parse_args(arguments).short else FULL
    start = time.perf_counter()

    print("energy  layers    ELBO   log Z     gap  [nats]", flush=True)
    densities = []
    for name in settings["energies"]:
        energy = ENERGIES[name]
        log_z = log_normalizer(energy)
        row = [(f"{name}: {energy.__doc__[4:-1]}", lambda z, u=energy: -u(z))]
        for num_layers in settings["num_layers"]:
            flow, elbo = fit(energy, num_layers, settings["num_steps"])
            gap = log_z - elbo
            print(f"{name:6}  {num_layers:6}  {elbo:6.3f}  {log_z:6.3f}  {gap:6.3f}", flush=True)
            row.append((f"{num_layers} layers, {gap:.2f} nats short", flow.log_prob))
        densities.append(row)
    draw(densities, "planar.png")
    print(f"Wrote planar.png. {time.perf_counter() - start:.0f} s in all.")


if __name__ == "__main__":
    main([] if "ipykernel" in sys.modules else None)
