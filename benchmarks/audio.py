"""WaveGlow and Parallel WaveNet on synthetic chirps, at a size that one core trains in minutes.

`python benchmarks/audio.py` makes a corpus of noisy chirps with their spectrograms, and

- fits `waveglow` by maximum likelihood, with and without the spectrogram as context, and compares
  its log-density of held-out series with that of normal distributions fitted to the same data: of
  independent steps, of all steps together, and of all steps given the spectrogram;
- fits `wavenet`, the autoregressive teacher, given the spectrogram, and distills it into
  `parallel_wavenet`, the student, by the reverse KL of the student's own samples. It reports the KL
  before and after, on held-out spectrograms, with its standard error.

It prints each figure of `THRESHOLDS` and writes `audio.json`. `--minutes` limits each of the four
trainings by the CPU time of the process.
"""

import argparse
import json
import math
import os
import pathlib
import platform
import time

import one_core

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.update(one_core.ONE_THREAD)

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

STEPS = 128
HOP = 16
BINS = 16
NOISE = 0.2
NUM_TRAIN, NUM_TEST = 20_000, 2_000
CONTEXT = (STEPS // HOP, BINS)
SERIES = (STEPS, 1)

# Set before the first training; in nats per step, apart from the ratios. Fitted normals have -1.425
# (independent steps), -0.733 (all steps) and -0.736 (given the spectrogram). The noise alone has
# -0.080, which no density can exceed. A normal cannot know the phase of a chirp.
THRESHOLDS = {
    "waveglow over independent": 0.80,
    "waveglow over multivariate": 0.15,
    "waveglow given the spectrogram over multivariate given it": 0.25,
    # KL(student || teacher) divided by that before training, and by that of the normal given the
    # spectrogram. The latter is about one for a student that only learns second moments.
    "KL after to before": 0.10,
    "KL after to that of the normal": 0.50,
}


def chirps(count, seed):
    """Series `[N, T, 1]` of unit variance, their log-spectrograms, and the noise per step."""
    rng = np.random.default_rng(seed)
    start, end = rng.uniform(0.02, 0.2, size=[2, count, 1])  # cycles per step
    amplitude = rng.uniform(0.5, 1.5, size=[count, 1])
    phase = rng.uniform(0.0, 2.0 * math.pi, size=[count, 1])
    t = np.arange(STEPS)
    cycles = start * t + 0.5 * (end - start) / STEPS * t**2
    x = amplitude * np.sin(2.0 * math.pi * cycles + phase)
    x += NOISE * rng.normal(size=x.shape)
    scale = math.sqrt((0.5**2 + 0.5 * 1.5 + 1.5**2) / 6 + NOISE**2)  # E a^2 / 2 and the noise
    x /= scale
    padded = np.pad(x, [(0, 0), (HOP // 2, HOP // 2)])
    frames = [padded[:, i : i + 2 * HOP] for i in range(0, STEPS, HOP)]
    window = np.hanning(2 * HOP)
    magnitudes = np.abs(np.fft.rfft(np.stack(frames, axis=1) * window))[..., :BINS]
    spectrogram = np.log(magnitudes + 0.1)
    return x[..., np.newaxis].astype("float32"), spectrogram.astype("float32"), NOISE / scale


def gaussians(x, context, x_test, context_test):
    """Mean log-densities of held-out series under fitted normals; mean and factor of the last."""
    x, x_test = x[..., 0].astype("float64"), x_test[..., 0].astype("float64")

    def nats(residuals, train_residuals, full):
        covariance = train_residuals.T @ train_residuals / len(train_residuals)
        if not full:
            covariance = np.diag(np.diag(covariance))
        factor = np.linalg.cholesky(covariance)
        white = np.linalg.solve(factor, residuals.T)
        each = -0.5 * np.sum(white**2, axis=0) - 0.5 * STEPS * math.log(2.0 * math.pi)
        return float(np.mean(each) - np.sum(np.log(np.diag(factor)))), factor

    mean = x.mean(axis=0)
    flat, flat_test = (
        np.concatenate([c.reshape(len(c), -1), np.ones([len(c), 1])], axis=1).astype("float64")
        for c in (context, context_test)
    )
    weights = np.linalg.lstsq(flat, x, rcond=None)[0]
    given, factor = nats(x_test - flat_test @ weights, x - flat @ weights, True)
    return {
        "independent": nats(x_test - mean, x - mean, False)[0],
        "multivariate": nats(x_test - mean, x - mean, True)[0],
        "multivariate given the spectrogram": given,
    }, (flat_test @ weights, factor)


class Clock(keras.callbacks.Callback):
    """Sets the learning rate along half of a cosine, and stops when the CPU time is over.

    Time counts from the end of the first step, which compiles.
    """

    def __init__(self, seconds, learning_rate=2e-3):
        super().__init__()
        self.limit, self.learning_rate = seconds, learning_rate
        self.steps, self.start = 0, None

    def rate(self):
        """The learning rate of the next step."""
        fraction = min(1.0, self.seconds() / self.limit)
        return self.learning_rate * max(0.5 * (1.0 + math.cos(math.pi * fraction)), 1e-3)

    def seconds(self):
        """The CPU time so far."""
        return 0.0 if self.start is None else time.process_time() - self.start

    def is_over(self):
        """Counts a step; returns whether it was the last one."""
        self.steps += 1
        if self.start is None:
            self.start = time.process_time()
        return self.seconds() >= self.limit

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the learning rate."""
        self.model.optimizer.learning_rate = self.rate()

    def on_train_batch_end(self, batch, logs=None):
        """Counts a step, and stops after the last one."""
        self.model.stop_training = self.is_over() or self.model.stop_training

    def figures(self):
        """Figures for the file of results."""
        seconds = self.seconds()
        each = 1e3 * seconds / max(1, self.steps - 1)
        return {"steps": self.steps, "seconds": round(seconds), "ms a step": round(each, 1)}


def adam():
    return keras.optimizers.Adam(global_clipnorm=5.0)


def fit(flow, train, test, seconds):
    """Fits by maximum likelihood; returns held-out log-density in nats per step, and figures."""
    keras.utils.set_random_seed(0)
    model = tfpf.FlowModel(flow)
    model.compile(adam(), jit_compile=True)
    clock = Clock(seconds)
    model.fit(*train, batch_size=128, epochs=10_000, verbose=0, callbacks=[clock])
    nats = -model.evaluate(*test, batch_size=500, verbose=0) / STEPS
    return nats, {"log-density": nats, "weights": model.count_params(), **clock.figures()}


def distil(student, teacher, context, seconds):
    """Minimizes the reverse KL of the student's own samples, each given another spectrogram."""
    variables, optimizer, clock = student.trainable_variables, adam(), Clock(seconds)
    optimizer.build(variables)

    @tf.function(jit_compile=True, autograph=False)
    def step(context, seed):
        with tf.GradientTape() as tape:
            x, log_q = tfpf.condition(student, context).experimental_sample_and_log_prob(seed=seed)
            kl = tf.reduce_mean(log_q - tfpf.condition(teacher, context).log_prob(x))
        optimizer.apply(tape.gradient(kl, variables), variables)
        return kl

    rng, is_over = np.random.default_rng(0), False
    while not is_over:
        optimizer.learning_rate = clock.rate()
        rows = rng.integers(len(context), size=64)
        kl = float(step(tf.constant(context[rows]), tf.constant([0, clock.steps])))
        if not math.isfinite(kl):
            raise FloatingPointError(f"The KL is {kl} in step {clock.steps}.")
        is_over = clock.is_over()
    return clock.figures()


def kl(teacher, context, x, log_q):
    """KL(q || teacher) in nats per step with its standard error, from one sample per context."""

    @tf.function(jit_compile=True, autograph=False)
    def log_prob(context, x):
        return tfpf.condition(teacher, context).log_prob(x)

    log_p = np.concatenate(
        [log_prob(context[i : i + 500], x[i : i + 500]) for i in range(0, len(x), 500)]
    )
    difference = (np.asarray(log_q) - log_p) / STEPS
    return float(difference.mean()), float(difference.std() / math.sqrt(len(difference)))


def kl_of_student(student, teacher, context):
    """The `kl` of the student."""
    sample = tf.function(
        lambda c, s: tfpf.condition(student, c).experimental_sample_and_log_prob(seed=s),
        jit_compile=True,
        autograph=False,
    )
    draws = [sample(context[i : i + 500], tf.constant([1, i])) for i in range(0, len(context), 500)]
    x, log_q = (np.concatenate(parts) for parts in zip(*draws, strict=True))
    return kl(teacher, context, x, log_q)


def kl_of_normal(mean, factor, teacher, context):
    """The `kl` of the normal given the spectrogram, `mean + factor e`."""
    e = np.random.default_rng(5).normal(size=mean.shape)
    x = (mean + e @ factor.T)[..., np.newaxis].astype("float32")
    log_q = -0.5 * np.sum(e**2, axis=1) - np.sum(np.log(np.diag(factor)))
    return kl(teacher, context, x, log_q - 0.5 * STEPS * math.log(2.0 * math.pi))


def milliseconds_of_samples(flow, context):
    """CPU time of drawing one series for each context, after compilation."""
    bound = tfpf.condition(flow, context)
    sample = tf.function(lambda s: bound.sample(seed=s), jit_compile=True, autograph=False)
    sample(tf.constant([0, 0])).numpy()
    start = time.process_time()
    for i in range(3):
        sample(tf.constant([0, i])).numpy()
    return round(1e3 * (time.process_time() - start) / 3, 1)


def verdicts(nats, normals, kls):
    """Each threshold with the measured figure, and whether it is met."""
    figures = {
        "waveglow over independent": nats["blind"] - normals["independent"],
        "waveglow over multivariate": nats["blind"] - normals["multivariate"],
        "waveglow given the spectrogram over multivariate given it": nats["given"]
        - normals["multivariate given the spectrogram"],
        "KL after to before": kls["after"][0] / kls["before"][0],
        "KL after to that of the normal": kls["after"][0] / kls["normal"][0],
    }
    lines = {}
    for name, figure in figures.items():
        met = figure <= THRESHOLDS[name] if name.startswith("KL") else figure >= THRESHOLDS[name]
        lines[name] = {"measured": round(figure, 4), "asked": THRESHOLDS[name], "met": bool(met)}
    return lines


def main():
    """Trains, judges, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.5, help="of each of four trainings")
    parser.add_argument("--core", type=int, default=one_core.default_core())
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("audio.json"))
    arguments = parser.parse_args()
    one_core.pin(arguments.core)
    seconds = 60.0 * arguments.minutes
    x, context, noise = chirps(NUM_TRAIN, seed=0)
    x_test, context_test, _ = chirps(NUM_TEST, seed=1)
    normals, (mean, factor) = gaussians(x, context, x_test, context_test)
    normals = {name: value / STEPS for name, value in normals.items()}
    bound = -0.5 * math.log(2.0 * math.pi * math.e * noise**2)
    print("Normals, nats a step:", normals, "the noise alone:", round(bound, 4), flush=True)

    small = {"factor": 8, "num_layers": 2, "hidden_channels": (32, 32, 32), "seed": 1}
    nats, results = {}, {"normals": normals, "noise": bound}
    flow = tfpf.flows.waveglow(SERIES, **small)
    nats["blind"], results["waveglow"] = fit(flow, (x,), (x_test,), seconds)
    print("waveglow:", results["waveglow"], flush=True)
    flow = tfpf.flows.waveglow(SERIES, context_size=CONTEXT, **small)
    train, test = (context, x), (context_test, x_test)
    nats["given"], results["waveglow, given"] = fit(flow, train, test, seconds)
    print("waveglow given the spectrogram:", results["waveglow, given"], flush=True)

    causal = {"context_size": CONTEXT, "hidden_channels": (24,) * 6, "seed": 1}
    teacher = tfpf.flows.wavenet(SERIES, **causal)
    _, results["teacher"] = fit(teacher, train, test, seconds)
    print("wavenet given the spectrogram, the teacher:", results["teacher"], flush=True)
    student = tfpf.flows.parallel_wavenet(SERIES, num_layers=2, **causal)
    kls = {
        "normal": kl_of_normal(mean, factor, teacher, context_test),
        "before": kl_of_student(student, teacher, context_test),
    }
    results["student"] = distil(student, teacher, context, seconds)
    kls["after"] = kl_of_student(student, teacher, context_test)
    results["KL to the teacher, with its standard error"] = kls
    print("KL(. || teacher), nats a step:", kls, results["student"], flush=True)
    results["ms of 100 samples"] = {
        "teacher": milliseconds_of_samples(teacher, context_test[:100]),
        "student": milliseconds_of_samples(student, context_test[:100]),
    }
    results["thresholds"] = verdicts(nats, normals, kls)
    results["settings"] = {"minutes": arguments.minutes, "steps": STEPS, "context": CONTEXT}
    results["versions"] = {m.__name__: m.__version__ for m in (tf, tfp, keras, np)}
    results["machine"] = f"{platform.machine()}, one of {os.cpu_count()} cores"
    arguments.output.write_text(json.dumps(results, indent=1))
    print("100 samples, ms:", results["ms of 100 samples"])
    for name, verdict in results["thresholds"].items():
        print(
            f"{name}: {verdict['measured']} ({'met' if verdict['met'] else 'missed'}: "
            f"{verdict['asked']})"
        )
    print(f"Wrote {arguments.output}.")


if __name__ == "__main__":
    main()
