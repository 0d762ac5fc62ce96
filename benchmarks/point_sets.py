"""PointFlow on synthetic sets of points, compared with models that know less about a set.

`taskset -c 0 nice python benchmarks/point_sets.py` trains `pointflow` on circles, squares and
crosses of random size and place, for about ten minutes on one core. It prints the bound per point
of fresh sets beside two baselines: the normal that fits each set best, and a spline flow of the
points of all sets together. It writes `point_sets.json`, with all settings, and `point_sets.png`,
with real sets, reconstructions of them, and samples (see `--output`).
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from matplotlib.figure import Figure

import tfp_flows as tfpf

# The nats per point by which the bound must exceed each baseline; set before the first run.
MARGIN = 0.5
NUM_POINTS = 48
NOISE = 0.05
KINDS = ("circle", "square", "cross")
SETTINGS = {
    "latent_size": 6,
    "hidden_units": (64, 64),
    "prior_units": (32, 32),
    "point_units": (64, 64),
    "set_units": (64,),
}


def outline(rng, kind, size):
    """Points on a shape that fills [-1, 1] x [-1, 1], `[*size, 2]`."""
    along = rng.uniform(-1.0, 1.0, size=size)
    if kind == "circle":
        return np.stack([np.cos(np.pi * along), np.sin(np.pi * along)], axis=-1)
    across = np.zeros(size) if kind == "cross" else np.where(rng.uniform(size=size) < 0.5, 1, -1)
    is_upright = rng.uniform(size=size) < 0.5
    return np.stack([np.where(is_upright, across, along), np.where(is_upright, along, across)], -1)


def draw_sets(num_sets, seed):
    """Equally many sets of each kind, of random size and place: `[num_sets, NUM_POINTS, 2]`."""
    rng = np.random.default_rng(seed)
    x = np.stack([outline(rng, KINDS[i % 3], [NUM_POINTS]) for i in range(num_sets)])
    x *= rng.uniform(0.5, 1.2, size=[num_sets, 1, 1])
    x += rng.normal(scale=0.3, size=[num_sets, 1, 2])
    return (x + rng.normal(scale=NOISE, size=x.shape)).astype("float32")


def log_density_of_fitted_normals(x):
    """Mean log-density of a point under the maximum-likelihood normal of its own set."""
    centred = x - x.mean(axis=1, keepdims=True)
    covariance = np.einsum("nmi,nmj->nij", centred, centred) / x.shape[1]
    return float(np.mean(-0.5 * np.linalg.slogdet(covariance)[1] - np.log(2.0 * np.pi) - 1.0))


def log_density_of_pooled_flow(x, test, seed, epochs):
    """Mean log-density of a point under a spline flow that does not know its set."""
    model = tfpf.FlowModel(tfpf.flows.neural_spline(2, num_layers=4, seed=seed))
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit(x.reshape(-1, 2), batch_size=1024, epochs=epochs, verbose=0)
    return -model.evaluate(test.reshape(-1, 2), batch_size=1024, verbose=0)


def train(x, arguments):
    """Fits with few fixed solver steps; returns the same flow with the default solver."""
    # The learning rate falls along half of a cosine.
    schedule = keras.optimizers.schedules.CosineDecay(arguments.learning_rate, arguments.steps)
    distribution = tfpf.flows.pointflow(
        2, solver="rk4", num_steps=4, seed=arguments.seed, **SETTINGS
    )
    model = tfpf.FlowModel(distribution)
    model.compile(keras.optimizers.Adam(schedule, clipnorm=100.0), jit_compile=True)
    dataset = tf.data.Dataset.from_tensor_slices(x)
    dataset = dataset.shuffle(len(x), seed=arguments.seed).repeat().batch(arguments.batch_size)
    steps = min(100, arguments.steps)
    history = model.fit(
        dataset, steps_per_epoch=steps, epochs=arguments.steps // steps, verbose=2
    ).history
    exact = tfpf.flows.pointflow(2, seed=arguments.seed, **SETTINGS)
    for variable, trained in zip(exact.variables, distribution.variables, strict=True):
        variable.assign(trained)
    return exact, [loss / NUM_POINTS for loss in history["loss"]]


def bound_per_point(distribution, test, num_samples):
    """Mean of the bound, and its standard error over sets, in nats per point."""

    @tf.function(autograph=False)
    def elbo(x):
        return distribution.elbo(x, num_samples=num_samples, seed=1)

    bounds = np.concatenate([elbo(part) for part in np.split(test, len(test) // 50)]) / NUM_POINTS
    return float(bounds.mean()), float(bounds.std() / np.sqrt(len(bounds)))


def picture(distribution, test, path, seed):
    """Draws real sets, reconstructions, and samples, one row each."""
    count = 9
    rows = {
        "real": test[:count],
        "reconstructed": distribution.reconstruct(test[:count], num_points=200, seed=seed),
        "sampled": distribution.sample(count, seed=seed, num_points=200),
    }
    figure = Figure(figsize=(count * 1.2, 3.9), layout="constrained")
    panels = figure.subplots(3, count, sharex=True, sharey=True)
    for line, (name, sets) in zip(panels, rows.items(), strict=True):
        line[0].set_ylabel(name)
        for panel, points in zip(line, np.asarray(sets), strict=True):
            panel.scatter(points[:, 0], points[:, 1], s=2, color="black", linewidths=0)
            panel.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), xticks=[], yticks=[], aspect="equal")
    figure.savefig(path, dpi=100)


def main(arguments=None):
    """Trains, compares, and draws."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2_000, help="a multiple of 100")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--num-sets", type=int, default=6_000)
    parser.add_argument("--num-test", type=int, default=600, help="a multiple of 50")
    parser.add_argument("--num-samples", type=int, default=4, help="latents of each set")
    parser.add_argument("--pooled-epochs", type=int, default=3, help="of the spline flow")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("point_sets"))
    arguments = parser.parse_args(arguments)
    for name, unit in (("steps", 100), ("num_test", 50)):
        value = getattr(arguments, name)
        if value < 1 or value % unit:
            option = f"--{name.replace('_', '-')}"
            parser.error(f"{option} must be a positive multiple of {unit}. Received: {value}")
    keras.utils.set_random_seed(arguments.seed)
    x, test = draw_sets(arguments.num_sets, 0), draw_sets(arguments.num_test, 1)

    start = time.process_time()
    distribution, history = train(x, arguments)
    seconds = time.process_time() - start
    bound, error = bound_per_point(distribution, test, arguments.num_samples)
    baselines = {
        "normal fitted to each set": log_density_of_fitted_normals(test),
        "spline flow of all points": log_density_of_pooled_flow(
            x, test, arguments.seed, arguments.pooled_epochs
        ),
    }
    picture(distribution, test, arguments.output.with_suffix(".png"), arguments.seed)
    results = {
        "elbo_per_point": bound,
        "standard_error": error,
        "baselines": baselines,
        "margin": MARGIN,
        "cpu_seconds_of_training": round(seconds, 1),
        "num_weights": int(sum(np.prod(v.shape) for v in distribution.trainable_variables)),
        "settings": {
            **{k: v for k, v in vars(arguments).items() if k != "output"},
            **SETTINGS,
            "num_points": NUM_POINTS,
            "noise": NOISE,
        },
        "versions": {m.__name__: m.__version__ for m in (tf, tfp, keras, np)},
        "history": history,
    }
    arguments.output.with_suffix(".json").write_text(json.dumps(results, indent=1))
    print(f"bound: {bound:.3f} +- {error:.3f} nats per point, {seconds:.0f} CPU s of training")
    for name, value in baselines.items():
        reached = "reached" if bound >= value + MARGIN else "missed"
        print(f"{name}: {value:.3f}; a margin of {MARGIN} {reached}, {bound - value:.3f}")


if __name__ == "__main__":
    main()
