"""Draws `learning.png`, the picture of the front page: a flow learns two moons.

    python docs/images/learning.py

takes about a minute on two cores.
"""

import pathlib

import keras
import sklearn.datasets
from matplotlib.figure import Figure

import tfp_flows as tfpf

STEPS = (0, 100, 300, 3000)
BATCH_SIZE = 256
LIMITS = {"xlim": (-2.4, 2.4), "ylim": (-2.4, 2.4)}


def main():
    """Trains from one number of steps to the next, and draws samples at each."""
    keras.utils.set_random_seed(1)
    x, _ = sklearn.datasets.make_moons(100_000, noise=0.06, random_state=1)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
    model = tfpf.FlowModel(tfpf.flows.neural_spline(2, num_layers=4, hidden_units=(64,), seed=1))
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, STEPS[-1])
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=5.0))

    figure = Figure(figsize=(12.5, 2.7), layout="constrained")
    axes = figure.subplots(1, len(STEPS) + 1)
    done = 0
    for axis, steps in zip(axes, STEPS, strict=False):
        if steps > done:
            rows = x[done * BATCH_SIZE % 50_000 :][: (steps - done) * BATCH_SIZE]
            epochs = -(-(steps - done) * BATCH_SIZE // len(rows))
            model.fit(rows, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
            done = steps
        samples = model.distribution.sample(5000, seed=1).numpy()
        draw(axis, samples, f"{steps:,} steps" if steps else "before training", "C0")
    draw(axes[-1], x[:5000], "data", "C1")
    figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=110)


def draw(axis, points, title, color):
    """A cloud of points without ticks."""
    axis.scatter(*points.T, s=1.2, alpha=0.35, color=color, linewidths=0)
    axis.set(title=title, xticks=[], yticks=[], aspect="equal", **LIMITS)


if __name__ == "__main__":
    main()
