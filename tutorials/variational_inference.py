# %% [markdown]
# # Variational inference in a TFP model
#
# *About 1 minute on two cores.*
#
# A Bayesian model says how likely parameters are before there are data, and how likely data are
# given the parameters. Together they give the *posterior*: how likely the parameters are given the
# data. For most models the posterior has no formula.
#
# There are two common ways to it. *Markov chains* draw from the posterior, one draw after another.
# *Variational inference* fits a distribution to the posterior by optimization. Here that
# distribution is a flow. We do both for a model that is written in TensorFlow Probability (TFP),
# and compare.
#
# In the code, `SHORT` is for the tests. It is false here: read the value after `else`.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.integrate
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
tf.get_logger().setLevel("ERROR")  # no advice on speed, which matters little here

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## The data
#
# Eight schools coached their pupils for a test. Each school measured by how many points the
# coaching raised the results. The measurements are rough, and their errors are known (Rubin, 1981).

# %%
measured = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], "float32")
errors = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], "float32")
schools = list("ABCDEFGH")
figure, panel = plt.subplots(figsize=(6, 2.6), layout="constrained")
panel.errorbar(schools, measured, errors, fmt="o")
panel.set(xlabel="school", ylabel="points gained", title="measured, with one standard error")
plt.show()

# %% [markdown]
# Did the coaching help more in school A than in school C, or is all of this noise?
#
# ## The model
#
# The true effect of school i is $\mu + \tau z_i$. Here $\mu$ is the mean over all schools, $\tau$
# says how much schools differ, and $z_i$ is standard normal. A model in this form is called
# *non-centered*: the $z_i$ do not depend on $\tau$ before there are data, which makes the posterior
# easier to fit.


# %%
@tfd.JointDistributionCoroutineAutoBatched
def model():
    mu = yield tfd.Normal(0.0, 5.0, name="mu")
    tau = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
    z = yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="z")
    yield tfd.Independent(tfd.Normal(mu + tau * z, errors), 1, name="y")


# %% [markdown]
# `experimental_pin` fixes what we have seen. What is left is the posterior, up to a constant.

# %%
pinned = model.experimental_pin(y=measured)
print("latents:", *pinned.event_shape._fields)

# %% [markdown]
# ## A flow over the latents
#
# There are ten numbers: mu, tau and eight z. The number tau must be positive.
# `surrogate_posterior` makes a flow over ten numbers, splits its samples into the latents, and
# brings each latent into its support. The flow joins all latents, so it can learn how they depend
# on each other. The recipe is `iaf` unless you name another one; its samples are fast.

# %%
layers = {"num_layers": 1, "hidden_units": (8,)} if SHORT else {"num_layers": 3}
surrogate = tfpf.surrogate_posterior(pinned, seed=1, **layers)
draw = surrogate.sample(1_000, seed=2)
for name, value in draw._asdict().items():
    print(f"{name:3} {value.shape}, smallest {np.min(value):.3f}")

# %% [markdown]
# ## Training
#
# The loss needs no data set. `VariationalModel` draws samples from the flow q and raises the
# *evidence lower bound* (ELBO), the mean of log p(latents, data) - log q(latents). It is the log of
# the *evidence* p(data), minus the Kullback-Leibler divergence KL(q || posterior). So the ELBO is
# at most the log evidence, and reaches it when the flow is the posterior.

# %%
STEPS, EPOCHS, NUM_SAMPLES = (100, 2, 64) if SHORT else (4_000, 20, 128)


