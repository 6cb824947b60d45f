"""A set that has changed is not verified, and two manifests are told apart."""

import hashlib
import json
import random

import numpy as np
import pytest
from PIL import Image

from data_tools import __main__ as command_line
from data_tools import manifest, split
from data_tools.diff import describe, diff
from data_tools.verify import verify


@pytest.fixture
def folder(tmp_path):
    """12 pictures with their hashes, split into train and test."""
    rng, rows = np.random.default_rng(0), []
    (tmp_path / "images").mkdir()
    for number in range(12):
        image = f"images/{number:02d}.png"
        pixels = rng.integers(0, 256, (20, 20)).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / image)
        digest = hashlib.sha256((tmp_path / image).read_bytes()).hexdigest()
        row = {"image": image, "label": ["normal", "pneumonia"][number % 2]}
        rows.append(row | {"patient_id": f"p{number}", "sha256": digest})
    split.write(tmp_path / "manifest.csv", rows, labeled=[0.5])
    return tmp_path


def change(folder, edit):
    """Edits the rows of a manifest, and forgets the hashes of its split."""
    rows = manifest.read(folder)
    edit(rows)
    manifest.write(folder / "manifest.csv", rows)
    (folder / "split.json").unlink(missing_ok=True)


def test_a_set_as_it_was_written_is_verified(folder, capsys):
    assert verify(folder) == verify(folder / "manifest.csv", workers=1) == []
    assert command_line.main(["verify", str(folder)]) == 0
    assert "All is well." in capsys.readouterr().out


def test_changed_missing_and_surplus_pictures_are_named(folder, capsys):
    row = manifest.read(folder)[3]
    with open(folder / row["image"], "ab") as file:
        file.write(b"\0")
    (folder / "images/07.png").unlink()
    (folder / "images/deeper").mkdir()
    (folder / "images/deeper/extra.png").write_bytes(b"")
    problems = verify(folder)
    assert [problem.split(":")[0] for problem in problems] == [
        f"{row['image']} (row 5)",
        "images/07.png (row 9)",
        "images/deeper/extra.png",
    ]
    assert "changed; its sha256 is" in problems[0]
    assert "No such file" in problems[1]
    assert command_line.main(["verify", str(folder)]) == 1
    assert "Problems: 3" in capsys.readouterr().out


def test_without_hashes_a_picture_must_still_decode(folder):
    def forget(rows):
        for row in rows:
            del row["sha256"]

    change(folder, forget)
    assert verify(folder) == []
    whole = (folder / "images/05.png").read_bytes()
    (folder / "images/05.png").write_bytes(whole[:-40])
    (problem,) = verify(folder)
    assert problem.startswith("images/05.png (row 7): ")


@pytest.mark.parametrize("name", ["manifest.csv", "labeled-50.csv"])
def test_a_table_that_was_edited_after_the_split_is_named(folder, name):
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace("pneumonia", "normal", 1))
    (problem,) = verify(folder)
    assert problem == f"{name}: changed since split.json was written"
    if name != "manifest.csv":
        (folder / name).unlink()
        assert verify(folder) == [f"{name}: No such file or directory"]


def test_a_split_beside_the_manifest_is_checked_under_its_own_name(folder):
    rows = manifest.read(folder)
    split.write(folder / "other.csv", rows, seed=1, labeled=[0.5])
    assert verify(folder / "other.csv") == []
    with open(folder / "other.labeled-50.csv", "a") as file:
        file.write("\n")
    assert len(verify(folder / "other.csv")) == 1 and verify(folder) == []


def test_a_patient_in_two_splits_is_a_problem_unless_rows_were_split(folder):
    def join(rows):
        by_split = {row["split"]: row for row in rows}
        by_split["test"]["patient_id"] = by_split["train"]["patient_id"]

    change(folder, join)
    (problem,) = verify(folder)
    assert "the same patient_id" in problem
    rows = manifest.read(folder)
    split.write(folder / "manifest.csv", rows, by_row=True, labeled=[])
    assert verify(folder) == []


