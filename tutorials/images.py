# %% [markdown]
# # Images: RealNVP and Glow on digits
#
# *About 2 minutes on two cores.*
#
# The pixels of an image are whole numbers, but a flow is a density over real numbers.
# *Dequantization* makes one fit the other, and this notebook shows how. It trains two flows on
# small images of digits, the multi-scale RealNVP of Dinh et al. (2017) and the Glow of Kingma and
# Dhariwal (2018), and scores them in bits. Then it uses them: to draw digits of a given class, to
# classify, to draw with less variety, and to go from one digit to another.
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
from sklearn.neighbors import KNeighborsClassifier

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end

# %% [markdown]
# ## Digits
#
# scikit-learn comes with 1,797 images of digits, 8 by 8 pixels with whole numbers from 0 to 16. We
# keep 297 of them for the test.

# %%
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(1).permutation(len(images))
images, labels = images[order].reshape([-1, 8, 8, 1]).astype("uint8"), labels[order]
x, x_test = images[297:], images[:297]
labels, labels_test = labels[297:], labels[:297]
print(f"{len(x):,} images to learn from, {len(x_test)} for the test")

# %% [markdown]
# ## Why noise is needed
#
# What happens if we fit a density to whole numbers as they are? Take one pixel. Put a narrow normal
# distribution on each of the 17 values, with the weight that the value has in the data. The
# narrower they are, the larger is the density of the data, without any limit. Such a density says
# nothing about the image.
#
# So we add noise to each pixel, uniform between 0 and 1. Now narrow peaks lose, because most of the
# noisy values lie between them.

# %%
pixel = x[:, 4, 4, 0].astype("float64")
noisy = pixel + np.random.default_rng(2).uniform(size=len(pixel))
weights = np.bincount(x[:, 4, 4, 0], minlength=17) / len(x)
print("width of the peaks   nats, whole numbers   nats, with noise")
for width in (0.5, 0.3, 0.1, 0.01):
    logits = np.log(weights + 1e-6)
    at_values = tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits), tfd.Normal(np.arange(17.0), width)
    )
    between = tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits), tfd.Normal(np.arange(17.0) + 0.5, width)
    )
    nats = np.mean(at_values.log_prob(pixel)), np.mean(between.log_prob(noisy))
    print(f"{width:18} {nats[0]:21.2f} {nats[1]:18.2f}")
entropy = -np.sum(weights * np.log(weights + 1e-12))
print(f"The best that a model of this pixel can reach is minus its entropy, {-entropy:.2f} nats.")

# %% [markdown]
# The mean of log p(x + noise) is a lower bound of the logarithm of the probability of x (Theis et
# al., 2016). `Dequantized` adds the noise. It also stretches the range of the pixels to all real
# numbers, by a logit. Its `elbo` is the bound in nats. `bits_per_dimension` is the same bound as a
# code length: how many bits a pixel takes, on average. Fewer are better.
#
# Two numbers for scale. If all 17 values were equally likely, a pixel would take log2(17) bits. The
# second number is for pixels that are independent of each other, each with the frequencies that it
# has in the data:


# %%
def bits_of_counts(x, x_test):
    """Bits per dimension of each image, for independent pixels."""
    values = x.reshape([len(x), 64])
    counts = np.stack([np.bincount(column, minlength=17) for column in values.T]) + 0.1
    frequencies = counts / counts.sum(axis=1, keepdims=True)
    return -np.log2(frequencies[np.arange(64), x_test.reshape([-1, 64])]).mean(axis=1)


print(f"all values alike:   {np.log2(17):.2f} bits")
print(f"independent pixels: {bits_of_counts(x, x_test).mean():.2f} bits")

# %% [markdown]
# Many pixels at the border are always zero, and take nearly no bits. So the second number is not
# easy to beat.
#
# ## Two flows
#
# `multiscale` is RealNVP. Its couplings change half of the pixels given the other half, on
# checkerboards at first. Then blocks of 2 by 2 pixels become 4 channels, and couplings change half
# of the channels. After that, half of the channels are finished. The other half goes through more
# such layers, at half the width and height.
#
# `glow` works on channels only. Before each coupling it mixes them by a linear map, so that each
# coupling splits them in a new way. Our `glow` is told the digit, as a context of ten numbers. The
# context comes first in `fit`.

# %%
keras.utils.set_random_seed(1)
K = 17
classes = np.eye(10, dtype="float32")
size = {"num_scales": 1, "num_layers": 1, "hidden_channels": (8,)} if SHORT else {}