def fit(surrogate):
    trained = tfpf.VariationalModel(
        surrogate, pinned.unnormalized_log_prob, num_samples=NUM_SAMPLES, seed=1
    )
    rate = keras.optimizers.schedules.CosineDecay(4e-2 if SHORT else 5e-3, STEPS)
    trained.compile(keras.optimizers.Adam(rate, clipnorm=10.0), jit_compile=not SHORT)
    history = trained.fit(steps_per_epoch=STEPS // EPOCHS, epochs=EPOCHS, verbose=0)
    return history.history["elbo"], trained.evaluate(steps=10 if SHORT else 100, verbose=0)


history, elbo = fit(surrogate)
print(f"ELBO of the flow: {elbo:.3f} nats")

# %% [markdown]
# For comparison we fit independent normal distributions, one for each of the ten numbers. This is
# what is often meant by variational inference (*mean field*). `surrogate_posterior` takes any
# function that makes a distribution over D numbers.


# %%
def independent_normals(size, dtype):
    scale = tfp.util.TransformedVariable(tf.ones(size, dtype), tfb.Softplus())
    return tfd.MultivariateNormalDiag(tf.Variable(tf.zeros(size, dtype)), scale)


simple = tfpf.surrogate_posterior(pinned, independent_normals)
simple_history, simple_elbo = fit(simple)
print(f"ELBO of independent normals: {simple_elbo:.3f} nats")

# %% [markdown]
# ## How far is it from the posterior?
#
# In this model we can find out. Given $\tau$, all else is normal, so the density of the data has a
# formula. They are normal with the mean 0. The covariance of two schools is 25, the prior variance
# of $\mu$, which they share. On the diagonal, $\tau^2$ and the squared error are added to it. What
# is left is an integral over one number, $\log \tau$, and we sum over a fine grid.

# %%
log_tau = np.linspace(-12.0, 10.0, 2_001)
tau = np.exp(log_tau)
covariance = 25.0 + np.eye(8) * (tau[:, np.newaxis, np.newaxis] ** 2 + errors**2)
data_given_tau = tfd.MultivariateNormalTriL(np.zeros(8), np.linalg.cholesky(covariance))
weight = np.exp(
    data_given_tau.log_prob(measured.astype("float64"))
    + tfd.HalfCauchy(np.float64(0.0), 5.0).log_prob(tau)
    + log_tau  # d tau = tau d(log tau)
)
evidence = scipy.integrate.trapezoid(weight, log_tau)
exact_mean = scipy.integrate.trapezoid(weight * log_tau, log_tau) / evidence
figures["flow, nats from the posterior"] = np.log(evidence) - elbo
figures["independent normals, nats from the posterior"] = np.log(evidence) - simple_elbo
print(f"log evidence: {np.log(evidence):.3f} nats")
print(f"KL(flow || posterior)                = {np.log(evidence) - elbo:.3f} nats")
print(f"KL(independent normals || posterior) = {np.log(evidence) - simple_elbo:.3f} nats")

# %%
figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
steps = (np.arange(EPOCHS) + 1) * (STEPS // EPOCHS)
panel.plot(steps, history, label="flow")
panel.plot(steps, simple_history, label="independent normals")
panel.axhline(np.log(evidence), color="k", linestyle=":", label="log evidence")
panel.set(xlabel="step", ylabel="ELBO in nats", ylim=(np.log(evidence) - 0.5, None))
panel.legend()
plt.show()

# %% [markdown]
# ## Beside Markov chains
#
# The No-U-Turn sampler (NUTS) is the usual Markov chain for such models. TFP has it. It runs in
# the space without constraints, to which `TransformedTransitionKernel` brings it, and the size of
# its steps is adapted during the first of them. Four chains run at once.

# %%
CHAINS, DRAWS, BURN_IN = (2, 10, 10) if SHORT else (4, 1_500, 500)


@tf.function(jit_compile=not SHORT, autograph=False)
def run_chains(start):
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.NoUTurnSampler(
            pinned.unnormalized_log_prob, step_size=0.2, max_tree_depth=2 if SHORT else 7
        ),
        pinned.experimental_default_event_space_bijector(),
    )
    kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
        kernel, num_adaptation_steps=int(0.8 * BURN_IN), target_accept_prob=0.9
    )
    return tfp.mcmc.sample_chain(
        DRAWS, start, kernel=kernel, num_burnin_steps=BURN_IN, trace_fn=None, seed=[3, 4]
    )


chains = run_chains(pinned.sample_unpinned(CHAINS, seed=[1, 2]))

# %% [markdown]
# We compare what people ask for: mu, the logarithm of tau, and the effects of the schools. First,
# did the chains agree with each other? *R-hat* is close to one if they did.

# %%
NAMES = ["mu", "log tau", *(f"effect {school}" for school in schools)]


def quantities(draw):
    mu, tau = np.asarray(draw.mu)[..., np.newaxis], np.asarray(draw.tau)[..., np.newaxis]
    return np.concatenate([mu, np.log(tau), mu + tau * draw.z], axis=-1)


by_chain = quantities(chains)
figures["largest R-hat of NUTS"] = np.max(tfp.mcmc.potential_scale_reduction(by_chain))
print(f"The largest R-hat: {figures['largest R-hat of NUTS']:.3f}")

# %%
draws = {
    "NUTS": by_chain.reshape(-1, 10),
    "flow": quantities(surrogate.sample(20_000, seed=5)),
    "independent normals": quantities(simple.sample(20_000, seed=5)),
}
print("             mean (standard deviation)")
print("quantity  " + "".join(f"{name:>21}" for name in draws))
for k, name in enumerate(NAMES):
    columns = [values[:, k] for values in draws.values()]
    print(f"{name:10}" + "".join(f"{c.mean():13.2f} ({c.std():.2f}) " for c in columns))

# %% [markdown]
# Two numbers sum this up. How far are the means from those of NUTS, in standard deviations? And
# what are the ratios of the standard deviations?

