"""The choices behind `sskeras train --preset best`, on folds of the training split.

    python benchmarks/recipe.py patches --data MANIFEST
    python benchmarks/recipe.py steps --data MANIFEST

Nothing of the test split is read. A third of the films is held out, by patient; of the
rarest class two thirds are, since three labels leave little to lose and a few films
judge nothing. They are weighted back to the class's share. `patches` asks how well the
discriminants alone tell the classes, over 30 draws of the labels; `steps` follows the
recipe from the teacher to its second judge, with one draw for each fold.
"""

import argparse
import itertools

import common
import keras
import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedGroupKFold

from sskeras import augment, data, evaluate, methods, networks, set_precision
from sskeras.experiments.train import taught
from sskeras.layers import PatchDictionary, SecondJudge, second_judge
from sskeras.networks import discriminant

FOLDS, DRAWS, SHARE = 3, 30, 0.05
EPOCHS, BATCH, FILTERS = 15, 256, (8, 16)
# Patches, size, grid and shrinkage: the chosen, then each with others in its place.
CHOSEN = {"patches": 100, "size": 6, "grid": 4, "shrinkage": 0.5}
OTHERS = {
    "patches": (50, 200),
    "size": (4, 8),
    "grid": (1, 2, 6),
    "shrinkage": (0.03, 0.1, 0.3, 0.7, 0.9),
}


def main():
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("patches", "steps"))
    parser.add_argument("--data", required=True, help="manifest.csv")
    arguments = parser.parse_args()
    common.print_machine()
    table = data.read_manifest(arguments.data)
    rows = data.select(table, "train")
    y = data.encode_labels(rows, data.class_names(table))
    x = data.open_pictures(rows, 64)
    folds = [split(y, rows.patient_id, fold) for fold in range(FOLDS)]
    {"patches": patches, "steps": steps}[arguments.part](x, y, folds)


def split(y, patients, fold):
    """Whether each film is held out."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    held = [*folds.split(y, y, patients)][fold][1]
    inside = np.isin(np.arange(len(y)), held)
    return np.where(y == discriminant.rarest(y), ~inside, inside)


def hidden(y, held, seed):
    """Labels of the films that are not held out: as many as `SHARE` of all keeps."""
    kept = np.full(len(y), -1, "int32")
    rng = np.random.default_rng(seed)
    for c in np.unique(y):
        free = np.flatnonzero((y == c) & ~held)
        kept[rng.choice(free, int(SHARE * np.sum(y == c)), replace=False)] = c
    return kept[~held]


def scores(y, held, logits):
    """Accuracy, macro-F, and the F of the rarest class, on the films held out."""
    rare = discriminant.rarest(y)
    seen, truth = logits.argmax(-1), y[held]
    share = np.mean(y == rare)
    common_ones, rare_ones = np.sum(truth != rare), np.sum(truth == rare)
    weight = np.where(truth == rare, share / (1 - share) * common_ones / rare_ones, 1.0)
    accuracy = accuracy_score(truth, seen, sample_weight=weight)
    f = f1_score(truth, seen, average=None, sample_weight=weight, labels=np.unique(y))
    return accuracy, f.mean(), f[rare]


def patches(x, y, folds):
    """Discriminants alone, with what was chosen and with others in its place."""
    tried = [CHOSEN] + [
        {**CHOSEN, name: value} for name in OTHERS for value in OTHERS[name]
    ]
    results = {tuple(options.values()): [] for options in tried}
    for held, options in itertools.product(folds, tried):
        *layer, shrinkage = options.values()
        second_judge.SHRINKAGE = shrinkage
        found = features(x, held, *layer)
        for seed in range(DRAWS):
            labels = hidden(y, held, seed)
            results[tuple(options.values())].append(alone(found, labels, y, held))
    rows = [[*options, *cells(found)] for options, found in results.items()]
    common.print_table([*CHOSEN, "accuracy", "MacroF", "F of the rarest"], rows)


def features(x, held, count, size, grid):
    """Features of the training films and of those held out."""
    dictionary = PatchDictionary(count, size, grid=grid)
    network = keras.Sequential([keras.Input(x.shape[1:]), dictionary])
    dictionary.adapt(x[~held])
    return [network.predict(x[rows], BATCH, verbose=0) for rows in (~held, held)]


def alone(found, labels, y, held):
    """Scores of a second judge whose network says nothing."""
    train, test = found
    share = discriminant.share_of_labels(labels, int(y.max()) + 1)
    nothing = [np.zeros((len(part), len(share)), "float32") for part in found]
    judge = SecondJudge(discriminant.rarest(y))
    judge([nothing[0][:1], train[:1]])
    judge.adapt(nothing[0], train, labels, share)
    answers = judge([nothing[1], test])
    return scores(y, held, keras.ops.convert_to_numpy(answers))


def steps(x, y, folds):
    """The recipe from the teacher to its second judge."""
    set_precision("auto")
    results = {}
    for seed, held in enumerate(folds):
        keras.utils.set_random_seed(seed)
        labels, films = hidden(y, held, seed), x[~held]
        teacher = trained(films, labels, seed)
        judged = networks.with_second_judge(teacher, films, labels)
        learned = taught(labels, judged.predict(films, BATCH, verbose=0))
        share = {discriminant.rarest(y): 0.2}
        student = trained(films, learned, seed, augment.Strong(), class_share=share)
        both = networks.with_second_judge(student, films, labels)
        for name, network in {
            "teacher": teacher,
            "teacher, second judge": judged,
            "student": student,
            "student, second judge": both,
        }.items():
            found = scores(y, held, network.predict(x[held], BATCH, verbose=0))
            results.setdefault(name, []).append(found)
            print(name, seed, *(f"{100 * score:.1f}" for score in found), flush=True)
    rows = [[name, *cells(found)] for name, found in results.items()]
    common.print_table(["", "accuracy", "MacroF", "F of the rarest"], rows)


def trained(x, y, seed, view=None, **options):
    """A trained network."""
    network = networks.resnet(x.shape[1:], int(y.max()) + 1, FILTERS)
    model = methods.Supervised(network, weak=view)
    count = data.steps_per_epoch(y, BATCH, **options)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, EPOCHS * count)
    model.compile(keras.optimizers.Adam(rate, epsilon=1e-8))
    batches = data.batches(x, y, BATCH, seed=seed, **options)
    model.fit(batches, epochs=EPOCHS, steps_per_epoch=count, shuffle=False, verbose=0)
    return model.network


def cells(found):
    """Percent: mean and 95 % interval of each score."""
    return [
        evaluate.cell(evaluate.over_seeds(column)) for column in np.transpose(found)
    ]


if __name__ == "__main__":
    main()
