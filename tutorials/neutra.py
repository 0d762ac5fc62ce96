# %% [markdown]
# # NeuTra: Hamiltonian Monte Carlo through a flow
#
# *About 1 minute on two cores.*
#
# Hamiltonian Monte Carlo (HMC) draws from a density that is known up to a constant. Its steps have
# one size everywhere. So it has trouble with a density that is narrow in one place and wide in
# another. A flow can bend such a density into nearly a normal one. HMC then runs in the bent space,
# where one step size fits everywhere. This is *neural transport*, or NeuTra (Hoffman et al., 2019).
#
# The flow need not be perfect. HMC corrects what the flow gets wrong.
#
# In the code, `SHORT` is for the tests. It is false here: read the value after `else`.

# %%
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions
tf.get_logger().setLevel("ERROR")  # `effective_sample_size` makes it warn of complex numbers

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## The funnel
#
# Neal's funnel is the classic test. A number v is normal with the standard deviation 3. The nine
# other numbers are normal with the standard deviation exp(v / 2). It is below 0.1 for one v in
# sixteen, and above 10 for another one in sixteen. Posteriors of hierarchical models look like
# this.

# %%
SIZE = 4 if SHORT else 10


def target(z):
    v, x = z[..., 0], z[..., 1:]
    others = tfd.Normal(0.0, tf.exp(v / 2)[..., tf.newaxis])
    return tfd.Normal(0.0, 3.0).log_prob(v) + tf.reduce_sum(others.log_prob(x), axis=-1)


# %% [markdown]
# We can draw from the funnel directly, so we know what should come out.

# %%
rng = np.random.default_rng(1)
v = rng.normal(0.0, 3.0, size=16_000)
exact = np.stack([v, rng.normal(0.0, np.exp(v / 2))], axis=-1)
print(f"v below -5 in {np.mean(v < -5):.3f} of exact draws")
print(f"scale of the others below 0.1: {np.mean(np.exp(v / 2) < 0.1):.3f}")
print(f"scale of the others above 10: {np.mean(np.exp(v / 2) > 10):.3f}")

# %% [markdown]
# ## HMC alone
#
# We run sixteen chains at once. The step size is adapted during the first draws (the *burn-in*),
# such that three quarters of the proposals are accepted. These draws are thrown away.
#
# `draw` runs the chains and returns their draws. Of the results of the kernel, `trace_fn` keeps the
# step size. The chains are one graph of TensorFlow. We leave XLA off, since it would take longer to
# compile.

# %%
CHAINS, DRAWS, BURN_IN = (4, 100, 100) if SHORT else (16, 1_000, 1_000)


def draw(kernel, start):
    kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
        kernel, num_adaptation_steps=int(0.8 * BURN_IN), target_accept_prob=0.75
    )

    @tf.function(autograph=False)
    def run():
        return tfp.mcmc.sample_chain(
            DRAWS,
            start,
            kernel=kernel,
            num_burnin_steps=BURN_IN,
            trace_fn=lambda state, results: results.new_step_size,
            seed=[1, 2],
        )

    draws, step_sizes = run()
    print(f"the adapted step size is {step_sizes[-1]:.2f}")
    return draws.numpy()


LEAPFROG_STEPS_ALONE = 10
hmc = tfp.mcmc.HamiltonianMonteCarlo(target, step_size=0.1, num_leapfrog_steps=LEAPFROG_STEPS_ALONE)
alone = draw(hmc, tf.random.stateless_normal([CHAINS, SIZE], seed=[3, 4]))

# %% [markdown]
# Draws of one chain depend on each other. The *effective sample size* (ESS) says how many
# independent draws they are worth. *R-hat* is close to one if the chains agree. We look at v, the
# difficult number, which should have the standard deviation 3.
#
# We ask for the ESS of $v^2$, too. A chain that jumps from v to -v and back has a fine mean of v at
# once, but stays at one distance from the middle. The ESS of v does not see that.


