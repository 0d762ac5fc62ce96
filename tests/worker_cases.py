"""What each of two workers trains, and one process alone: see `models/test_workers.py`.

As a script, `python worker_cases.py FOLDER PART`, it is one worker, told by TF_CONFIG of the other.
"""

import contextlib
import json
import os
import pathlib
import signal
import sys

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tfpf

EPOCHS = 4
RNG = np.random.default_rng(0)
X = RNG.normal(1.0, size=(60, 2)).astype("float32")
CONTEXT = RNG.normal(size=(60, 1)).astype("float32")
SMALL = {"num_layers": 1, "hidden_units": (4,), "seed": 1}


def flow_model(folder=None, rank=0, jit_compile=False):
    """Fits, with what starts from data and what counts for itself; evaluates, predicts, saves."""
    network = tfpf.layers.MLP(2, (4,), seed=1)
    network.build((None, 1))
    coupling = tfpf.bijectors.Coupling(network, mask=[True, False])
    parts = [tfpf.bijectors.ActNorm(2), coupling]
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), 2)
    model = tfpf.FlowModel(tfpf.distributions.Flow(base, tfp.bijectors.Chain(parts)))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.5), jit_compile=jit_compile)
    if rank == 1:  # It takes the weights of the first worker.
        for weight in network.weights:
            weight.assign(weight + 1.0)
    callbacks = []
    if folder:
        callbacks = [keras.callbacks.ModelCheckpoint(folder / "checkpoint.keras")]
    history = model.fit(
        X, batch_size=16, epochs=2, shuffle=False, validation_data=X[:9], callbacks=callbacks
    ).history
    # At the end of a dataset one worker has no row at all.
    short = tf.data.Dataset.from_tensor_slices(X[:9]).batch(4)
    if folder:
        model.save(folder / "saved.keras")
    return {
        **history,
        "evaluate": model.evaluate(X, batch_size=16),
        "predict": model.predict(X[:9], batch_size=4),
        "predict_short": np.sort(model.predict(short)),
        "fit_short": model.fit(short).history["loss"],
        "evaluate_short": model.evaluate(short),
    }


def conditional():
    """Fits pairs, with weights of rows."""
    model = tfpf.FlowModel(tfpf.flows.real_nvp(2, context_size=1, **SMALL))
    model.compile(keras.optimizers.SGD(0.05), jit_compile=False)
    weight = np.linspace(0.0, 1.0, 60)
    history = model.fit(CONTEXT, X, sample_weight=weight, batch_size=16, shuffle=False).history
    return {**history, "predict": model.predict((CONTEXT, X), batch_size=16)}


def variational(num_workers=1):
    """Draws in a step of two workers what one process draws in two."""
    location = tf.Variable([0.0, 0.0])

    def target(z):
        # Its gradient by the location is the noise, wherever that is.
        noise = tf.stop_gradient(z - location)
        return tf.reduce_sum(noise * (z - tf.stop_gradient(location)), axis=-1)

    normal = tfp.distributions.MultivariateNormalDiag(location, [1.0, 1.0])
    model = tfpf.VariationalModel(normal, target, num_samples=16, seed=3)
    model.compile(keras.optimizers.SGD(0.1 * num_workers), jit_compile=False)
    history = model.fit(steps_per_epoch=4 // num_workers).history
    return {**history, "location": location.numpy(), "evaluate": model.evaluate(4 // num_workers)}


def matching():
    """Each worker draws noise of its own, so that nothing but their agreement can be compared."""
    flow = tfpf.flows.ffjord(2, hidden_units=(4,), solver="euler", num_steps=1, seed=1)
    model = tfpf.FlowModel(flow, objective="flow_matching")
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    history = model.fit(X, batch_size=16, epochs=2, shuffle=False).history
    return {
        **history,
        "evaluate": model.evaluate(X, batch_size=16),
        "weights": np.concatenate([np.ravel(weight.numpy()) for weight in model.weights]),
    }


def resumed(backup_dir=None, kill=None):
    """A training that one worker may not survive: `kill` is the number of epochs that end."""
    model = tfpf.FlowModel(tfpf.flows.real_nvp(2, **SMALL))
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    callbacks = [keras.callbacks.BackupAndRestore(backup_dir)] if backup_dir else []
    if kill is not None:
        callbacks.append(_killing(kill))
    history = model.fit(X, batch_size=16, epochs=EPOCHS, shuffle=False, callbacks=callbacks).history
    return {**history, "predict": model.predict(X, batch_size=16)}


def _killing(epochs):
    def kill(epoch, logs):
        if epoch == epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    return keras.callbacks.LambdaCallback(on_epoch_begin=kill)


def rows_of_an_epoch(strategy):
    """The numbers of the rows that this worker meets, in an order drawn anew."""
    from tfp_flows.models._batches import batches
    from tfp_flows.models._workers import shared_seed

    numbers = np.arange(64, dtype="float32")
    dataset = batches((numbers,), None, 8, True, shared_seed(strategy))
    dataset = strategy.experimental_distribute_dataset(dataset)
    return np.concatenate([strategy.experimental_local_results(b[0][0])[0] for b in dataset])


def refused(rank):
    """The message for workers that draw permutations each for itself."""
    model = tfpf.FlowModel(tfpf.flows.neural_spline(6, num_layers=2, hidden_units=(4,), seed=rank))
    model.compile(jit_compile=False)
    try:
        model.fit(np.zeros([8, 6], "float32"))
    except ValueError as error:
        return str(error)
    return ""


def main(folder, part):
    keras.config.disable_interactive_logging()
    rank = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    folder = pathlib.Path(folder)
    results = {}

    def put(name, value):
        results[name] = value
        text = json.dumps(results, default=np.ndarray.tolist)
        (folder / f"{part}{rank}.json").write_text(text)

    with strategy.scope():
        if part == "train":
            put("flow_model", flow_model(folder, rank, jit_compile=True))
            put("conditional", conditional())
            put("variational", variational(num_workers=2))
            put("matching", matching())
            put("rows", rows_of_an_epoch(strategy))
            put("refused", refused(rank))
        kill = 2 if (part, rank) == ("train", 1) else None
        with contextlib.suppress(tf.errors.OpError):
            put("resumed", resumed(str(folder / "backup"), kill))
    put("has_backup", (folder / "backup").exists())
    # Without a goodbye to a worker that is gone.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
