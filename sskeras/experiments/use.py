"""What a finished run is good for: scores on other data, predictions."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from sskeras import data, evaluate, explain, methods
from sskeras.experiments.folder import RunFolder
from sskeras.methods.saving import load_model

MOST_FILMS = 24  # in a figure
SIDE = 384  # pixels of a film in a figure
SUFFIXES = (".png", ".jpg", ".jpeg")


def load(run):
    """Returns the trained method of a finished run.

    Raises:
        ValueError: If it is a method from elsewhere that was not imported: a folder
            does not decide what is run here.
    """
    folder = RunFolder(run)
    method = str(folder.read_settings().get("method"))
    if ":" in method and method.partition(":")[0] not in sys.modules:
        raise ValueError(
            f"'{run}' was trained with {method}, code that is no part of sskeras. If "
            f"you trust it, import it first: `--method {method}` does so."
        )
    methods.find(method)
    return load_model(folder.model)


def predict(model, x):
    """Class probabilities of pictures; of `Shards`, few are in memory at a time.

    Args:
        model: A trained method.
        x: What `data.open_pictures` or `data.load_pictures` returns.

    Returns:
        Float array of shape `(len(x), num_classes)`.
    """
    if isinstance(x, data.Shards):
        x = x.in_order(256)
    with data.shards.plain_errors():
        return model.predict(x, batch_size=256, verbose=0)


def score(model, rows, probabilities):
    """Scores of manifest rows, with their weights, by patient.

    Args:
        model: A trained method, which knows the class names.
        rows: Rows of a manifest.
        probabilities: What the model predicts for them.

    Returns:
        Dict, see `evaluate.scores`.
    """
    return evaluate.scores(
        data.encode_labels(rows, model.class_names),
        probabilities,
        model.class_names,
        weight=rows.weight,
        patient_id=rows.patient_id,
    )


def evaluate_run(run, manifest, split="test"):
    """Scores of a finished run on a split of a manifest."""
    model = load(run)
    rows = data.select(data.read_manifest(manifest), split)
    data.check_pictures(rows)
    x = data.open_pictures(rows, *input_size(model))
    return score(model, rows, predict(model, x))


def input_size(model):
    """Returns `(height, width)` and the number of channels that a model takes."""
    *size, channels = model.network.input_shape[1:]
    return size, channels


def predict_files(run, inputs):
    """Predictions of a finished run for pictures.

    Args:
        run: Folder of the run.
        inputs: Picture files, and folders that are searched for them. A folder of
            shards stands for all pictures in them.

    Returns:
        DataFrame with a row for each picture: `image`, `prediction` and the
        probability of each class; and the number of other files passed over.
    """
    folders = [path for path in inputs if Path(path, "shards.json").is_file()]
    files = [path for path in inputs if path not in folders]
    paths, others = find_pictures(files) if files else ([], 0)
    model = load(run)
    names, parts = [str(path) for path in paths], []
    if paths:
        parts.append(data.load_pictures(paths, *input_size(model)))
    for folder in folders:
        rows = data.read_manifest(folder)
        names += [str(Path(folder, image)) for image in rows.image]
        parts.append(data.open_pictures(rows, *input_size(model)))
    probabilities = np.concatenate([predict(model, x) for x in parts])
    table = pd.DataFrame({"image": names})
    table["prediction"] = [model.class_names[i] for i in probabilities.argmax(-1)]
    table[list(model.class_names)] = probabilities
    return table, others


def explain_files(run, inputs, map_name="grad-cam", path=0):
    """Draws pictures as a finished run sees them: `explain.figure`.

    Args:
        run: Folder of the run.
        inputs: Picture files, and folders that are searched for them.
        map_name: Name of a map, such as `"grad-cam"`.
        path: Output of the network to explain.

    Returns:
        Array of Axes.

    Raises:
        ValueError: If there are too many pictures for one figure.
    """
    paths, _ = find_pictures(inputs)
    if len(paths) > MOST_FILMS:
        raise ValueError(
            f"{len(paths)} pictures do not fit into one figure: name at most "
            f"{MOST_FILMS}."
        )
    model = load(run)
    size, channels = input_size(model)
    return explain.figure(
        model,
        data.load_pictures(paths, size, channels),
        [file.name for file in paths],
        data.load_pictures(paths, (SIDE, SIDE), channels),
        getattr(explain, map_name.replace("-", "_")),
        path,
    )


def find_pictures(inputs):
    """Returns the pictures among files and folders, and how many files are others."""
    paths, others = [], 0
    for path in map(Path, inputs):
        if not path.exists():
            raise FileNotFoundError(f"'{path}' does not exist.")
        if path.is_file():
            paths.append(path)
            continue
        files = sorted(file for file in path.rglob("*") if file.is_file())
        found = [file for file in files if file.suffix.lower() in SUFFIXES]
        paths += found
        others += len(files) - len(found)
    if not paths:
        raise FileNotFoundError(
            f"No picture in {', '.join(map(str, inputs))}. Expected files that end in "
            f"{', '.join(SUFFIXES)}."
        )
    return paths, others