# %%
def effective(values):
    return float(tfp.mcmc.effective_sample_size(values, cross_chain_dims=1))


def report(name, draws):
    v = draws[..., 0]
    found = {
        "ESS of v": effective(v),
        "ESS of v^2": effective(v**2),
        "R-hat of v": float(tfp.mcmc.potential_scale_reduction(v)),
        "deviation of v": v.std(),
        "share of v below -5": np.mean(v < -5),
    }
    figures.update({f"{name}, {key}": value for key, value in found.items()})
    print(f"{name}, {v.size:,} draws")
    print("\n".join(f"  {key}: {value:.4g}" for key, value in found.items()))


report("HMC alone", alone)

# %% [markdown]
# The chains disagree, and the neck of the funnel is missing: v is never below -5. The ESS does not
# say that. We know it only because we know the answer here.
#
# ## A flow for the funnel
#
# An inverse autoregressive flow (`iaf`) suits this target. Its samples and their densities are
# cheap, and its layers can scale the other numbers by a function of v. `VariationalModel` fits it:
# it draws samples from the flow and raises the evidence lower bound (ELBO), the mean of
# log p(z) - log flow(z). The funnel has the integral 1, so the ELBO is at most zero, and the gap is
# the Kullback-Leibler divergence KL(flow || funnel).

# %%
LAYERS, UNITS, STEPS, RATE = (2, (16,), 200, 0.02) if SHORT else (3, (32, 32), 2_000, 0.005)


def fit(num_steps, rate):
    flow = tfpf.flows.iaf(SIZE, num_layers=LAYERS, hidden_units=UNITS, seed=1)
    model = tfpf.VariationalModel(flow, target, num_samples=64 if SHORT else 256, seed=1)
    rate = keras.optimizers.schedules.CosineDecay(rate, num_steps)
    model.compile(keras.optimizers.Adam(rate, clipnorm=10.0), jit_compile=not SHORT)
    before = model.evaluate(steps=10, verbose=0)
    model.fit(steps_per_epoch=num_steps, verbose=0)
    after = model.evaluate(steps=10, verbose=0)
    print(f"KL(flow || funnel): {-before:.3f} nats at the start, {-after:.3f} after training")
    return flow, -after


flow, figures["flow, nats from the funnel"] = fit(STEPS, RATE)
own = flow.sample(16_000, seed=7).numpy()[:, 0]
figures["flow itself, deviation of v"] = own.std()
print(f"samples of the flow: v has the standard deviation {own.std():.2f}")

# %% [markdown]
# ## HMC through the flow
#
# `TransformedTransitionKernel` runs a kernel in the space of the flow's base and gives its draws in
# the space of the target. It takes the bijector of the flow, and nothing else is needed. Each
# gradient goes through `forward` of the bijector, the fast direction of `iaf`.
#
# **The adaptation of the step size goes outside of it.** The kernels, from the outside to the
# inside, are: adaptation, transformation, HMC. Here `draw` adds the first. The step is now one in
# the space of the base, where all directions have about the same width. The chains start at draws
# from the flow.
#
# Two leapfrog steps are enough here. For a normal distribution HMC moves in circles, and a step of
# size s is an angle of $\arccos(1 - s^2 / 2)$. If all steps together make half a turn, HMC jumps
# from v to -v, and the ESS of $v^2$ is low.

# %%
LEAPFROG_STEPS = 2


def through_flow(flow):
    inner = tfp.mcmc.HamiltonianMonteCarlo(target, step_size=0.5, num_leapfrog_steps=LEAPFROG_STEPS)
    kernel = tfp.mcmc.TransformedTransitionKernel(inner, flow.bijector)
    return draw(kernel, flow.sample(CHAINS, seed=5))


through = through_flow(flow)
report("through the flow", through)

