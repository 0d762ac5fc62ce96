"""How the API pages group the public names of each module."""

import importlib

import tfp_flows as tfpf

MODULES = ("flows", "bijectors", "layers", "distributions", "models", "diagnostics", "math")

# What is no class and no function has no docstring. Sphinx shows only what follows a colon.
CONSTANTS = {
    "tfp_flows.math.EULER": "Euler's method of order 1, with one slope a step.",
    "tfp_flows.math.RK4": "The method of Kutta (1901), of order 4, with four slopes a step.",
    "tfp_flows.math.DORMAND_PRINCE": "The method of Dormand and Prince (1980), of order 5, with "
    "six slopes a step. The difference to its method of order 4 estimates the error.",
}

# Files of pages whose names differ from another's by case alone, which some file systems ignore.
PAGES = {
    "tfp_flows.diagnostics.Coverage": "tfp_flows.diagnostics.Coverage-class",
    "tfp_flows.diagnostics.Importance": "tfp_flows.diagnostics.Importance-class",
    "tfp_flows.math.DORMAND_PRINCE": "tfp_flows.math.DORMAND_PRINCE-constant",
}

# By the folder or file of `tfp_flows/MODULE/` that defines a name.
_FOLDERS = {
    "bijectors": {
        "transformers": ("Transformers", "Elementwise bijectors that are made from raw numbers."),
        "conditioned": ("Conditioned", "A network computes the numbers of another bijector."),
        "linear": ("Linear", "Invertible matrices, in forms whose determinant is cheap."),
        "normalization": ("Normalization", "Shifts and scales that are set from data."),
        "residual": ("Residual", "x + g(x), and moves along directions or about points."),
        "continuous": ("Continuous", "Flows of ordinary differential equations."),
        "shape": ("Shape", "Squeezes and scales of images."),
        "flow_bijector": ("Base class", "For bijectors of your own, and for those made of others."),
    },
    "math": {
        "solvers": ("Solvers", "Roots and fixed points, with gradients by implicit derivatives."),
        "splines": ("Splines", "Monotone splines and their inverses, with log-derivatives."),
        "ode": ("Differential equations", "Solvers, and the divergence of a vector field."),
        "linalg": ("Linear algebra", "Log-determinants of I + J, and bounds of norms."),
        "clenshaw_curtis": ("Integrals", "Quadrature whose gradients follow Leibniz's rule."),
    },
}

# By name: title, words, names.
_NAMES = {
    "flows": (
        (
            "Vectors, fast in both directions",
            "Couplings: a layer transforms one part of the coordinates given the other.",
            "neural_spline real_nvp nice flow_plus_plus",
        ),
        (
            "Vectors, autoregressive",
            "Every coordinate is transformed given those before it.",
            "maf iaf naf sos umnn bnaf recurrent",
        ),
        (
            "Vectors, residual and continuous",
            "Every coordinate is transformed given all others.",
            "residual iresnet ffjord planar radial sylvester",
        ),
        ("Angles", "", "circular_spline"),
        ("Images", "", "multiscale glow mintnet variational_dequantization"),
        ("Series in time", "", "waveglow wavenet parallel_wavenet"),
        ("Sets of points", "", "pointflow"),
    ),
    "layers": (
        ("For vectors", "", "MLP ResidualMLP MADE Recurrent CircularMLP"),
        (
            "For residual flows",
            "Their Lipschitz constant is bounded.",
            "LipschitzMLP LipschitzConvNet",
        ),
        ("For continuous flows", "", "VectorField TransportRegularizer"),
        ("For images", "", "ConvNet GatedConvNet MaskedConvNet"),
        ("For series and sets", "", "WaveNet DeepSets"),
    ),
    "distributions": (
        ("What recipes return", "", "Flow JointFlow"),
        ("Bases", "", "mixture_of_gaussians ConditionalNormal"),
        ("Whole numbers", "", "Dequantized DequantizationNoise WholeColumns"),
        ("Tables and sets", "", "WithAngles LatentSet LatentNoise"),
        (
            "Fast draws under XLA",
            "TFP's distributions, drawn by the generator Philox. `Flow` makes them itself.",
            "drawn_by_philox PhiloxNormal PhiloxUniform PhiloxLogistic PhiloxLaplace "
            "PhiloxCategorical PhiloxMixtureSameFamily PhiloxMultivariateNormalDiag "
            "PhiloxMultivariateNormalTriL PhiloxMultivariateNormalLinearOperator",
        ),
    ),
    "models": (
        (
            "Flow matching",
            "`FlowModel`, `VariationalModel` and `DistributionLayer` are in `tfpf` itself.",
            "FlowMatching",
        ),
    ),
    "diagnostics": (
        ("Comparisons", "", "latent_normality coverage sbc c2st importance"),
        ("Pictures", "", "pairs density_2d learning_curve transport"),
        (
            "Results",
            "What the functions above and `tfpf.diagnose` return.",
            "LatentNormality Coverage Calibration ClassifierTest Importance Report LayerRow "
            "BaseRow Fault Columns",
        ),
    ),
}


def names_of(module):
    """The public names of a module that have their page there, and not in `tfp_flows` itself."""
    names = importlib.import_module(f"tfp_flows.{module}").__all__
    return [name for name in names if name not in tfpf.__all__]


def _is_class(name):
    return name[0].isupper()


def _by_folder(module):
    folders = _FOLDERS[module]
    names = {folder: [] for folder in folders}
    for name in names_of(module):
        defined_in = getattr(importlib.import_module(f"tfp_flows.{module}"), name).__module__
        names[defined_in.split(".")[2]].append(name)
    if module == "math":  # functions, then what they return
        names = {folder: sorted(found, key=_is_class) for folder, found in names.items()}
    return [(*folders[folder], names[folder]) for folder in folders]


def groups():
    """`(title, words, names)` of each group of each module, by the module's full name."""
    found = {f"tfp_flows.{module}": _by_folder(module) for module in _FOLDERS}
    for module, of_module in _NAMES.items():
        found[f"tfp_flows.{module}"] = [
            (title, words, names.split()) for title, words, names in of_module
        ]
    return found
