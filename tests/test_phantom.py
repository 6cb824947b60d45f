"""The drawn chest films: what a set promises, and what a film shows."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_tools import manifest, phantom
from data_tools.drawing import anatomy, film

ROOT = Path(__file__).parents[1]
COUNT, SIZE = 240, 32
SICK = [
    (label, stage)
    for label in ("pneumonia", "covid-19")
    for stage in ("early", "developed", "late")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "phantom"
    phantom.write(out, COUNT, seed=1, size=SIZE)
    return out


def contents(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def command(*arguments):
    return [sys.executable, "-m", "data_tools", *map(str, arguments)]


# The set.


def test_counts_follow_the_stated_rule():
    assert phantom.count_films(6000) == {
        "normal": {"train": 1957, "test": 840},
        "pneumonia": {"train": 2119, "test": 909},
        "covid-19": {"train": 75, "test": 100},
    }
    for count in (80, 239, 240, 18543):
        films = phantom.count_films(count)
        assert sum(n for split in films.values() for n in split.values()) == count
        assert min(n for split in films.values() for n in split.values()) >= 1
        normal, pneumonia = (sum(films[c].values()) for c in ("normal", "pneumonia"))
        exact = (normal + pneumonia) * 8851 / (8851 + 9584)
        assert abs(normal - exact) <= 0.5
        assert films["normal"]["train"] == int(np.floor(0.7 * normal))
        assert films["pneumonia"]["train"] == int(np.floor(0.7 * pneumonia))


def test_weights_give_the_papers_prevalence():
    rows, _ = phantom.plan(6000, seed=0)
    test = [row for row in rows if row["split"] == "test"]
    weights = defaultdict(float)
    for row in test:
        weights[row["label"]] += float(row["weight"])
    share = weights["covid-19"] / sum(weights.values())
    assert share == pytest.approx(33 / 5565, rel=1e-5)
    assert {row["weight"] for row in rows if row["split"] == "train"} == {"1"}


def test_a_patient_has_one_to_three_films_in_one_split_and_never_recovers():
    rows, seeds = phantom.plan(6000, seed=0)
    films = defaultdict(list)
    for row, (_, patient) in zip(rows, seeds, strict=True):
        films[row["patient_id"]].append((row, tuple(patient)))
    order = ["", "early", "developed", "late"]
    for patient in films.values():
        stages = [order.index(row["stage"]) for row, _ in patient]
        assert stages == sorted(stages)
        assert len({(row["split"], row["label"], seed) for row, seed in patient}) == 1
    assert {len(patient) for patient in films.values()} == {1, 2, 3}
    people = {patient[0][1] for patient in films.values()}
    assert len(people) == len(films)  # nobody is drawn under two names
    assert len({tuple(seed) for seed, _ in seeds}) == len(rows)


def test_manifest_reads_as_text_and_names_files_that_exist(folder):
    rows = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    assert list(rows) == (
        "image label patient_id source split weight stage mask license".split()
    )
    assert len(rows) == COUNT
    assert set(rows.label) == {"normal", "pneumonia", "covid-19"}
    assert set(rows.source) == {"phantom"}
    assert ((rows["mask"] == "") == (rows.label == "normal")).all()
    assert ((rows.stage == "") == (rows.label == "normal")).all()
    for path in [*rows.image, *rows["mask"][rows["mask"] != ""]]:
        with Image.open(folder / path) as picture:
            assert (picture.mode, picture.size) == ("L", (SIZE, SIZE))
    assert len(contents(folder)) == COUNT + (rows["mask"] != "").sum() + 2


def test_same_seed_same_bytes_whatever_the_workers(folder, tmp_path):
    phantom.write(tmp_path / "two", COUNT, seed=1, size=SIZE, workers=2)
    assert contents(tmp_path / "two") == contents(folder)
    phantom.write(tmp_path / "other", 80, seed=2, size=SIZE)
    name = "images/train-normal-00000.png"
    assert (tmp_path / "other" / name).read_bytes() != (folder / name).read_bytes()


def test_a_small_set_is_part_of_a_large_one(folder, tmp_path):
    phantom.write(tmp_path, 80, seed=1, size=SIZE)
    small, large = contents(tmp_path), contents(folder)
    for label in ("normal", "pneumonia"):
        name = f"images/test-{label}-00003.png"
        assert small[name] == large[name]


def test_a_finished_set_is_kept_and_another_refused(folder):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    phantom.write(folder, COUNT, seed=1, size=SIZE)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    with pytest.raises(FileExistsError, match="another set.*'seed': 2.*'seed': 1"):
        phantom.write(folder, COUNT, seed=2, size=SIZE)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_a_folder_of_other_films_is_refused(tmp_path):
    (tmp_path / "manifest.csv").write_text("image,label\na.png,normal\n")
    with pytest.raises(FileExistsError, match="no phantom.json"):
        phantom.write(tmp_path, COUNT, size=SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.csv"]


@pytest.mark.skipif(os.name != "posix", reason="kills a process the POSIX way")
def test_a_killed_run_leaves_no_manifest_and_can_be_completed(folder, tmp_path):
    out = tmp_path / "set"
    options = ("phantom", "--out", out, "--count", COUNT, "--size", SIZE)
    options += ("--seed", 1, "--workers", 2)
    run = subprocess.Popen(command(*options), cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(out.glob("images/*.png"))) < 20:
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=20)  # The pipe closes when the workers are gone too.
    assert not (out / "manifest.csv").exists()
    assert len(list(out.glob("images/*.png"))) < COUNT
    done = subprocess.run(command(*options), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(folder)
    assert "covid-19         3       4" in done.stdout


@pytest.mark.parametrize("workers", [1, 2])
def test_a_write_that_fails_leaves_no_manifest(tmp_path, workers):
    (tmp_path / "images" / "test-normal-00002.png").mkdir(parents=True)
    with pytest.raises(OSError, match="test-normal-00002"):
        phantom.write(tmp_path, 80, size=SIZE, workers=workers)
    assert not (tmp_path / "manifest.csv").exists()


# The film.


def lungs_of(seed, size):
    person, _ = film.generators(seed)
    pose, _ = film.generators(seed)
    line = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    position = anatomy.position(pose, *np.meshgrid(line, line))
    return anatomy.chest(person, pose, *position)[2]


@pytest.mark.parametrize("label,stage", SICK)
def test_masks_lie_in_the_lungs_on_the_right_sides(label, stage):
    for seed in range(40):
        mask = phantom.draw(label, stage, seed, 64)[1]
        assert set(np.unique(mask)) == {0, 255}
        lungs = lungs_of(seed, 64)
        assert (lungs.field[mask > 0] > 0.3).all()
        right = (lungs.right[mask > 0]).mean()
        if label == "pneumonia":
            assert right in (0, 1)
        else:
            assert 0.02 < right < 0.98


def test_pneumonia_takes_either_side():
    sides = {
        bool(lungs_of(seed, 32).right[phantom.draw(*SICK[2], seed, 32)[1] > 0].all())
        for seed in range(10)
    }
    assert sides == {True, False}


@pytest.mark.parametrize("label", ["pneumonia", "covid-19"])
def test_lesions_are_denser_in_each_later_stage(label):
    contrast = {stage: [] for stage in ("early", "developed", "late")}
    for seed in range(40):
        healthy = phantom.draw("normal", "", seed, 64)[0].astype(float)
        for stage, values in contrast.items():
            sick, mask = phantom.draw(label, stage, seed, 64)
            values.append((sick - healthy)[mask > 0].mean())
    early, developed, late = map(np.mean, contrast.values())
    assert 8 < early < 0.6 * developed and developed < 0.8 * late
    assert min(contrast["early"]) > 2  # the faintest still changes its pixels
    assert (np.array(contrast["early"]) < contrast["late"]).all()


@pytest.mark.parametrize("label,stage", SICK)
def test_nothing_but_the_lesion_depends_on_the_class(label, stage):
    for seed in range(10):
        healthy, empty = phantom.draw("normal", "", seed, 64)
        sick, _ = phantom.draw(label, stage, seed, 64)
        away = lungs_of(seed, 66).field[1:-1, 1:-1] == 0
        away = ~dilated(~away)
        assert away.mean() > 0.3
        np.testing.assert_array_equal(sick[away], healthy[away])
        assert (sick != healthy).any() and not empty.any()


def dilated(region):
    """The region and its neighbours, as far as the film's blur reaches, and more."""
    padded = np.pad(region, 2)
    size = len(region)
    return np.any(
        [padded[i : i + size, j : j + size] for i in range(5) for j in range(5)], axis=0
    )


