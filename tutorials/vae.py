# %% [markdown]
# # A variational autoencoder with a flow prior and a flow posterior
#
# *About 2 minutes on two cores.*
#
# A variational autoencoder (VAE) explains an image x by a few hidden numbers z, the *latents*. It
# has three parts: a prior p(z), a decoder p(x | z), and an encoder q(z | x), which guesses the
# latents of an image. Training raises a lower bound of log p(x), the *evidence lower bound*:
#
# $$\text{ELBO} = E[\log p(x | z) + \log p(z) - \log q(z | x)],$$
#
# the mean over z drawn from $q(z | x)$.
#
# In the plain VAE both p(z) and q(z | x) are normal distributions. Both can be flows, and this
# notebook shows what that brings.
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
from sklearn.datasets import load_digits

import tfp_flows as tfpf

tfd = tfp.distributions

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## Digits
#
# scikit-learn comes with 1,797 small images of digits, 8 by 8 pixels with whole numbers from 0 to
# 16. We keep 297 of them for the test.

# %%
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(1).permutation(len(images))
images, labels = images[order].astype("float32"), labels[order]
x, x_test, labels_test = images[297:], images[:297], labels[:297]
print(f"{len(x):,} images to learn from, {len(x_test)} for the test")

# %% [markdown]
# ## The model
#
# The encoder is a network that sums an image up in 64 numbers, h. They are the context of the
# posterior q(z | h). The decoder gives one number for each pixel: a pixel is binomial, 16 trials
# with a probability that the decoder says. So log p(x | z) is a true probability, and the ELBO is
# in nats.
#
# `FlowModel` makes the weights of a distribution known to Keras. Here two of them are parts of a
# larger model, for the prior and for the posterior. `condition` binds h, and
# `experimental_sample_and_log_prob` gives draws of the posterior and their densities in one pass.

# %%
LATENTS, HIDDEN = 6, 64


def pixels(logits):
    return tfd.Independent(tfd.Binomial(16.0, logits=logits), 1)


class VAE(keras.Model):
    def __init__(self, prior, posterior):
        super().__init__()
        dense = keras.layers.Dense
        self.encoder = keras.Sequential([dense(128, "relu"), dense(HIDDEN, "relu")])
        self.decoder = keras.Sequential([dense(128, "relu"), dense(64)])
        self.prior, self.posterior = tfpf.FlowModel(prior), tfpf.FlowModel(posterior)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        """The ELBO of each image, from one draw of the latents."""
        h = self.encoder(x / 16.0)
        q = tfpf.condition(self.posterior.distribution, h)
        seed = tf.cast(self.seeds.next(), tf.int32)
        z, log_q = q.experimental_sample_and_log_prob(seed=seed)
        log_p = self.prior.distribution.log_prob(z)
        return pixels(self.decoder(z)).log_prob(x) + log_p - log_q


# %% [markdown]
# ## Normal or flow
#
# The normal posterior has a mean and a width for each latent, from a linear map of h: that is
# `ConditionalNormal`. The flow posterior takes it as the base of a Sylvester flow. The layers of
# that flow are computed from h as well, once for each image.
#
# The normal prior is standard normal. The flow prior is a spline flow. It has no context, and it is
# trained with everything else.

# %%
keras.utils.set_random_seed(1)


def normal_posterior():
    network = tfpf.layers.MLP(2 * LATENTS, (), context_size=0, seed=1)
    network.build((None, HIDDEN))
    return tfpf.distributions.ConditionalNormal(network, event_size=LATENTS, context_size=HIDDEN)


def flow_posterior():
    return tfpf.flows.sylvester(
        LATENTS, context_size=HIDDEN, base=normal_posterior(), num_layers=1 if SHORT else 2, seed=1
    )


def normal_prior():
    return tfd.Sample(tfd.Normal(tf.Variable(0.0, trainable=False), 1.0), LATENTS)


def flow_prior():
    layers = (
        {"num_layers": 1, "hidden_units": (16,)}
        if SHORT
        else {"num_layers": 4, "hidden_units": (32, 32)}
    )
    return tfpf.flows.neural_spline(LATENTS, bound=4.0, seed=1, **layers)


models = {
    "normal prior, normal posterior": VAE(normal_prior(), normal_posterior()),
    "flow prior, normal posterior": VAE(flow_prior(), normal_posterior()),
    "flow prior, flow posterior": VAE(flow_prior(), flow_posterior()),
}

