"""The split keeps groups whole, meets the paper's counts and can be repeated."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_tools import __main__ as program
from data_tools import groups, manifest, quotas, split
from sskeras.data import class_names, encode_labels, hide_labels, read_manifest, select

ROOT = Path(__file__).parents[1]
TABLE_1 = {"normal": 8851, "pneumonia": 9584, "covid-19": 108}
CLEAN = {
    "train": {"normal": 6195, "pneumonia": 4228, "covid-19": 75},
    "test": {"normal": 2656, "pneumonia": 1813, "covid-19": 33},
}


def clean_rows(seed=0):
    """Rows shaped like the paper's 15,000: some patients have dozens of exams."""
    rng = np.random.default_rng(seed)
    exams = rng.permutation(["normal"] * 8851 + ["pneumonia"] * 6012).tolist()
    rows = []

    def add(patient, labels):
        for label in labels:
            image = f"images/{len(rows):05d}.png"
            rows.append({"image": image, "label": label, "patient_id": patient})

    sizes = itertools.chain(
        [65, 51, 40], (min(int(n), 65) for n in rng.zipf(2.2, 9999))
    )
    for number, size in enumerate(sizes):
        add(f"rsna:{number}", exams[:size])
        exams = exams[size:]
    images = [1] * 51 + [2] * 21 + [3] + [4] * 3
    for number, size in enumerate(images):
        add(f"cohen:{number}", ["covid-19"] * size)
    for number in range(29):
        add(f"cohen:{number * 2 // 3 + 70}", ["pneumonia"])
    return rows


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A folder with the clean set, and its report."""
    folder = tmp_path_factory.mktemp("clean")
    return folder, split.write(folder / "manifest.csv", clean_rows())


def by_class(labels, splits):
    counts = defaultdict(Counter)
    for label, name in zip(labels, splits, strict=True):
        counts[name][label] += 1
    return counts


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# Counts.


def test_table_1_row_by_row_has_exactly_the_papers_counts():
    labels = [label for label, n in TABLE_1.items() for _ in range(n)]
    alone = [f"row {i}" for i in range(len(labels))]
    splits, misses = split.assign(labels, alone)
    assert not misses
    assert by_class(labels, splits) == {
        "train": {"normal": 6195, "pneumonia": 6708, "covid-19": 75},
        "test": {"normal": 2656, "pneumonia": 2876, "covid-19": 33},
    }
    for share, expected in ((0.05, (309, 335, 3)), (0.07, (433, 469, 5))):
        kept = split.labeled(labels, alone, splits, share)
        assert Counter(labels[i] for i in kept) == dict(
            zip(TABLE_1, expected, strict=True)
        )
    kept = split.labeled(labels, alone, splits, 0.09)
    assert Counter(labels[i] for i in kept) == dict(
        zip(TABLE_1, (557, 603, 6), strict=True)
    )


def test_whole_patients_have_exactly_the_floor_of_70_percent(clean):
    folder, report = clean
    rows = manifest.read(folder)
    assert report["counts"] == CLEAN and report["misses"] == []
    assert by_class([r["label"] for r in rows], [r["split"] for r in rows]) == CLEAN
    sides = defaultdict(set)
    for row in rows:
        sides[row["patient_id"]].add(row["split"])
    assert max(len(names) for names in sides.values()) == 1
    assert report["leaks"] == {"picture": {}, "patient": {}, "group": {}}
    assert [list(counts.values()) for counts in report["labeled"].values()] == [
        [309, 211, 3],
        [433, 295, 5],
        [557, 380, 6],
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_seed_meets_the_counts(seed):
    rows = clean_rows(seed)
    labels, names = [r["label"] for r in rows], [r["patient_id"] for r in rows]
    assert sum(len(set(g)) > 1 for g in members(names, labels).values()) > 500
    splits, misses = split.assign(labels, names, seed)
    assert by_class(labels, splits) == CLEAN and not misses
    assert all(len(set(group)) == 1 for group in members(names, splits).values())


def members(names, values):
    groups_ = defaultdict(list)
    for name, value in zip(names, values, strict=True):
        groups_[name].append(value)
    return groups_


def test_shares_are_rounded_down_in_exact_arithmetic():
    for share, count, expected in ((0.7, 10, 7), (0.29, 100, 29), (0.57, 100, 57)):
        splits, _ = split.assign(["a"] * count, list(map(str, range(count))), 0, share)
        assert splits.count("train") == expected


def test_validation_is_taken_from_train_and_leaves_the_test_set_alone():
    rows = clean_rows()
    labels, names = [r["label"] for r in rows], [r["patient_id"] for r in rows]
    without, _ = split.assign(labels, names)
    splits, misses = split.assign(labels, names, validation=0.1)
    assert not misses
    counts = by_class(labels, splits)
    assert counts["val"] == {"normal": 619, "pneumonia": 422, "covid-19": 7}
    assert [s == "test" for s in splits] == [s == "test" for s in without]
    assert all(len(set(group)) == 1 for group in members(names, splits).values())


def test_films_without_label_are_split_too_and_count_as_a_class():
    labels = ["", "a"] * 50
    splits, _ = split.assign(labels, [f"p{i // 4}" for i in range(100)])
    assert by_class(labels, splits) == {
        "train": {"": 36, "a": 36},
        "test": {"": 14, "a": 14},
    }  # 15 is no number of whole patients with two films of each


def test_a_single_film_is_for_testing():
    assert split.assign(["a"], ["p"], validation=0.5) == (["test"], [])


# Quotas.


def reachable(sizes):
    sums = {0}
    for size in sizes:
        sums |= {size + other for other in sums}
    return sums


def test_a_quota_is_met_whenever_some_choice_of_groups_meets_it():
    rng = np.random.default_rng(0)
    outcomes = Counter()
    for case in range(400):
        sizes = rng.integers(1, 12, rng.integers(1, 9)).tolist()
        quota = int(rng.integers(0, sum(sizes) + 1))
        names = {f"{case}-{i}": Counter(a=size) for i, size in enumerate(sizes)}
        chosen = quotas.choose(names, {"a": quota}, f"{case}:test")
        best = max(s for s in reachable(sizes) if s <= quota)
        assert sum(names[name]["a"] for name in chosen) == best
        outcomes[best == quota] += 1
    assert min(outcomes[True], outcomes[False]) > 50


def test_groups_of_two_classes_meet_their_quotas_where_that_is_possible():
    rng = np.random.default_rng(0)
    found = Counter()
    for case in range(300):
        sizes = {
            f"{case}-{i}": Counter(a=int(a), b=int(b))
            for i, (a, b) in enumerate(rng.integers(1, 4, (9, 2)))
        }
        for name in list(sizes)[:3]:
            del sizes[name]["ab"[rng.integers(2)]]
        total = sum(sizes.values(), Counter())
        wanted = {label: n - int(0.7 * n + 1e-6) for label, n in total.items()}
        possible = any(
            sum(choice, Counter()) == wanted
            for k in range(10)
            for choice in itertools.combinations(sizes.values(), k)
        )
        chosen = quotas.choose(sizes, wanted, "0:test")
        received = sum((sizes[name] for name in chosen), Counter())
        assert all(received[label] <= n for label, n in wanted.items())
        found[possible, received == wanted] += 1
    assert found[False, True] == 0 and found[True, True] > 100
    assert found[True, False] < 0.05 * found[True, True]


def test_the_one_group_that_completes_two_classes_is_found():
    sizes = {f"a{i}": Counter(a=2) for i in range(5)} | {"both": Counter(a=1, b=1)}
    sizes |= {f"b{i}": Counter(b=1) for i in range(10)}
    for salt in "0123":
        chosen = quotas.choose(sizes, {"a": 3, "b": 3}, salt)
        assert "both" in chosen and len(chosen) == 4


def test_a_quota_beyond_the_exact_search_is_met_too():
    sizes = {f"p{i}": Counter(a=1 + i % 5) for i in range(20_000)}
    quota = 40_001
    assert quota > 2 * quotas.PLACES
    chosen = quotas.choose(sizes, {"a": quota}, "0:test")
    assert sum(sizes[name]["a"] for name in chosen) == quota


def test_a_count_that_whole_groups_cannot_meet_is_reported():
    labels = ["a"] * 20 + ["b"] * 10
    names = [f"a{i // 4}" for i in range(20)] + [f"b{i}" for i in range(10)]
    splits, misses = split.assign(labels, names)
    miss = {"label": "a", "split": "test", "expected": 6, "received": 4}
    assert misses == [miss]
    assert all(len(set(group)) == 1 for group in members(names, splits).values())


def test_large_groups_are_as_often_in_test_as_small_ones():
    sizes = [1] * 60 + [2] * 30 + [8] * 10 + [12] * 3
    labels, names = [], []
    for number, size in enumerate(sizes):
        mixed = [("normal", "pneumonia")[(number + i) % 2] for i in range(size)]
        labels += mixed if number % 3 else ["covid-19"] * size
        names += [f"p{number}"] * size
    seeds = 300
    share = Counter()
    for seed in range(seeds):
        for name in set(itertools.compress(names, in_test(labels, names, seed))):
            share[sizes[int(name[1:])]] += 1
    for size, count in Counter(sizes).items():
        error = np.sqrt(0.3 * 0.7 / (count * seeds))
        assert abs(share[size] / (count * seeds) - 0.3) < 4 * error + 0.02, size


def in_test(labels, names, seed):
    return [name == "test" for name in split.assign(labels, names, seed)[0]]


def test_a_class_of_few_large_groups_puts_them_on_both_sides_alike():
    sizes = [1] * 20 + [6] * 10
    names = [f"p{i}" for i, size in enumerate(sizes) for _ in range(size)]
    large = np.flatnonzero([sizes[int(name[1:])] > 1 for name in names])[::6]
    seeds = 400
    films = sum(
        np.array(in_test(["a"] * 80, names, seed))[large].sum() for seed in range(seeds)
    )
    error = np.sqrt(0.3 * 0.7 / (10 * seeds))
    assert abs(films / (10 * seeds) - 0.3) < 3 * error


# Repeatable.


def test_the_order_of_the_rows_changes_no_rows_split_and_no_label(clean, tmp_path):
    folder, report = clean
    rows = clean_rows()
    order = np.random.default_rng(1).permutation(len(rows))
    other = split.write(tmp_path / "manifest.csv", [rows[i] for i in order])
    for name in report["sha256"]:
        before = {r["image"]: r for r in manifest.read(folder / name)}
        after = {r["image"]: r for r in manifest.read(tmp_path / name)}
        assert before == after
    assert other | {"sha256": 0} == report | {"sha256": 0}


def test_the_same_rows_give_the_same_bytes_and_another_seed_others(clean, tmp_path):
    folder, _ = clean
    split.write(tmp_path / "manifest.csv", clean_rows())
    assert contents(tmp_path) == contents(folder)
    again = manifest.read(tmp_path)
    split.write(tmp_path / "manifest.csv", again)  # A split manifest is split alike.
    assert contents(tmp_path) == contents(folder)
    split.write(tmp_path / "manifest.csv", again, seed=1)
    rows = manifest.read(tmp_path)
    moved = sum(a["split"] != b["split"] for a, b in zip(rows, again, strict=True))
    assert 0.3 < moved / len(rows) < 0.5  # 2 · 0.3 · 0.7 = 0.42


def test_another_class_moves_no_film_and_no_label():
    labels = ["a"] * 90 + ["b"] * 50
    names = [f"p{i // 3}" for i in range(90)] + [f"q{i // 2}" for i in range(50)]
    splits, _ = split.assign(labels, names, 5, validation=0.2)
    kept = split.labeled(labels, names, splits, 0.2, 5)
    larger, more = labels + ["c"] * 77, names + [f"r{i // 2}" for i in range(77)]
    again, _ = split.assign(larger, more, 5, validation=0.2)
    assert again[:140] == splits
    assert [i for i in split.labeled(larger, more, again, 0.2, 5) if i < 140] == kept


# Labels.


def test_labeled_sets_are_nested_from_train_and_from_as_many_patients_as_can_be():
    rows = clean_rows()
    labels, names = [r["label"] for r in rows], [r["patient_id"] for r in rows]
    splits, _ = split.assign(labels, names, validation=0.1)
    smaller = set()
    for share in (0.0001, 0.01, 0.05, 0.07, 0.09, 0.5, 1.0):
        kept = split.labeled(labels, names, splits, share)
        assert kept == sorted(kept) and smaller <= set(kept)
        assert {splits[i] for i in kept} == {"train"}
        for label in TABLE_1:
            films = [
                i for i, x in enumerate(labels) if (x, splits[i]) == (label, "train")
            ]
            chosen = [i for i in kept if labels[i] == label]
            patients = len({names[i] for i in films})
            assert len({names[i] for i in chosen}) == min(patients, len(chosen))
            assert len(chosen) == max(1, int(share * len(films) + 1e-6))
        smaller = set(kept)


def test_sskeras_trains_on_a_labeled_file_as_it_is(clean):
    folder, _ = clean
    everything = read_manifest(folder)
    for name, expected in (("5", [309, 211, 3]), ("9", [557, 380, 6])):
        table = read_manifest(folder / f"labeled-{name}.csv")
        classes = class_names(table)
        assert classes == ("normal", "pneumonia", "covid-19")
        y = hide_labels(encode_labels(select(table, "train"), classes), share=1)
        assert np.bincount(y[y >= 0]).tolist() == expected
        assert len(y) == 10_498
        test = select(table, "test")
        assert test["label"].tolist() == select(everything, "test")["label"].tolist()
        known = table["label"] != ""
        assert (table["label"] == everything["label"])[known].all()


# Leaks.


@pytest.mark.parametrize("column", ["patient_id", "sha256_pixels", "image", "group"])
def test_rows_that_belong_together_are_refused_in_two_splits(column):
    rows = [
        {"image": f"{i}", "label": "a", "patient_id": f"p{i}", "sha256_pixels": f"{i}"}
        | {"group": f"g{i}", "split": ("train", "test", "val")[i % 3]}
        for i in range(9)
    ]
    groups.check("m.csv", rows)
    groups.check("m.csv", [row | {"patient_id": ""} for row in rows])
    groups.check("m.csv", [row | {"group": "g", "split": ""} for row in rows])
    rows[7][column] = rows[3][column]
    with pytest.raises(
        ValueError, match=f"m.csv: rows 5 and 9 .* {column}.*train.*test"
    ):
        groups.check("m.csv", rows)


def test_a_split_that_cuts_a_group_is_noticed_and_not_written(tmp_path, monkeypatch):
    rows = clean_rows()
    assign = split.assign

    def cut(labels, names, *rest):
        splits, misses = assign(labels, names, *rest)
        whole = members(names, range(len(names)))
        first = next(films for films in whole.values() if len(films) > 1)
        splits[first[0]] = "test" if splits[first[0]] == "train" else "train"
        return splits, misses

    monkeypatch.setattr(split, "assign", cut)
    with pytest.raises(ValueError, match=r"manifest\.csv: rows .* have the same"):
        split.write(tmp_path / "manifest.csv", rows)
    assert not list(tmp_path.iterdir())


def test_a_group_column_that_cuts_a_patient_is_joined(tmp_path):
    rows = [
        {"image": f"{i}.png", "label": "a", "patient_id": f"p{i // 2}", "group": f"{i}"}
        for i in range(40)
    ]
    report = split.write(tmp_path / "manifest.csv", rows)
    assert report["groups"] == 20 and report["counts"]["test"] == {"a": 12}


def test_rows_split_one_by_one_are_counted_where_they_leak(tmp_path):
    boxes = np.random.default_rng(0).integers(1, 4, 300)
    rows = [
        {"image": f"{i}.png", "label": "pneumonia", "patient_id": f"p{i // 3}"}
        for i, n in enumerate(boxes)
        for _ in range(n)
    ]
    rows += [{"image": "x.png", "label": "normal", "patient_id": ""}] * 2
    report = split.write(tmp_path / "manifest.csv", rows, by_row=True)
    written = manifest.read(tmp_path)
    known = [r for r in written if r["split"] == "train"]
    test = [r for r in written if r["split"] == "test"]
    assert len(test) == len(rows) - 1 - int(0.7 * boxes.sum())
    images = {r["image"] for r in known}
    copies = Counter(r["label"] for r in test if r["image"] in images)
    patients = {r["patient_id"] for r in known}
    assert report["leaks"]["picture"] == copies and copies["pneumonia"] > 50
    assert report["leaks"]["patient"] == {
        "pneumonia": sum(r["patient_id"] in patients for r in test if r["patient_id"])
    }
    assert "have their picture in train too" in split.describe(report)
    assert report["rule"] == "row by row"


def test_the_split_of_a_list_is_kept_and_its_leaks_counted(tmp_path):
    rows = [
        {"image": f"{i}.png", "label": "a", "patient_id": f"p{i % 7}", "split": s}
        for i, s in enumerate(["train"] * 12 + ["test"] * 4)
    ]
    report = split.write(tmp_path / "manifest.csv", rows, given=True)
    assert [r["split"] for r in manifest.read(tmp_path)] == [r["split"] for r in rows]
    assert report["leaks"] == {"picture": {}, "patient": {"a": 4}, "group": {"a": 4}}
    assert report["labeled"]["labeled-9.csv"] == {"a": 1}


# Files.


def test_the_report_holds_the_hashes_of_the_files_beside_it(clean):
    folder, report = clean
    assert json.loads((folder / "split.json").read_text("utf-8")) == report
    names = {"manifest.csv", "labeled-5.csv", "labeled-7.csv", "labeled-9.csv"}
    assert set(report["sha256"]) == names
    assert {path.name for path in folder.iterdir()} == names | {"split.json"}
    for name, digest in report["sha256"].items():
        assert sha256((folder / name).read_bytes()).hexdigest() == digest
    assert (folder / "split.json").read_bytes().endswith(b"}\n")


def test_columns_follow_the_patient_and_other_manifests_keep_their_names(tmp_path):
    row = {"image": "a.png", "label": "x", "source": "s", "weight": "1"}
    rows = [row | {"image": f"{i}.png"} for i in range(10)]
    split.write(tmp_path / "b.csv", rows, labeled=(0.005,), provenance={"recipe": "r"})
    names = {"b.csv", "b.labeled-0.5.csv", "b.split.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    columns = ["image", "label", "source", "split", "group", "weight"]
    assert list(manifest.read(tmp_path / "b.csv")[0]) == columns
    found = json.loads((tmp_path / "b.split.json").read_text("utf-8"))
    assert found["provenance"] == {"recipe": "r"}


KILL = """
import os, signal, sys
from data_tools import manifest, split
folder, calls = sys.argv[1], int(sys.argv[2])
replace = os.replace
def count(*paths):
    global calls
    calls -= 1
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)
os.replace = count
split.write(f"{folder}/manifest.csv", manifest.read(folder), seed=1)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process the POSIX way")
def test_a_kill_between_the_writes_leaves_the_old_manifest_whole(tmp_path):
    rows = [{"image": f"{i}.png", "label": "a"} for i in range(30)]
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    split.write(before / "manifest.csv", rows)
    shutil.copytree(before, after)
    split.write(after / "manifest.csv", manifest.read(after), seed=1)
    old, new = contents(before), contents(after)
    assert set(new) == set(old) and new["manifest.csv"] != old["manifest.csv"]
    for calls in (1, 4, 6, 8, 10):  # 5 files get a name in two steps
        folder = shutil.copytree(before, tmp_path / str(calls))
        command = [sys.executable, "-c", KILL, folder, str(calls)]
        assert subprocess.run(command, cwd=ROOT).returncode == -9
        now = contents(folder)
        assert now["manifest.csv"] == old["manifest.csv"]
        if calls <= 6:
            assert now | old == now
        split.write(folder / "manifest.csv", manifest.read(folder), seed=1)
        assert contents(folder) == new


