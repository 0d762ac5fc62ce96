"""How close each recipe comes to densities whose entropy is known, in nats.

`python benchmarks/fitting.py` fits every recipe to two synthetic densities p by maximum likelihood
and prints the table of KL(p || q) = E log p - E log q, estimated on fresh points, with its
standard error. It writes `fitting.json` to the current folder. Recipes that are already in that
file are not fitted again, so that an interrupted run continues. `--recipes` and `--densities`
choose what is fitted.
"""

import argparse
import json
import math
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions
F = tfpf.flows

THRESHOLD = 0.05  # nats, between the cross-entropy and the entropy
NUM_TRAIN = 200_000
NUM_TEST = 50_000
BATCH_SIZE = 512
RESULTS = pathlib.Path("fitting.json")


def eight_gaussians():
    """Eight normals of standard deviation 0.4 on a circle of radius 2, in two dimensions."""
    angles = np.arange(8) * math.pi / 4
    means = 2.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=np.zeros(8, "float32")),
        tfd.MultivariateNormalDiag(means.astype("float32"), tf.fill([8, 2], 0.4)),
    )


def correlated_mixture():
    """Three normals with correlations of 0.8, -0.6 and 0 between neighbors, in four dimensions."""
    distance = np.abs(np.arange(4)[:, np.newaxis] - np.arange(4))
    correlations = np.array([0.8, -0.6, 0.0])[:, np.newaxis, np.newaxis]
    scales = np.linalg.cholesky(0.5 * correlations**distance)
    means = np.array([[1.5, 1.5, 0.0, 0.0], [-1.5, 0.0, 1.5, 0.0], [0.0, -1.5, -1.5, 1.0]])
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.array([0.4, 0.35, 0.25], "float32")),
        tfd.MultivariateNormalTriL(means.astype("float32"), scales.astype("float32")),
    )


DENSITIES = {"eight_gaussians": eight_gaussians, "correlated_mixture": correlated_mixture}

# Maker, learning rate, and steps. With these widths two cores train in about a minute.
WIDE = {"hidden_units": (64, 64), "seed": 1}
RECIPES = {
    # It keeps volume, so it needs depth and smooth networks to split a disc into eight.
    "nice": (lambda d: F.nice(d, num_layers=32, activation="silu", **WIDE), 2e-3, 20_000),
    "real_nvp": (lambda d: F.real_nvp(d, num_layers=8, **WIDE), 2e-3, 5000),
    "maf": (lambda d: F.maf(d, num_layers=8, **WIDE), 2e-3, 5000),
    "iaf": (lambda d: F.iaf(d, num_layers=8, **WIDE), 2e-3, 5000),
    # Its log-det jumps at knots, and some runs with couplings fail (0.05 to 1.2).
    "neural_spline, linear, autoregressive": (
        lambda d: F.neural_spline(
            d, num_layers=2, num_bins=32, bound=4.0, spline="linear", autoregressive=True, **WIDE
        ),
        1e-3,
        4000,
    ),
    **{
        f"neural_spline, {spline}": (
            lambda d, spline=spline: F.neural_spline(
                d, num_layers=4, num_bins=16, bound=4.0, spline=spline, **WIDE
            ),
            3e-3,
            3000,
        )
        for spline in ("quadratic", "cubic", "rational_quadratic")
    },
    "neural_spline, autoregressive": (
        lambda d: F.neural_spline(
            d, num_layers=2, num_bins=16, bound=4.0, autoregressive=True, **WIDE
        ),
        3e-3,
        3000,
    ),
    "flow_plus_plus": (lambda d: F.flow_plus_plus(d, num_layers=4, **WIDE), 3e-3, 3000),
    "sos": (lambda d: F.sos(d, num_layers=3, bound=5.0, **WIDE), 3e-3, 3000),
    "umnn": (lambda d: F.umnn(d, num_layers=2, **WIDE), 3e-3, 3000),
    "naf": (lambda d: F.naf(d, num_layers=2, **WIDE), 3e-3, 3000),
    "naf, dense": (lambda d: F.naf(d, num_layers=2, dense=True, **WIDE), 3e-3, 3000),
    "bnaf": (lambda d: F.bnaf(d, num_layers=2, hidden_units=(20, 20), seed=1), 5e-3, 5000),
    "recurrent": (
        lambda d: F.recurrent(
            d,
            transformer=tfpf.bijectors.RationalQuadraticSpline,
            transformer_kwargs={"num_bins": 16, "bound": 4.0},
            seed=1,
        ),
        5e-3,
        3000,
    ),
}


def fit(flow, density, learning_rate, num_steps):
    """Fits by maximum likelihood; returns KL(p || q), its standard error and the seconds."""
    keras.utils.set_random_seed(0)
    x = density.sample(NUM_TRAIN, seed=tf.constant([0, 1])).numpy()
    epochs = math.ceil(num_steps * BATCH_SIZE / NUM_TRAIN)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
    model = tfpf.FlowModel(flow)
    model.compile(optimizer=keras.optimizers.Adam(schedule, global_clipnorm=5.0), jit_compile=True)
    start = time.time()
    model.fit(x, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    seconds = time.time() - start
    fresh = density.sample(NUM_TEST, seed=tf.constant([0, 2]))
    difference = density.log_prob(fresh).numpy() - model.predict(fresh, verbose=0)
    error = difference.std() / math.sqrt(NUM_TEST)
    return {
        "kl": float(difference.mean()),
        "standard_error": float(error),
        "entropy": float(-np.mean(density.log_prob(fresh))),
        "num_weights": int(sum(np.prod(v.shape) for v in flow.trainable_variables)),
        "num_steps": num_steps,
        "seconds": round(seconds),
    }


def table(results):
    """The results as a table in Markdown."""
    lines = [
        "| recipe | density | KL to the true density [nats] | weights | steps | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for key, r in results.items():
        recipe, density = key.split(" / ")
        kl = f"{r['kl']:.3f} ± {r['standard_error']:.3f}"
        lines.append(
            f"| {recipe} | {density} | {kl} | {r['num_weights']:,} | {r['num_steps']:,} "
            f"| {r['seconds']} |"
        )
    return "\n".join(lines)


def main():
    """Fits the chosen recipes that are not yet in the file of results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--densities", nargs="+", choices=DENSITIES, default=list(DENSITIES))
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for recipe in arguments.recipes:
        for name in arguments.densities:
            key = f"{recipe} / {name}"
            if key in results:
                continue
            density = DENSITIES[name]()
            make, learning_rate, num_steps = RECIPES[recipe]
            results[key] = fit(make(density.event_shape[0]), density, learning_rate, num_steps)
            RESULTS.write_text(json.dumps(results, indent=1))
            result = results[key]
            print(f"{key}: {result['kl']:.4f} nats, {result['seconds']} s", flush=True)
    print(table(results))
    missed = [key for key, result in results.items() if not result["kl"] <= THRESHOLD]
    print(f"Above {THRESHOLD} nats: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