def test_border_and_brightness_do_not_tell_the_class():
    rows, seeds = phantom.plan(6000, seed=5)
    chosen = [i for i, row in enumerate(rows) if row["label"] != "covid-19"][::10]
    features, labels = [], []
    for i in chosen:
        film_seed, patient = seeds[i]
        label, stage = rows[i]["label"], rows[i]["stage"]
        picture, _ = phantom.draw(label, stage, film_seed, SIZE, patient)
        frame = [picture[:3], picture[-3:], picture[:, :3].T, picture[:, -3:].T]
        features.append([f(p) for p in [*frame, picture] for f in (np.mean, np.std)])
        labels.append(label)
    prior = max(labels.count(label) for label in set(labels)) / len(labels)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    brightness = np.array(features)[:, -2:-1]
    for inputs in (np.array(features)[:, :-2], brightness):
        accuracy = cross_val_score(model, inputs, labels, cv=5).mean()
        assert accuracy < prior + 0.08


def test_same_patient_same_anatomy_other_film():
    def film_of(seed, patient):
        return phantom.draw("normal", "", seed, 64, patient)[0].astype(float)

    same = [
        np.corrcoef(film_of(i, 0).ravel(), film_of(i + 50, 0).ravel())[0, 1]
        for i in range(20)
    ]
    other = [
        np.corrcoef(film_of(i, i).ravel(), film_of(i + 50, i + 50).ravel())[0, 1]
        for i in range(20)
    ]
    assert max(same) < 1
    assert np.mean(same) > np.mean(other)


