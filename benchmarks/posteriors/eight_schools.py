"""The posterior of eight schools: a surrogate of each form compared with long NUTS chains.

    python benchmarks/posteriors/eight_schools.py reference   # 4 x 10,000 draws of NUTS
    python benchmarks/posteriors/eight_schools.py noncentred centred

The first command writes `eight_schools_nuts.json` beside this file. The second reads it and fits
the surrogates. It prints how far their means are from those of the chains, in standard deviations
of the chains, the ratios of the standard deviations, and the Pareto k of the importance weights.

Model: Rubin (1981); Gelman et al. (2013), Bayesian Data Analysis, sec. 5.5.
"""

import json
import pathlib
import sys
import time

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfd = tfp.distributions
REFERENCE = pathlib.Path(__file__).with_name("eight_schools_nuts.json")
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], "float32")
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], "float32")
NAMES = ["mu", "log_tau", *(f"theta_{i}" for i in range(1, 9))]


@tfd.JointDistributionCoroutineAutoBatched
def noncentred():
    mu = yield tfd.Normal(0.0, 5.0, name="mu")
    tau = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
    z = yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="z")
    yield tfd.Independent(tfd.Normal(mu + tau * z, ERRORS), 1, name="y")


@tfd.JointDistributionCoroutineAutoBatched
def centred():
    mu = yield tfd.Normal(0.0, 5.0, name="mu")
    tau = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
    theta = yield tfd.Sample(tfd.Normal(mu, tau), 8, name="theta")
    yield tfd.Independent(tfd.Normal(theta, ERRORS), 1, name="y")


FORMS = {"noncentred": noncentred, "centred": centred}


def quantities(draws):
    """mu, log tau and the eight effects of each draw, `[N, 10]`."""
    mu, tau = draws.mu[..., np.newaxis], draws.tau[..., np.newaxis]
    theta = mu + tau * draws.z if hasattr(draws, "z") else draws.theta
    return np.concatenate([mu, np.log(tau), theta], axis=-1).reshape(-1, 10)


def reference():
    """Means and standard deviations of 4 x 10,000 draws of NUTS, in float64, and their R-hat."""

    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        mu = yield tfd.Normal(np.float64(0.0), 5.0, name="mu")
        tau = yield tfd.HalfCauchy(np.float64(0.0), 5.0, name="tau")
        z = yield tfd.Sample(tfd.Normal(np.float64(0.0), 1.0), 8, name="z")
        yield tfd.Independent(tfd.Normal(mu + tau * z, ERRORS.astype("float64")), 1, name="y")

    pinned = model.experimental_pin(y=EFFECTS.astype("float64"))
    constrain = pinned.experimental_default_event_space_bijector()
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.NoUTurnSampler(pinned.unnormalized_log_prob, step_size=np.float64(0.2)), constrain
    )
    kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
        kernel, num_adaptation_steps=800, target_accept_prob=np.float64(0.9)
    )
    start = pinned.sample_unpinned(4, seed=[1, 2])

    @tf.function(jit_compile=True, autograph=False)
    def run():
        return tfp.mcmc.sample_chain(
            10_000, start, kernel=kernel, num_burnin_steps=1_000, trace_fn=None, seed=[3, 4]
        )

    draws = tf.nest.map_structure(np.array, run())
    by_chain = quantities(draws).reshape(10_000, 4, 10)
    flat = by_chain.reshape(-1, 10)
    result = {
        "command": "python benchmarks/posteriors/eight_schools.py reference",
        "names": NAMES,
        "mean": flat.mean(0).tolist(),
        "stddev": flat.std(0).tolist(),
        "r_hat": tfp.mcmc.potential_scale_reduction(by_chain).numpy().tolist(),
        "ess": tfp.mcmc.effective_sample_size(by_chain, cross_chain_dims=1).numpy().tolist(),
    }
    REFERENCE.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def pareto_k(log_ratios):
    """The shape of the generalized Pareto distribution of the largest weights.

    Source: Zhang and Stephens (2009), as in Vehtari et al. (2024), arXiv:1507.02646.
    """
    n = len(log_ratios)
    size = int(min(0.2 * n, 3.0 * np.sqrt(n)))
    ordered = np.exp(np.sort(log_ratios) - np.max(log_ratios))
    x = ordered[-size:] - ordered[-size - 1]
    count = 30 + int(np.sqrt(size))
    j = np.arange(1, count + 1)
    b = 1.0 / x[-1] + (1.0 - np.sqrt(count / (j - 0.5))) / (3.0 * x[int(size / 4 + 0.5) - 1])
    k = np.mean(np.log1p(-b[:, np.newaxis] * x), axis=1)
    profile = size * (np.log(-b / k) - k - 1.0)
    weight = 1.0 / np.exp(profile - profile[:, np.newaxis]).sum(1)
    b = np.sum(b * weight)
    k = np.mean(np.log1p(-b * x))
    return (size * k + 5.0) / (size + 10.0)


def fit(form, num_steps):
    """Fits a surrogate; returns its quantities, Pareto k, seconds of a first step, and a rate."""
    pinned = FORMS[form].experimental_pin(y=EFFECTS)
    posterior = tfpf.surrogate_posterior(
        pinned, tfpf.flows.neural_spline, num_layers=6, hidden_units=(32, 32), seed=1
    )
    target = pinned.unnormalized_log_prob
    model = tfpf.VariationalModel(posterior, target, num_samples=256, seed=1)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, num_steps)
    model.compile(keras.optimizers.Adam(rate, clipnorm=10.0))
    # CPU time of this process, so that other load on the machine is not counted.
    start = time.process_time()
    model.fit(steps_per_epoch=1, verbose=0)
    first = time.process_time() - start
    start = time.process_time()
    history = model.fit(steps_per_epoch=num_steps // 10, epochs=10, verbose=2).history
    rate = num_steps / (time.process_time() - start)

    @tf.function(jit_compile=True, autograph=False)
    def draw(seed):
        z, log_q = posterior.experimental_sample_and_log_prob(5_000, seed=seed)
        return z, target(z) - log_q

    parts = [draw(tf.constant([5, i])) for i in range(8)]
    values = np.concatenate([quantities(tf.nest.map_structure(np.array, z)) for z, _ in parts])
    k = pareto_k(np.concatenate([log_ratios for _, log_ratios in parts]).astype("float64"))
    return values, k, first, rate, history["elbo"][-1]


def main(forms, num_steps=10_000):
    """Prints a table for each form."""
    nuts = json.loads(REFERENCE.read_text())
    mean, stddev = np.array(nuts["mean"]), np.array(nuts["stddev"])
    for form in forms:
        values, k, first, rate, elbo = fit(form, num_steps)
        print(f"\n{form}: ELBO {elbo:.3f} nats, Pareto k {k:.2f}")
        print(f"CPU time: {first:.1f} s for the first step, then {rate:.0f} steps a second")
        print("quantity    NUTS            surrogate       shift   ratio of spreads")
        for i, name in enumerate(NAMES):
            at, spread = values[:, i].mean(), values[:, i].std()
            print(
                f"{name:8} {mean[i]:7.3f} ({stddev[i]:.3f})  {at:7.3f} ({spread:.3f})  "
                f"{(at - mean[i]) / stddev[i]:+.3f}  {spread / stddev[i]:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:] == ["reference"]:
        reference()
    else:
        main(sys.argv[1:] or list(FORMS))