# %% [markdown]
# All three are trained in the same way, and scored on the images of the test, with ten draws of the
# latents for each.

# %%
EPOCHS, RATE = (8, 1e-2) if SHORT else (100, 2e-3)
names = list(models)[-1:] if SHORT else list(models)
for name in names:
    model = models[name]
    rate = keras.optimizers.schedules.CosineDecay(RATE, EPOCHS * -(-len(x) // 100))
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=100.0),
        loss=lambda _, elbo: -elbo,
        jit_compile=not SHORT,
    )
    model.fit(x, np.zeros(len(x)), batch_size=100, epochs=EPOCHS, verbose=0)
    draws = [model.predict(x_test, batch_size=297, verbose=0) for _ in range(2 if SHORT else 10)]
    figures[f"{name}, ELBO"] = float(np.mean(draws))
    print(f"{name:31} ELBO {np.mean(draws):8.2f} nats on the test images")

# %% [markdown]
# The ELBO is a bound of log p(x), and higher is better. What do we gain by flows in all?

# %%
plain, best = names[0], names[-1]
figures["gain by both flows"] = figures[f"{best}, ELBO"] - figures[f"{plain}, ELBO"]
print(f"{figures['gain by both flows']:.2f} nats an image")

# %% [markdown]
# ## The prior moves
#
# The latents of all images together have some distribution, and the best prior is just that. A
# normal prior cannot follow it, so the encoder has to give way. A flow prior can. We draw latents
# for the images of the test, and ask how many nats more the flow prior gives them than the standard
# normal that it started from.


# %%
def latents(name, images, seed):
    """One draw for each image."""
    model = models[name]
    h = model.encoder(images / 16.0)
    return tfpf.condition(model.posterior.distribution, h).sample(seed=seed)


z = latents(best, x_test, seed=1)
prior = models[best].prior.distribution
gain = tf.reduce_mean(prior.log_prob(z) - normal_prior().log_prob(z))
figures["prior, nats above the normal"] = float(gain)
print(f"The flow prior gives the latents {gain:.2f} nats more than the standard normal.")

# %% [markdown]
# Part of that is scale: with a prior that follows, nothing ties the latents to unit width, and the
# axes of the picture show how wide they have become.
#
# In the picture each point is an image, coloured by its digit. Nobody told the model the digits.
# Left are the first two latents of the images of the test, right are draws from the prior.

# %%
figure, (left, right) = plt.subplots(
    1, 2, figsize=(8, 3.8), layout="constrained", sharex=True, sharey=True
)
points = left.scatter(z[:, 0], z[:, 1], c=labels_test, cmap="tab10", s=10)
left.set(title="latents of images", xlabel="z_1", ylabel="z_2")
drawn = prior.sample(1_000, seed=2).numpy()
right.plot(drawn[:, 0], drawn[:, 1], ".", markersize=3, color="0.4")
right.set(title="draws from the flow prior", xlabel="z_1")
figure.colorbar(points, label="digit")
plt.show()

# %% [markdown]
# ## New digits
#
# To make an image, draw z from the prior and decode it. Both models made ten here. The last row has
# images of the test.

# %%
made = {name: models[name].prior.distribution.sample(10, seed=3) for name in (plain, best)}
rows = {name: pixels(models[name].decoder(z)).mean() for name, z in made.items()}
figure, panels = plt.subplots(1 + len(rows), 10, figsize=(9, 3), layout="constrained")
for (name, row), all_panels in zip(
    {**rows, "images of the test": x_test}.items(), panels, strict=True
):
    for image, panel in zip(np.asarray(row)[:10], all_panels, strict=True):
        panel.imshow(image.reshape([8, 8]), cmap="gray_r", vmin=0, vmax=16)
        panel.axis("off")
    all_panels[0].set_title(name, fontsize=9, loc="left")
plt.show()

# %% [markdown]
# ## The figures again
#
# These are the numbers, in nats, that would be off if something in the flows were broken.

# %%
for name, value in figures.items():
    print(f"{name}: {value:.4g}")

# %% [markdown]
# ## What to try
#
# - Give the plain model more latents, 12 instead of 6. Does it catch up?
# - Replace `sylvester` by `planar`, or by `iaf`. All of them take `context_size` and `base`.
# - Look at the ELBO of the images that the model learned from. It is higher than that of the test.
#   By how much, in which model?
# - Move in a straight line from the latents of one image to those of another, and decode the points
#   on the way.