# Errors and the command line.


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"count": 79}, "at least 80 films.*count=79"),
        ({"size": 31}, "at least 32 pixels.*size=31"),
        ({"seed": -1}, "0 or greater.*seed=-1"),
    ],
)
def test_bad_sets_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        phantom.write(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "arguments,message",
    [
        (("flu", "late", 0), "Unknown label.*Received: 'flu'"),
        (("pneumonia", "", 0), r"Unknown stage of pneumonia.*'early'.*Received: ''"),
        (("normal", "late", 0), r"Expected one of \[''\]. Received: 'late'"),
        (("normal", "", 0, 16), "at least 32 pixels"),
    ],
)
def test_bad_films_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        phantom.draw(*arguments)


def test_command_line_says_what_is_wrong_without_a_traceback(tmp_path):
    run = subprocess.run(
        command("phantom", "--out", tmp_path / "new", "--count", 5),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    assert "at least 80 films" in run.stderr and "Traceback" not in run.stderr


def test_command_line_starts_without_tensorflow_and_sskeras():
    code = (
        "import sys, data_tools.phantom, data_tools.__main__ as cli\n"
        "try:\n    cli.main(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "print({'tensorflow', 'keras', 'sskeras'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert run.stdout.endswith("set()\n"), run.stderr
    assert "phantom" in run.stdout


@pytest.mark.parametrize(
    "rows,message",
    [
        ([], "at least one row"),
        ([{"image": "a.png"}], r"columns are missing: \['label'\]"),
        ([{"image": "a", "label": "b"}, {"image": "a"}], "manifest.csv, line 3"),
    ],
)
def test_a_bad_manifest_is_refused_and_the_old_one_stays(tmp_path, rows, message):
    path = tmp_path / "manifest.csv"
    good = [{"image": "a, b.png", "label": "NA"}]
    manifest.write(path, good)
    with pytest.raises(ValueError, match=message):
        manifest.write(path, rows)
    read = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert read.to_dict("records") == good
    assert list(tmp_path.iterdir()) == [path]
