"""One run, from a manifest to scores, figures and exported models."""

import contextlib
import dataclasses
import sys
import time

import keras
import numpy as np
import pandas as pd

from sskeras import data, export, methods, networks, plots
from sskeras.experiments import build, use, workers
from sskeras.experiments.checkpoint import Checkpoint, state
from sskeras.experiments.folder import RunFolder, read_json, room_in, whole, write_text
from sskeras.networks.discriminant import rarest
from sskeras.precision import choose


def train(settings, out, cache=None):
    """Trains, evaluates on the test split after the last epoch, and exports.

    An interrupted run is taken up after its last whole epoch. On several devices or
    machines, see `workers`, a batch is still a batch of all of them.

    Args:
        settings: A `Settings`.
        out: Folder for the results.
        cache: Folder for the decoded pictures; `None` keeps them in memory. Those
            in shards stay on disk anyway.

    Returns:
        The scores of `evaluate.scores`.
    """
    with workers.plain_errors():
        return _train(settings, out, cache)


def _train(settings, out, cache):
    strategy = workers.strategy()  # TensorFlow wants it before all else.
    rows, test_rows, classes, y = read(settings)
    folder = RunFolder(out)
    settings = with_precision(settings, folder)
    content = settings.to_json()
    if workers.cluster() and folder.metrics.exists():
        folder.compare(content)  # A scheduler has restarted what had just finished.
        return folder.read_scores()
    folder.check(content)
    workers.agree("settings", content | {"data": ""})  # It has a checksum.
    with precision(settings.precision):
        if settings.teacher:  # What is wrong with it is said now, too.
            build.model(teacher_settings(settings), classes, y)
        with strategy.scope():
            model = build.model(settings, classes, y)
    chief = workers.is_chief()
    print(summary(classes, y, settings), flush=True)
    size = settings.image_size, settings.channels, cache
    x = data.open_pictures(rows, *size)
    x_test = data.open_pictures(test_rows, *size) if chief else None
    # Whatever is wrong has been said by now.
    with folder.started(content) if chief else contextlib.nullcontext():
        workers.wait()
        workers.agree("folder", appears(folder.settings))
        with data.shards.plain_errors():
            fit(model, x, labels(settings, x, y, folder, cache), settings, folder)
        if chief:
            model = on_one_device(model, settings, y)
            if settings.second_judge:
                model = judged(model, x, y, settings.seed)
            with room_in(folder.path):
                finish(model, x_test, test_rows, folder)
    workers.wait()
    workers.agree("results", appears(folder.metrics))  # A student needs the teacher's.
    return folder.read_scores()


def appears(path, patience=90):
    """Whether a file is there; a shared disk may show it a minute later."""
    end = time.monotonic() + patience
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.2)
    return path.exists()


def finish(model, x, rows, folder):
    """Scores and exports a trained method."""
    scores = evaluate_test(model, x, rows, folder)
    with whole(folder.model) as partial:
        model.save(partial)
    if not folder.saved_model.exists():
        print("Exporting, then comparing in a process of its own ...", flush=True)
        settings = read_json(folder.settings)
        export.saved_model(model, folder.saved_model, settings)
    folder.finish(scores, workers.strategy().num_replicas_in_sync)


def read(settings):
    """Reads and checks the data; nothing has been written when an error is raised.

    Returns:
        Training rows, test rows, class names, and the training labels with the
        hidden ones at -1.
    """
    table = data.read_manifest(settings.data)
    classes = settings.classes or data.class_names(table)
    if taken := {"image", "label", "weight", "prediction"}.intersection(classes):
        raise ValueError(
            f"No class may be called {', '.join(sorted(taken))}: a column of "
            "predictions.csv has that name. Rename it in the manifest."
        )
    rows, test_rows = data.select(table, "train"), data.select(table, "test")
    truth = data.encode_labels(rows, classes)
    data.encode_labels(test_rows, classes)  # A wrong label is found before training.
    y = data.hide_labels(truth, settings.labeled, settings.seed)
    data.check_labels(y, classes)
    data.check_pictures(pd.concat([rows, test_rows]))
    return rows, test_rows, classes, y


def summary(classes, y, settings):
    """What is about to be trained, in a line of text."""
    weights = settings.class_weight or [1.0] * len(classes)
    counts = [
        f"{name} {np.sum(y == index)} (weight {weight:g})"
        for index, (name, weight) in enumerate(zip(classes, weights, strict=True))
    ]
    return (
        f"{settings.method}: {len(y)} training pictures, {np.sum(y >= 0)} labeled: "
        f"{', '.join(counts)}; {settings.epochs} epochs of "
        f"{build.steps_per_epoch(settings, classes, y)} steps"
    )