def test_a_failed_write_leaves_everything_as_it_was(tmp_path):
    rows = [{"image": f"{i}.png", "label": "a"} for i in range(30)]
    split.write(tmp_path / "manifest.csv", rows)
    old = contents(tmp_path)
    (tmp_path / ".split.json.new.part").mkdir()
    with pytest.raises(OSError, match=r"split\.json"):
        split.write(tmp_path / "manifest.csv", rows, seed=1)
    (tmp_path / ".split.json.new.part").rmdir()
    assert contents(tmp_path) == old


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": 0}, r"share in \(0, 1\].*train=0"),
        ({"train": 70}, "train=70"),
        ({"validation": 1}, "validation=1"),
        ({"labeled": (5,), "train": 1}, "0.05 for 5 %.*5"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        split.write(tmp_path / "m.csv", [{"image": "a", "label": "b"}], **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "rows",
    [[{"image": "a"}], [{"image": "a", "label": ""}, {"label": "", "image": "b"}]],
)
def test_rows_with_wrong_columns_are_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="same columns, image and label"):
        split.write(tmp_path / "m.csv", rows)


# The command.


@pytest.fixture
def films(tmp_path):
    """40 pictures of noise, of which number 39 is number 0 compressed once more."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9)).astype("uint8"))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(
            tmp_path / f"{number:02d}.png"
        )
        label = ("normal", "pneumonia")[number % 2]
        rows.append({"image": f"{number:02d}.png", "label": label, "split": ""})
    with Image.open(tmp_path / "00.png") as image:
        image.save(tmp_path / "39.jpg", quality=70)
    rows[39]["image"] = "39.jpg"
    manifest.write(tmp_path / "manifest.csv", rows)
    return tmp_path


def run(*arguments):
    return program.main(["split", *map(str, arguments)])


def test_the_command_keeps_near_duplicates_together_and_says_so(films, capsys):
    for seed in range(4):
        assert run(films, "--seed", seed, "--replace") == 0
        rows = {row["image"]: row for row in manifest.read(films)}
        assert rows["00.png"]["group"] == rows["39.jpg"]["group"] == "00.png"
        assert rows["00.png"]["split"] == rows["39.jpg"]["split"]
    shown = capsys.readouterr().out
    assert "1 pairs, 1 of them the same picture, 1 with different labels" in shown
    assert "00.png normal  39.jpg pneumonia" in shown
    assert "  train      14         14   28\n" in shown
    assert "  labeled-9.csv: normal 1, pneumonia 1\n" in shown


def test_with_hashes_only_suspects_are_read(films, capsys):
    rows = manifest.read(films)
    for number, row in enumerate(rows):
        row["phash"] = f"{sha256(b'%d' % (number % 39)).hexdigest()[:16]}"
        if number % 39:
            (films / row["image"]).unlink()
    manifest.write(films / "manifest.csv", rows)
    assert run(films) == 0
    assert "1 pairs" in capsys.readouterr().out
    rows[7]["phash"] = "no"
    manifest.write(films / "manifest.csv", rows)
    with pytest.raises(SystemExit):
        run(films, "--replace")
    assert "row 9: phash 'no'" in capsys.readouterr().err


def test_a_split_is_replaced_only_on_request(films, capsys):
    before = (films / "manifest.csv").read_bytes()
    assert run(films, "--out", "mine.csv", "--by-row", "--labeled", "0.5") == 0
    assert (films / "manifest.csv").read_bytes() == before
    assert (films / "mine.labeled-50.csv").exists()
    for arguments in ((films / "mine.csv",), (films, "--out", "mine.csv")):
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        assert stop.value.code == 2
        assert "already holds a split" in capsys.readouterr().err
    assert run(films, "--out", "mine.csv", "--replace", "--labeled", "0.1") == 0
    assert "OLD: mine.labeled-50.csv belongs to another" in capsys.readouterr().out


@pytest.mark.parametrize("out", ["../a.csv", "b/a.csv", "/tmp/a.csv", "a.txt"])
def test_the_output_lies_beside_the_manifest(films, capsys, out):
    with pytest.raises(SystemExit):
        run(films, "--out", out)
    assert "bare name of a csv file" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no")])
def test_a_picture_that_cannot_be_read_is_named(films, capsys, damage):
    before = (films / "manifest.csv").read_bytes()
    damage(films / "05.png")
    with pytest.raises(SystemExit):
        run(films)
    assert f"data_tools: {films / '05.png'}: " in capsys.readouterr().err
    assert (films / "manifest.csv").read_bytes() == before


def test_help_loads_nothing_heavy():
    code = "import sys\nfrom data_tools.__main__ import main\n"
    code += "try: main(['split', '--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(bool({'numpy', 'PIL', 'tqdm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