# %% [markdown]
# The chains agree, and v is right. How much better is it? A fair count asks for the effective draws
# per gradient of the target, since HMC alone takes ten gradients for a proposal here, and HMC
# through the flow two. We take the smaller ESS of the two.

# %%
per_gradient = [
    min(figures[f"{name}, ESS of v"], figures[f"{name}, ESS of v^2"]) / (CHAINS * DRAWS * steps)
    for name, steps in (("HMC alone", LEAPFROG_STEPS_ALONE), ("through the flow", LEAPFROG_STEPS))
]
figures["gain in effective draws per gradient"] = per_gradient[1] / per_gradient[0]
print("effective draws in 1,000 gradients:")
print(f"  HMC alone {1_000 * per_gradient[0]:.2f}, through the flow {1_000 * per_gradient[1]:.0f}")

# %% [markdown]
# The picture shows why. HMC alone does not reach the neck at the bottom. In the space of the base,
# the draws through the flow look like a normal distribution.

# %%
base = flow.bijector.inverse(through.reshape([-1, SIZE])).numpy()
pictures = {
    "exact": exact,
    "HMC alone": alone.reshape([-1, SIZE]),
    "HMC through the flow": through.reshape([-1, SIZE]),
    "the same, in base space": base,
}
figure, panels = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained")
for (name, draws), panel in zip(pictures.items(), panels, strict=True):
    panel.plot(draws[:6_000, 1], draws[:6_000, 0], ".", markersize=1, alpha=0.5)
    panel.set(title=name, xlabel="the second number", xlim=(-20, 20), ylim=(-11, 11))
panels[0].set_ylabel("v")
panels[3].set(xlim=(-4.5, 4.5), ylim=(-4.5, 4.5), ylabel="the first number")
plt.show()

# %% [markdown]
# Here is v along the first chain of each.

# %%
figure, panels = plt.subplots(2, 1, figsize=(9, 3.4), layout="constrained", sharex=True)
for (name, draws), panel in zip({"alone": alone, "through": through}.items(), panels, strict=True):
    panel.plot(draws[:, 0, 0], linewidth=0.6)
    panel.set(ylabel=f"v, {name}", ylim=(-11, 11))
panels[1].set_xlabel("draw")
plt.show()

# %% [markdown]
# The histogram of v is that of a normal distribution if the draws are right.

# %%
edges = np.linspace(-12, 12, 49)
figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
for name, values in {"HMC alone": alone, "HMC through the flow": through}.items():
    panel.hist(values[..., 0].ravel(), edges, density=True, histtype="step", label=name)
panel.plot(edges, tfd.Normal(0.0, 3.0).prob(edges.astype("float32")), "k:", label="exact")
panel.set(xlabel="v", ylabel="density")
panel.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## A rough flow is enough
#
# The flow above is so good that one could use its own samples: their v has nearly the standard
# deviation 3. Now we train one for a tenth of the steps. Its own samples are too narrow. HMC
# through it is right all the same, but its draws are worth less.

# %%
if not SHORT:
    rough, figures["rough flow, nats from the funnel"] = fit(STEPS // 10, RATE)
    own = rough.sample(16_000, seed=7).numpy()[:, 0]
    figures["rough flow itself, deviation of v"] = own.std()
    print(f"samples of the rough flow: v has the standard deviation {own.std():.2f}")
    report("through the rough flow", through_flow(rough))

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
# - Put `real_nvp` in the place of `iaf`. How do the nats and the effective sample size change?
# - Replace HMC by `tfp.mcmc.NoUTurnSampler`. The kernels around it stay as they are.
# - Set `LEAPFROG_STEPS = 4`. What happens to the ESS of v, and to that of v^2?
# - Give HMC alone ten times as many draws. Does it reach the neck?
# - Take a model of your own as the target. If its parameters are positive, let the flow end in a
#   `tfb.Softplus`, before you fit it: `flow = tfpf.distributions.Flow(flow.distribution,
#   tfb.Chain([tfb.Softplus(), flow.bijector]))`.