def trained(name, flow, *data, epochs):
    """The distribution of whole numbers over a flow, trained."""
    model = tfpf.FlowModel(tfpf.distributions.Dequantized(flow, num_values=K, seed=1))
    rate = keras.optimizers.schedules.CosineDecay(1e-2 if SHORT else 3e-3, epochs * 30)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=100.0), jit_compile=False)
    history = model.fit(*data, batch_size=50, epochs=epochs, verbose=0).history
    bits = history["bits_per_dimension"]
    print(f"{name}: {bits[0]:.2f} bits in the first epoch, {bits[-1]:.2f} in the last")
    return model.distribution


real_nvp = tfpf.flows.multiscale(
    (8, 8, 1), seed=1, **(size or {"num_layers": 2, "hidden_channels": (16, 16)})
)
real_nvp = trained("multiscale", real_nvp, x, epochs=2 if SHORT else 12)

# %%
glow = tfpf.flows.glow((8, 8, 1), context_size=10, seed=1, **size)
glow = trained("glow", glow, classes[labels], x, epochs=6 if SHORT else 40)

# %% [markdown]
# ## Bits, and the rule of Bayes
#
# Now the images of the test. For the conditional flow we compute log p(x | c) for all ten digits c.
# The mean of p(x | c) over the digits is p(x), which we can compare with the other flow. We also
# use the rule of Bayes to guess the digit: p(c | x) is proportional to p(x | c). The flow was never
# trained to classify.

# %%
given = tfpf.condition(glow, classes)
log_p = np.concatenate(
    [given.elbo(part[:, np.newaxis], num_samples=2) for part in np.array_split(x_test, 6)]
)
log_marginal = np.logaddexp.reduce(log_p, axis=1) - np.log(10)
figures["multiscale, bits"] = float(np.mean(real_nvp.bits_per_dimension(x_test, num_samples=2)))
figures["glow, bits"] = float(-np.mean(log_marginal) / (64 * np.log(2)))
for name, value in figures.items():
    print(f"{name}: {value:.3f}")

# %% [markdown]
# Both take fewer bits than independent pixels. Glow took much fewer on the images that it was
# trained on. Part of that is the digit, which it was told: that is worth at most log2(10) / 64, or
# 0.05 bits. The rest is overfitting, since we showed it 1,500 images 40 times.
#
# How often is the rule of Bayes right? We compare with independent pixels, whose frequencies are
# counted for each digit.

# %%
counted = [bits_of_counts(x[labels == digit], x_test) for digit in range(10)]
guessed = np.argmax(log_p, axis=1)
share_of_counts = np.mean(np.argmin(counted, axis=0) == labels_test)
figures["share classified right"] = float(np.mean(guessed == labels_test))
print(f"classified right by independent pixels given the digit: {share_of_counts:.1%}")
print(f"classified right by the flow: {figures['share classified right']:31.1%}")

# %% [markdown]
# Where is the flow wrong? These images it takes for another digit (ten of them at most).

# %%
wrong = np.flatnonzero(guessed != labels_test)[:10]
figure = plt.figure(figsize=(1.2 * len(wrong), 1.5), layout="constrained")
for place, i in enumerate(wrong, start=1):
    panel = figure.add_subplot(1, len(wrong), place)
    panel.imshow(x_test[i, ..., 0], cmap="gray_r", vmin=0, vmax=16)
    panel.set_title(f"{labels_test[i]}, taken for {guessed[i]}", fontsize=8)
    panel.axis("off")
plt.show()

# %% [markdown]
# ## Digits of a class, with more and less variety
#
# To draw a digit of a class, bind the class as the context, and sample. A flow draws what its
# density covers, and that includes rare and odd images. Papers often show samples at a lower
# *temperature* T: the base gets the standard deviation T instead of 1. Samples are then closer to
# typical images, and there is less variety among them.
#
# Can the samples be read? We let a classifier of another kind, three nearest neighbors in the
# images of the training, read them. As variety we take the standard deviation of a pixel over the
# samples of one digit.


# %%
def at_temperature(t):
    """The conditional Glow over a narrower base."""
    flow = glow.distribution
    base = tfd.Sample(tfd.Normal(0.0, t), flow.distribution.event_shape)
    return tfpf.distributions.Dequantized(tfpf.distributions.Flow(base, flow.bijector), K)


reader = KNeighborsClassifier(3).fit(x.reshape([-1, 64]), labels)
share = reader.score(x_test.reshape([-1, 64]), labels_test)
print(f"Of the images of the test, the neighbors read {share:.1%} right.")
drawn = {}
for t in (1.0, 0.7) if SHORT else (1.0, 0.7, 0.4):
    samples = tfpf.condition(at_temperature(t), classes).sample(50, seed=3).numpy()
    drawn[t] = samples[:2]
    digits = np.tile(np.arange(10), 50)
    share = reader.score(samples.reshape([-1, 64]), digits)
    spread = samples.std(axis=0).mean()
    print(f"T = {t}: {share:.1%} read as their class, standard deviation of a pixel {spread:.2f}")
    figures[f"samples read as their class, T = {t}"] = float(share)

