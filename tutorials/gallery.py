"""Fits every recipe for vectors to the pinwheel, for the tutorial `one_target_every_flow`.

    python tutorials/gallery.py            # those that `gallery.json` does not hold yet
    python tutorials/gallery.py maf iaf    # these, again

Each result goes at once into `docs/images/gallery/`: its numbers into `gallery.json`, a picture of
its density into `NAME.png`. A run that was interrupted goes on where it was; without `gallery.json`
it begins anew. Each recipe has its defaults but for the sizes in `RECIPES`, and the same number of
steps, `ffjord` fewer. Times are in CPU time of one core: run it on a quiet one.
"""

import argparse
import io
import json
import os
import pathlib
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib
import numpy as np
import PIL.Image
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions
FOLDER = pathlib.Path(__file__).resolve().parents[1] / "docs" / "images" / "gallery"
RESULTS = FOLDER / "gallery.json"
PIXELS, HALF_WIDTH = 120, 2.7
BATCH_SIZE, NUM_STEPS, RATE = 256, 2_500, 3e-3
NUM_TEST, NUM_TIMED = 4_000, 1_000

NETWORKS = {"hidden_units": (64, 64)}  # half of the default widths, in the plane
# Arguments apart from the defaults.
RECIPES = {
    "nice": NETWORKS,
    "real_nvp": NETWORKS,
    "maf": NETWORKS,
    "iaf": NETWORKS,
    "neural_spline": NETWORKS,
    "neural_spline_autoregressive": {"autoregressive": True, **NETWORKS},
    "flow_plus_plus": NETWORKS,
    "sos": NETWORKS,
    "umnn": NETWORKS,
    "naf": NETWORKS,
    "recurrent": {"num_layers": 5},  # as many as `maf`
    "bnaf": {},
    "iresnet": NETWORKS,
    "residual": NETWORKS,
    "ffjord": {"hidden_units": (64, 64, 64)},  # as in its paper
    "planar": {},
    "radial": {},
    "sylvester": {"num_layers": 16},  # as many as `planar` and `radial`
}
STEPS = {"ffjord": 2_000}
RATES = {"planar": 1e-2, "radial": 1e-2, "sylvester": 1e-2}  # of few weights


def main():
    """Fits the recipes that are named, or those that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    if unknown := set(names) - set(RECIPES):
        parser.error(f"NAME must be one of {', '.join(RECIPES)}. Received: {', '.join(unknown)}")
    FOLDER.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    save_picture("truth", np.exp(pinwheel_log_prob(grid())))
    for name in names or [name for name in RECIPES if name not in results]:
        result, density = fitted(name)
        results[name] = result
        save_picture(name, density)
        kept = {name: results[name] for name in RECIPES if name in results}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
        print(name, result, flush=True)


def twist(points, sign):
    """Turns each point by an angle that is its distance from the middle: areas stay."""
    angle = sign * 1.2 * np.linalg.norm(points, axis=-1)
    x, y = points[..., 0], points[..., 1]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


ARMS = np.arange(5) * 2 * np.pi / 5
MEANS = 1.37 * np.stack([np.cos(ARMS), np.sin(ARMS)], axis=-1)
# Of each arm: its directions along and across, times its widths.
FACTORS = np.stack(
    [
        np.stack([0.35 * np.cos(ARMS), -0.12 * np.sin(ARMS)], axis=-1),
        np.stack([0.35 * np.sin(ARMS), 0.12 * np.cos(ARMS)], axis=-1),
    ],
    axis=-2,
)


def draw(num_rows, seed):
    """Points of the pinwheel, `[N, 2]` in float32."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(5, size=num_rows)
    noise = rng.normal(size=[num_rows, 2, 1])
    return twist(MEANS[arm] + (FACTORS[arm] @ noise)[..., 0], 1.0).astype("float32")


def pinwheel_log_prob(x):
    """The exact log-density of points `[N, 2]`, in nats."""
    untwisted = twist(np.asarray(x, "float64"), -1.0)[:, np.newaxis, :, np.newaxis]
    u = np.linalg.solve(FACTORS, untwisted - MEANS[..., np.newaxis])[..., 0]
    arms = -0.5 * np.sum(u**2, axis=-1) - np.log(2 * np.pi * 0.35 * 0.12)
    return np.logaddexp.reduce(arms, axis=-1) - np.log(5)


