"""The flows that the papers trained, as named presets, and the values that they report.

Each flow is built from public parts, since the flows of the papers have more parts than the
recipes: a linear layer at both ends and splines of the identity half (`neural_spline`), batch
normalization and weight decay (`maf`, `real_nvp`). `benchmarks/README.md` lists the differences.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf
from tfp_flows.bijectors import (
    Affine,
    Autoregressive,
    BatchNorm,
    Coupling,
    LULinear,
    RationalQuadraticSpline,
)
from tfp_flows.layers import MADE, MLP, ResidualMLP

# Durkan et al. (2019), arXiv:1906.04032, app. B.1, tables 5 and 6. The bound and the norm to which
# gradients are clipped are the same for all sets.
_NSF = {"bound": 3.0, "gradient_norm": 5.0, "schedule": "cosine"}
_NSF_COLUMNS = (
    "batch_size",
    "steps",
    "learning_rate",
    "num_layers",
    "num_blocks",
    "hidden_units",
    "num_bins",
    "dropout",
)
_NSF_COUPLING = {
    "power": (512, 400_000, 5e-4, 10, 2, 256, 8, 0.0),
    "gas": (512, 400_000, 5e-4, 10, 2, 256, 8, 0.1),
    "hepmass": (256, 400_000, 5e-4, 20, 1, 128, 8, 0.2),
    "miniboone": (128, 200_000, 3e-4, 10, 1, 32, 4, 0.2),
    "bsds300": (512, 400_000, 5e-4, 20, 1, 128, 8, 0.2),
}
_NSF_AUTOREGRESSIVE = {
    "power": (512, 400_000, 5e-4, 10, 2, 256, 8, 0.0),
    "gas": (512, 400_000, 5e-4, 10, 2, 256, 8, 0.1),
    "hepmass": (512, 400_000, 5e-4, 10, 2, 256, 8, 0.2),
    "miniboone": (64, 250_000, 3e-4, 10, 1, 64, 4, 0.2),
    "bsds300": (512, 400_000, 5e-4, 10, 2, 512, 8, 0.2),
}

# Papamakarios et al. (2017), arXiv:1705.07057, app. D, and the authors' code. They trained until
# validation had not improved for 30 epochs, and so chose one or two hidden layers. Here it is two.
_MAF = {
    "batch_size": 100,
    "steps": None,
    "patience_epochs": 30,
    "learning_rate": 1e-4,
    "schedule": "constant",
    "gradient_norm": None,
    "weight_decay": 1e-6,
}
_MAF_HIDDEN = {"power": 100, "gas": 100, "hepmass": 512, "miniboone": 512, "bsds300": 1024}


def _nsf(table, autoregressive):
    return {
        dataset: {**dict(zip(_NSF_COLUMNS, row, strict=True)), **_NSF, "make": "neural_spline"}
        | {"autoregressive": autoregressive}
        for dataset, row in table.items()
    }


def _maf(make, num_layers):
    return {
        dataset: {**_MAF, "make": make, "num_layers": num_layers, "hidden_units": [units] * 2}
        | {"activation": "tanh" if dataset == "gas" else "relu"}
        for dataset, units in _MAF_HIDDEN.items()
    }


# Settings for each set, by recipe and preset; the first preset is the default.
PRESETS = {
    "neural_spline": {
        "coupling": _nsf(_NSF_COUPLING, False),
        "autoregressive": _nsf(_NSF_AUTOREGRESSIVE, True),
    },
    "maf": {"maf10": _maf("maf", 10), "maf5": _maf("maf", 5)},
    "real_nvp": {"real_nvp10": _maf("real_nvp", 10), "real_nvp5": _maf("real_nvp", 5)},
}

# Test log-likelihood in nats and two standard errors, as printed in the papers.
_SETS = ("power", "gas", "hepmass", "miniboone", "bsds300")
_PAPERS = {
    "Papamakarios et al., 2017": {
        "Gaussian": "-7.74 0.02 -3.58 0.75 -27.93 0.02 -37.24 1.07 96.67 0.25",
        "RealNVP (5)": "-0.02 0.01 4.78 1.80 -19.62 0.02 -13.55 0.49 152.97 0.28",
        "RealNVP (10)": "0.17 0.01 8.33 0.14 -18.71 0.02 -13.84 0.52 153.28 1.78",
        "MAF (5)": "0.14 0.01 9.07 0.02 -17.70 0.02 -11.75 0.44 155.69 0.28",
        "MAF (10)": "0.24 0.01 10.08 0.02 -17.73 0.02 -12.24 0.45 154.93 0.28",
    },
    "Durkan et al., 2019": {
        "RQ-NSF (coupling)": "0.64 0.01 13.09 0.02 -14.75 0.03 -9.67 0.47 157.54 0.28",
        "RQ-NSF (autoregressive)": "0.66 0.01 13.09 0.02 -14.01 0.03 -9.22 0.48 157.31 0.28",
    },
}


def published(dataset):
    """A list of `(name with paper, mean, two standard errors)`; empty for other sets."""
    if dataset not in _SETS:
        return []
    at = 2 * _SETS.index(dataset)
    return [
        (f"{name}, {paper}", *map(float, numbers.split()[at : at + 2]))
        for paper, rows in _PAPERS.items()
        for name, numbers in rows.items()
    ]


def make_flow(size, settings, seed):
    """The flow of a preset, over vectors of `size`."""
    make = {"neural_spline": neural_spline, "maf": maf, "real_nvp": real_nvp}[settings["make"]]
    layers = make(size, settings, seed)
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), [size])
    return tfpf.distributions.Flow(base, tfp.bijectors.Chain(layers))


def neural_spline(size, settings, seed):
    """Splines, coupling or autoregressive, between linear layers."""
    num_layers = settings["num_layers"]
    spline = {"num_bins": settings["num_bins"], "bound": settings["bound"]}
    params_size = RationalQuadraticSpline.params_size(**spline)
    hidden_units = (settings["hidden_units"],) * settings["num_blocks"]
    seeds = layer_seeds(seed, num_layers)
    more_seeds = layer_seeds(seed + 1, num_layers + 1)
    permutations = tfpf.flows._linear_layers.permutations(size, more_seeds)
    layers = [LULinear(size, permutations[0])]
    for i in range(num_layers):
        common = {"dropout": settings["dropout"], "seed": seeds[i]}
        if settings["autoregressive"]:
            network = MADE(size, params_size, hidden_units, residual=True, **common)
            network.build((None, size))
            layers.append(Autoregressive(network, RationalQuadraticSpline, spline))
        else:
            mask = [(i + j) % 2 == 1 for j in range(size)]
            network = ResidualMLP((size - sum(mask)) * params_size, hidden_units, **common)
            network.build((None, sum(mask)))
            layers.append(
                Coupling(
                    network,
                    RationalQuadraticSpline,
                    spline,
                    mask,
                    identity_transformer=RationalQuadraticSpline,
                    identity_transformer_kwargs=spline,
                )
            )
        layers.append(LULinear(size, permutations[i + 1]))
    return layers


def maf(size, settings, seed):
    """Affine autoregressive layers in alternating order, each with batch normalization."""
    layers = []
    for i, layer_seed in enumerate(layer_seeds(seed, settings["num_layers"])):
        network = MADE(
            size,
            Affine.params_size(),
            settings["hidden_units"],
            settings["activation"],
            order="reverse" if i % 2 else None,
            kernel_regularizer=keras.regularizers.L2(settings["weight_decay"]),
            seed=layer_seed,
        )
        network.build((None, size))
        layers += [Autoregressive(network, Affine), BatchNorm(size)]
    return layers


def real_nvp(size, settings, seed):
    """Affine couplings of every other coordinate in turn, each with batch normalization."""
    layers = []
    for i, layer_seed in enumerate(layer_seeds(seed, settings["num_layers"])):
        mask = [j % 2 != i % 2 for j in range(size)]
        network = ShiftAndScale(
            size - sum(mask), settings["hidden_units"], settings["weight_decay"], layer_seed
        )
        network.build((None, sum(mask)))
        layers += [Coupling(network, Affine, mask=mask), BatchNorm(size)]
    return layers


class ShiftAndScale(keras.Layer):
    """A relu network for shifts and a tanh network for log-scales, as in the code of MAF."""

    def __init__(self, size, hidden_units, weight_decay, seed):
        super().__init__()
        regularizer = keras.regularizers.L2(weight_decay)
        self.shift, self.log_scale = (
            MLP(size, hidden_units, activation, kernel_regularizer=regularizer, seed=seed + k)
            for k, activation in enumerate(("relu", "tanh"))
        )

    def build(self, shape):
        """Builds both networks."""
        self.shift.build(shape)
        self.log_scale.build(shape)

    def call(self, x):
        """Returns `[N, size, 2]`."""
        return tf.stack([self.shift(x), self.log_scale(x)], axis=-1)


def layer_seeds(seed, count):
    """Distinct seeds that follow from one."""
    return tfpf.flows._recipe.seeds(seed, count)