def test_a_damaged_note_is_an_error_that_says_what_to_do(folder):
    (folder / "split.json").write_text("{")
    with pytest.raises(ValueError, match="split.json: expected JSON"):
        verify(folder)


def test_shards_are_verified_record_by_record(folder, tmp_path):
    shards = pytest.importorskip("data_tools.shards")
    out = tmp_path / "shards"
    shards.write(folder, out)
    assert verify(out) == []
    file = next(out.glob("*.tfrecord"))
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(content)
    assert file.name in "\n".join(verify(out))


def rows_of(*cells, **more):
    names = ("image", "label", "split")
    return [dict(zip(names, row, strict=True)) | more for row in cells]


def test_every_kind_of_difference_is_told_apart():
    old = rows_of(
        ("a.png", "normal", "train"),
        ("b.png", "normal", "train"),
        ("c.png", "normal", "train"),
        ("d.png", "normal", "train"),
        ("e.png", "normal", "train"),
    )
    new = [dict(row, age="") for row in old]
    old = [dict(row, age="") for row in old]
    new[1]["split"] = "test"
    new[2]["label"] = "covid-19"
    new[3]["age"] = "40"
    new[4]["image"] = "f.png"
    found = diff(old, random.Random(0).sample(new, 5))
    assert found.moved == ["b.png  train -> test"]
    assert found.relabeled == ["c.png  normal -> covid-19"]
    assert found.changed == ["d.png  age (empty) -> 40"]
    assert found.removed == ["e.png  normal  train"]
    assert found.added == ["f.png  normal  train"]
    assert not any(diff(new, new[::-1]))


def test_a_renamed_picture_is_recognized_by_its_pixels():
    old = rows_of(("a.png", "normal", "train"), sha256_pixels="1")
    new = rows_of(("b.png", "normal", "test"), sha256_pixels="1")
    found = diff(old, new)
    assert not found.added and not found.removed
    assert found.changed == ["a.png  image a.png -> b.png"]
    new[0]["sha256_pixels"] = ""  # not known of every row: the name decides
    assert diff(old, new).added


def test_repeated_rows_are_counted():
    row = ("a.png", "pneumonia", "train")
    other = ("a.png", "pneumonia", "test")
    found = diff(rows_of(row, row, other), rows_of(other, row, other, other))
    assert found.moved == ["a.png  train -> test"]
    assert found.added == ["a.png  pneumonia  test"] and not found.removed


def test_a_column_of_one_manifest_alone_is_a_difference():
    old = rows_of(("a.png", "normal", "train"))
    found = diff(old, [row | {"age": "4"} for row in old])
    assert found.columns == ["age: only in the second"]
    assert not any(found[1:])


def test_the_command_prints_ten_lines_of_each_kind(folder, tmp_path, capsys):
    def move(rows):
        for row in rows:
            row["label"] = "covid-19"

    before = tmp_path / "before.csv"
    before.write_bytes((folder / "manifest.csv").read_bytes())
    change(folder, move)
    same = ["diff", str(before), str(before)]
    assert command_line.main(same) == 0
    assert capsys.readouterr().out == "No difference.\n"
    assert command_line.main(["diff", str(before), str(folder)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "relabeled: 12" and told[-1] == "  and 2 more"
    assert len(told) == 12


def test_nothing_is_no_difference():
    assert not any(diff([], []))
    found = diff([], rows_of(("a.png", "", "")))
    assert found.added == ["a.png"] and not found.columns
    assert describe(found) == "added: 1\n  a.png"


def test_the_note_of_a_build_is_checked_too(folder):
    (folder / "build.json").write_text("{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    rows = manifest.read(folder)
    split.write(
        folder / "manifest.csv",
        rows,
        labeled=[0.5],
        provenance={"build.json": digest},
    )
    assert verify(folder) == []
    (folder / "build.json").write_text(json.dumps({"size": 64}))
    assert verify(folder) == ["build.json: changed since split.json was written"]