def labels(settings, x, y, folder, cache):
    """The labels, and what a teacher takes the other images for, if there is one."""
    if not settings.teacher:
        return y
    teacher = RunFolder(folder.path / "teacher")
    finished = teacher.metrics.exists()
    workers.agree("teacher", finished)
    if not finished:
        print(f"The teacher, in '{teacher.path}':", flush=True)
        train(teacher_settings(settings), teacher.path, cache)
    found = y[:0]
    if workers.is_chief():
        found = taught(y, use.predict(use.load(teacher.path), x))
    return workers.gathered(found)


def taught(y, answers):
    """The labels; where there is none, the likeliest class but for the rarest."""
    common = np.where(np.arange(answers.shape[-1]) == rarest(y), -np.inf, answers)
    return np.where(y >= 0, y, common.argmax(-1)).astype(y.dtype)


def teacher_settings(settings):
    """The same, but for what is the student's alone."""
    alone = {"teacher": "", "class_share": {}, "view": "", "arguments": {}}
    return dataclasses.replace(settings, method=settings.teacher, **alone)


def judged(model, x, y, seed):
    """A method that predicts with a second judge."""
    network = networks.with_second_judge(model.network, x, y, seed=seed)
    model = methods.Supervised(network, class_names=model.class_names)
    model.compile(metrics=["accuracy"])
    return model


def fit(model, x, y, settings, folder):
    """Trains to the last epoch; writes history and learning curves."""
    history, strategy, chief = [], workers.strategy(), workers.is_chief()
    checkpoint = Checkpoint(folder.checkpoint, history)
    done = checkpoint.restore(model)
    workers.agree("checkpoint", done)
    if done:
        print(f"Taking up the run after epoch {done} of {settings.epochs}.", flush=True)
    steps = build.steps_per_epoch(settings, model.class_names, y)
    stream = data.batches(
        x,
        y,
        seed=settings.seed,
        start=done * steps,
        with_index=model.needs_index,
        strategy=strategy if strategy.num_replicas_in_sync > 1 else None,
        **build.sampling(settings, model.class_names, y),
    )
    model.fit(
        stream,
        epochs=settings.epochs,
        initial_epoch=done,
        steps_per_epoch=steps,
        callbacks=[checkpoint] if chief else [],
        verbose=(1 if sys.stdout.isatty() else 2) if chief else 0,
    )
    if chief:
        write_text(folder.history, pd.DataFrame(history).to_csv(index=False))
        plots.save(plots.learning_curves(history), folder.path / "learning_curves.png")


def on_one_device(model, settings, y):
    """The same method, so that predicting and saving need no other device."""
    if workers.strategy().num_replicas_in_sync == 1:
        return model
    with precision(settings.precision):
        alone = build.model(settings, model.class_names, y)
    for variable, value in zip(state(alone), state(model), strict=True):
        variable.assign(keras.ops.convert_to_numpy(value))
    return alone


def evaluate_test(model, x, rows, folder):
    """Scores on the test rows; writes predictions and confusion matrix."""
    probabilities = use.predict(model, x)
    scores = use.score(model, rows, probabilities)
    predictions = rows[["image", "label", "weight"]].copy()
    predictions[list(model.class_names)] = probabilities
    write_text(folder.path / "predictions.csv", predictions.to_csv(index=False))
    axes = plots.confusion_matrix(scores["confusion_matrix"], model.class_names)
    plots.save(axes, folder.path / "confusion_matrix.png")
    return scores


def with_precision(settings, folder):
    """Settings in which a dtype policy has taken the place of "auto".

    An interrupted run goes on with the policy it began with, also on another machine.
    """
    if settings.precision != "auto" or folder.metrics.exists():
        return settings  # A finished run is about to be refused.
    if folder.settings.exists():
        begun = read_json(folder.settings)
        policy, reason = begun.get("precision", "auto"), "as the run began"
    else:
        policy, reason = choose("auto")
    print(f"precision {policy}: {reason}", flush=True)
    return dataclasses.replace(settings, precision=policy)


@contextlib.contextmanager
def precision(policy):
    """Builds networks under a dtype policy, then restores the one before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