def grid():
    """The points of the picture, from the upper left on, `[PIXELS^2, 2]`."""
    axis = np.linspace(-HALF_WIDTH, HALF_WIDTH, PIXELS)
    return np.stack(np.meshgrid(axis, axis[::-1]), axis=-1).reshape([-1, 2]).astype("float32")


def save_picture(name, density):
    """Writes the picture of a density, with 64 colors to keep it small."""
    top = np.exp(pinwheel_log_prob(grid())).max()
    shades = np.clip(density.reshape([PIXELS, PIXELS]) / top, 0.0, 1.0) ** 0.7
    colors = (matplotlib.colormaps["viridis"](shades)[..., :3] * 255).astype("uint8")
    picture = PIL.Image.fromarray(colors).quantize(64, dither=PIL.Image.Dither.NONE)
    file = io.BytesIO()
    picture.save(file, "png", optimize=True)
    (FOLDER / f"{name}.png").write_bytes(file.getvalue())


def fitted(name):
    """Trains a recipe; returns its numbers and its density on the grid."""
    flow = getattr(tfpf.flows, name.removesuffix("_autoregressive"))(2, seed=1, **RECIPES[name])
    model = tfpf.FlowModel(flow)
    num_steps = STEPS.get(name, NUM_STEPS)
    rate = keras.optimizers.schedules.CosineDecay(RATES.get(name, RATE), num_steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=5.0))
    x = draw(num_steps * BATCH_SIZE, seed=1)
    start = time.process_time()
    model.fit(x[:BATCH_SIZE], batch_size=BATCH_SIZE, verbose=0)
    first = time.process_time() - start
    start = time.process_time()
    model.fit(x[BATCH_SIZE:], batch_size=BATCH_SIZE, verbose=0)
    step = (time.process_time() - start) / (num_steps - 1)

    x_test = draw(NUM_TEST, seed=2)
    log_prob, density_seconds = density_of(flow)
    found = log_prob(x_test)
    result = {
        "nats_from_truth": float(np.mean(pinwheel_log_prob(x_test) - found)),
        "standard_error": float(np.std(pinwheel_log_prob(x_test) - found) / np.sqrt(NUM_TEST)),
        "num_weights": sum(int(np.prod(v.shape)) for v in flow.trainable_variables),
        "arguments": RECIPES[name],
        "num_steps": num_steps,
        "learning_rate": RATES.get(name, RATE),
        "first_step_s": round(first, 1),
        "step_ms": round(1e3 * step, 2),
        "density_ms": round(1e3 * density_seconds, 2),
        "sample_ms": round(1e3 * sample_seconds(flow), 2),
    }
    return result, np.exp(log_prob(grid()))


def density_of(flow):
    """A function for log-densities of any number of points, and seconds for `NUM_TIMED` of them."""
    program = tf.function(flow.log_prob, jit_compile=True, autograph=False)

    def log_prob(x):
        rows = -(-len(x) // NUM_TIMED) * NUM_TIMED
        padded = np.concatenate([x, np.zeros([rows - len(x), 2], "float32")])
        parts = [program(tf.constant(part)) for part in np.split(padded, rows // NUM_TIMED)]
        return np.concatenate(parts)[: len(x)].astype("float64")

    return log_prob, seconds_of(lambda: log_prob(draw(NUM_TIMED, seed=3)))


def sample_seconds(flow):
    """Seconds for `NUM_TIMED` samples."""
    program = tf.function(
        lambda seed: flow.sample(NUM_TIMED, seed=seed), jit_compile=True, autograph=False
    )
    return seconds_of(lambda: program(tf.constant([1, 2])).numpy())


def seconds_of(function, repeats=10):
    """CPU seconds of a call, after a first one."""
    function()
    start = time.process_time()
    for _ in range(repeats):
        function()
    return (time.process_time() - start) / repeats


if __name__ == "__main__":
    main()