# %%
center, spread = draws["NUTS"].mean(axis=0), draws["NUTS"].std(axis=0)
for name in ("flow", "independent normals"):
    shift = np.max(np.abs(draws[name].mean(axis=0) - center) / spread)
    ratio = draws[name].std(axis=0) / spread
    figures[f"{name}, largest shift of a mean"] = shift
    figures[f"{name}, smallest ratio of deviations"] = ratio.min()
    figures[f"{name}, largest ratio of deviations"] = ratio.max()
    print(
        f"{name}: means shifted by up to {shift:.3f} standard deviations, "
        f"deviations {ratio.min():.3f} to {ratio.max():.3f} times those of NUTS"
    )

# %% [markdown]
# The picture shows where they differ. If tau is small, all schools have nearly the same effect. If
# it is large, their effects spread. Independent normals cannot follow that. They leave out the
# smallest tau, where log tau has a long tail.

# %%
figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained", sharey=True)
for (name, values), panel in zip(draws.items(), panels, strict=True):
    panel.plot(values[:3_000, 2], values[:3_000, 1], ".", markersize=1.5)
    panel.set(title=name, xlabel="effect of school A", xlim=(-25, 50), ylim=(-4, 5))
panels[0].set_ylabel("log tau")
plt.show()

# %% [markdown]
# ## Without a comparison
#
# Usually there is neither an integral nor a long chain to compare with. The flow can then be
# checked by its own *importance weights*, posterior / q. If q were the posterior, all weights were
# equal. The shape k of their tail (Pareto-smoothed importance sampling, PSIS) says how well q
# covers the posterior: below 0.7 the weights can be trusted.
#
# `tfpf.diagnostics.importance` takes a distribution over vectors, so we go to the space without
# constraints. There the flow is `surrogate.distribution`, and the target gets the log-determinant
# of the step to the latents.


# %%
def check(surrogate):
    to_latents = surrogate.bijector

    def target(x):
        log_det = to_latents.forward_log_det_jacobian(x, event_ndims=1)
        return pinned.unnormalized_log_prob(to_latents.forward(x)) + log_det

    return tfpf.diagnostics.importance(surrogate.distribution, target, num_samples=8_000, seed=7)


weights = {"flow": check(surrogate), "independent normals": check(simple)}
for name, result in weights.items():
    figures[f"{name}, Pareto k"] = result.pareto_k
    print(f"{name}\n{result}")

# %% [markdown]
# The flow passes, and nearly all of its samples count. Independent normals pass, too, but with a
# third of their samples, and their log normalizer is too low by three times the error that is
# given. Weights see only what is drawn. The smallest tau is never drawn, so nobody misses it.
#
# Weighted means estimate those of the posterior. Here is the mean of log tau, beside the exact one
# from the grid above. The flow needs no correction. The mean of the normals is right as it is by
# luck, for their spread is far too small, and weights make it worse: they raise large tau, which is
# drawn, and cannot raise the smallest tau, which is not.

# %%
print(f"mean of log tau, exact: {exact_mean:.3f}")
for name, posterior in {"flow": surrogate, "independent normals": simple}.items():
    latents = posterior.bijector.forward(tf.constant(weights[name].samples))
    values, share = np.log(latents.tau), np.exp(weights[name].smoothed_log_weights)
    figures[f"{name}, error of the weighted mean"] = np.sum(share * values) - exact_mean
    print(f"  {name}: {values.mean():.3f} as it is, {np.sum(share * values):.3f} weighted")

# %% [markdown]
# ## The answer
#
# Now back to the schools. Samples answer any question. How probable is it that coaching helped more
# in school A than in school C? The measured effects were 28 and -3 points. The answer is not far
# from one half all the same: the errors are large, and the model moves all schools to their mean.

# %%
for name in ("NUTS", "flow"):
    better = np.mean(draws[name][:, 2] > draws[name][:, 4])
    print(f"{name}: school A is ahead of school C with probability {better:.2f}")
low, middle, high = np.quantile(draws["flow"][:, 2:], [0.1, 0.5, 0.9], axis=0)

figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
place = np.arange(8)
panel.errorbar(place - 0.1, measured, errors, fmt="o", color="0.7", label="measured")
panel.errorbar(
    place + 0.1, middle, [middle - low, high - middle], fmt="o", label="flow, middle 80%"
)
panel.set_xticks(place, schools)
panel.set(xlabel="school", ylabel="points gained")
panel.legend()
plt.show()

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
# - Write the model in its centered form: `theta = yield tfd.Sample(tfd.Normal(mu, tau), 8,
#   name="theta")`. How does the Pareto k of the flow change, and that of the independent normals?
# - Take `recipe=tfpf.flows.real_nvp` or `tfpf.flows.neural_spline`. Which one comes closer to the
#   log evidence in the same number of steps?
# - Train by `tfp.vi.fit_surrogate_posterior(pinned.unnormalized_log_prob, surrogate, ...)`, TFP's
#   own function. It takes the same surrogate.
# - Put a model of your own in the place of `model`. Latents have to be continuous.