# %% [markdown]
# Two samples of each digit at each temperature:

# %%
shape = {"nrows": 2 * len(drawn), "ncols": 10}
figure, panels = plt.subplots(**shape, figsize=(9, 2 * len(drawn)), layout="constrained")
for (t, samples), rows in zip(drawn.items(), np.split(panels, len(drawn)), strict=True):
    for row, of_classes in zip(rows, samples, strict=True):
        for image, panel in zip(of_classes, row, strict=True):
            panel.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=16)
            panel.axis("off")
    rows[0, 0].set_title(f"T = {t}", fontsize=9, loc="left")
plt.show()

# %% [markdown]
# ## From one digit to another
#
# Half-way on a straight line between two images, both are seen at the same time: the line is a
# fade. But the flow also maps each image to a point of the base, its latents. A path between the
# latents of two images becomes a path between the images.
#
# First we go from images to latents and back. That needs the map from real numbers to pixels that
# `Dequantized` uses. It is a sigmoid that reaches a bit beyond the range of the pixels, by its
# `alpha` of 0.05.

# %%
beyond = K * 0.05 / (1 - 2 * 0.05)
to_pixels = tfb.Sigmoid(-beyond, K + beyond)
bijector = real_nvp.distribution.bijector

first, last = (x_test[labels_test == digit][:4] for digit in (3, 8))
ends = tf.cast(np.concatenate([first, last]), "float32") + 0.5
latents = bijector.inverse(to_pixels.inverse(ends))
# A copy, since TFP remembers which input gave a tensor and would return that without computing.
back = to_pixels.forward(bijector.forward(tf.identity(latents)))
figures["there and back, largest error"] = float(tf.reduce_max(abs(back - ends)))
print(f"There and back, the largest error is {figures['there and back, largest error']:.1e}.")

# %% [markdown]
# Typical points of a normal base in 64 dimensions lie near a sphere. A straight line would leave
# it. So the path turns evenly from one direction to the other, and changes its length evenly. The
# bits of the images in the middle say how well the model likes them.

# %%
steps = np.linspace(0, 1, 8, dtype="float32")


def path(a, b):
    """Points from a to b, [steps, ..., 64]: lengths and angles change evenly."""
    lengths = np.linalg.norm(a, axis=-1, keepdims=True), np.linalg.norm(b, axis=-1, keepdims=True)
    a, b = a / lengths[0], b / lengths[1]
    angle = np.arccos(np.sum(a * b, axis=-1, keepdims=True))
    s = steps[:, np.newaxis, np.newaxis]
    direction = (np.sin((1 - s) * angle) * a + np.sin(s * angle) * b) / np.sin(angle)
    return direction * ((1 - s) * lengths[0] + s * lengths[1])


latents = np.asarray(latents)
by_flow = np.floor(to_pixels.forward(bijector.forward(path(latents[:4], latents[4:]))))
by_flow = np.clip(by_flow, 0, K - 1)  # the sigmoid reaches a bit beyond
s = steps[:, np.newaxis, np.newaxis, np.newaxis, np.newaxis]
fade = np.floor((1 - s) * ends[:4] + s * ends[4:])
for name, pictures in {"path between latents": by_flow, "fade": fade}.items():
    bits = real_nvp.bits_per_dimension(pictures[3:5])
    print(f"{name}: {np.mean(bits):.2f} bits in the middle")

# %% [markdown]
# In the middle, images on the path between latents take about as many bits as images of the test.
# Those of the fade take more. Here are three pairs of a 3 and an 8, each by both ways:

# %%
figure, panels = plt.subplots(6, 8, figsize=(7, 5.4), layout="constrained")
for i in range(3):
    for pictures, row in zip((by_flow, fade), panels[2 * i : 2 * i + 2], strict=True):
        for image, panel in zip(pictures[:, i], row, strict=True):
            panel.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=16)
            panel.axis("off")
    panels[2 * i, 0].set_title("path between latents", fontsize=9, loc="left")
    panels[2 * i + 1, 0].set_title("fade", fontsize=9, loc="left")
plt.show()

# %% [markdown]
# ## The figures again
#
# These are the numbers that would be off if something in the flows were broken.

# %%
for name, value in figures.items():
    print(f"{name}: {value:.4g}")

# %% [markdown]
# ## What to try
#
# - Let the noise be learned: `tfpf.flows.variational_dequantization(flow, num_values=17)` takes the
#   place of `Dequantized`. How many bits does that bring?
# - Replace `glow` by `tfpf.flows.neural_spline((8, 8, 1), context_size=10)`, the same with splines.
# - Train twice as long, and print the bits of the images that the flow learned from beside those of
#   the test. What do you see?
# - Use `bits_per_dimension` to find the five oddest images of the test.
