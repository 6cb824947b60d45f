"""The manifest is checked row by row before anything is trained on it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sskeras.data.labels import hide_labels
from sskeras.data.manifest import (
    check_pictures,
    class_names,
    encode_labels,
    read_manifest,
    select,
)

CXR = Path(__file__).parents[2] / "shared" / "cxr"
needs_cxr = pytest.mark.skipif(
    not CXR.is_dir(), reason="the real X-rays (shared/cxr) are not on this machine"
)


def write(folder, text, encoding="utf-8"):
    file = folder / "manifest.csv"
    file.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return file


def test_columns_are_kept_as_text_and_filled_in(tmp_path):
    write(tmp_path, "image,label,NOTE\na.png,normal,007\nsub/b.png,,NA\n")
    table = read_manifest(tmp_path)
    assert table["NOTE"].tolist() == ["007", "NA"]
    assert table["label"].tolist() == ["normal", ""]
    assert table["path"].tolist() == [
        str(tmp_path / "a.png"),
        str(tmp_path / "sub" / "b.png"),
    ]
    assert table["row"].tolist() == [2, 3]
    for column in ("patient_id", "source", "split"):
        assert table[column].tolist() == ["", ""]
    assert table["weight"].dtype == float and table["weight"].tolist() == [1.0, 1.0]


def test_folder_and_file_give_the_same_table(tmp_path):
    file = write(tmp_path, "image,label\na.png,x\n")
    assert read_manifest(tmp_path).equals(read_manifest(str(file)))


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    write(tmp_path, "\ufeffimage,label\r\na.png,x\r\nb.png,y\r\n")
    assert read_manifest(tmp_path)["label"].tolist() == ["x", "y"]


def test_row_is_the_line_an_editor_shows(tmp_path):
    write(tmp_path, 'image,label,note\na.png,x,"two\nlines"\n\nb.png,y,\n')
    assert read_manifest(tmp_path)["row"].tolist() == [2, 5]


def test_blanks_in_file_names_survive(tmp_path):
    write(tmp_path, "image,label\nfilm 1.png ,x\n")
    assert read_manifest(tmp_path)["path"][0] == str(tmp_path / "film 1.png ")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("image,label\n", ["has no rows"]),
        ("", ["has no rows"]),
        ("file,label\na.png,x\n", ["no column image", "'file'"]),
        ("image;label\na.png;x\n", ["no column image", "label", "commas"]),
        ("image,label,path\na.png,x,y\n", ["path", "Rename"]),
        ("image,label,a,a\na.png,x,1,2\n", ["'a'", "twice"]),
        ("image,label\n,x\n", ["row 2", "name no picture"]),
        ("image,label\n/etc/a.png,x\n", ["row 2", "folder"]),
        ("image,label\n../a.png,x\n", ["row 2", "folder"]),
        ("image,label\nb/../a.png,x\n", ["row 2", "folder"]),
        ("image,label\na.png, x\n", ["row 2: ' x'", "blanks"]),
        ("image,label,split\na.png,x,Train\n", ["row 2: 'Train'", "'train'"]),
        ("image,label,weight\na.png,x,heavy\n", ["row 2: 'heavy'", "finite"]),
        ("image,label,weight\na.png,x,\n", ["row 2: ''", "finite"]),
        ("image,label,weight\na.png,x,-1\n", ["row 2: '-1'", "finite"]),
        ("image,label,weight\na.png,x,nan\n", ["row 2: 'nan'", "finite"]),
        ("image,label,weight\na.png,x,inf\n", ["row 2: 'inf'", "finite"]),
        ("image,label\na.png,x\nb.png,y,z\n", ["row 3: '3 fields", "2 fields"]),
        ("image,label\na.png,x\nb.png\n", ["row 3: '1 fields", "quotation"]),
        ('image,label\na.png,x\n"b.png,y\nc.png,y\n', ["line 3", "quotation"]),
        ("image,label\na.png,x\nb\0.png,y\n", ["row 3", "NUL"]),
    ],
)
def test_errors_name_file_row_and_remedy(tmp_path, text, parts):
    file = write(tmp_path, text)
    with pytest.raises(ValueError) as caught:
        read_manifest(tmp_path)
    for part in [str(file), *parts]:
        assert part in str(caught.value)


def test_not_utf8(tmp_path):
    write(tmp_path, "image,label\na.png,x\nb.png,37\u00b0\n", "cp1252")
    with pytest.raises(ValueError, match=r"row 3: not UTF-8 \(byte 0xb0\)"):
        read_manifest(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manifest\.csv"):
        read_manifest(tmp_path)


def test_many_bad_rows_are_counted_and_five_shown(tmp_path):
    lines = [f"{i}.png,x,dev" for i in range(9)]
    write(tmp_path, "\n".join(["image,label,split", *lines]))
    with pytest.raises(ValueError, match="9 row") as caught:
        read_manifest(tmp_path)
    assert str(caught.value).count("'dev'") == 5


def test_absolute_path_even_inside_the_folder(tmp_path):
    write(tmp_path, f"image,label\n{tmp_path}/a.png,x\n")
    with pytest.raises(ValueError, match="row 2"):
        read_manifest(tmp_path)


def test_link_that_leaves_the_folder(tmp_path):
    inside = tmp_path / "set"
    inside.mkdir()
    (tmp_path / "secret.png").touch()
    os.symlink(tmp_path / "secret.png", inside / "a.png")
    write(inside, "image,label\na.png,x\n")
    with pytest.raises(ValueError, match="row 2: 'a.png'"):
        read_manifest(inside)


def test_neighbour_folder_with_the_same_beginning_is_outside(tmp_path):
    for name in ("set", "set2"):
        (tmp_path / name).mkdir()
    os.symlink(tmp_path / "set2", tmp_path / "set" / "link")
    write(tmp_path / "set", "image,label\nlink/a.png,x\n")
    with pytest.raises(ValueError, match="folder"):
        read_manifest(tmp_path / "set")


def test_patient_in_two_splits_is_warned_of(tmp_path):
    rows = ["a,x,p1,train", "b,x,p1,train", "c,x,p2,train", "d,x,p2,test"]
    write(tmp_path, "\n".join(["image,label,patient_id,split", *rows]))
    with pytest.warns(UserWarning, match=r"1 patient.*'p2' in train and test"):
        read_manifest(tmp_path)


def test_rows_that_repeat_a_picture_are_counted(tmp_path):
    """Table I of the paper counts 9,555 rows of 6,012 films."""
    write(tmp_path, "image,label\na.png,x\nb.png,x\na.png,y\n./b.png,x\n")
    message = r"2 row\(s\) name .*: row 4: 'a.png', row 5: './b.png'\. Unless"
    with pytest.warns(UserWarning, match=message):
        assert len(read_manifest(tmp_path)) == 4


def test_test_pictures_seen_in_training_are_counted(tmp_path):
    rows = ["a,x,train", "a,x,train", "b,x,test", "b,x,test", "c,x,test", "c,x,train"]
    rows += ["a,x,test", "a,x,val"]
    write(tmp_path, "\n".join(["image,label,split", *rows]))
    with pytest.warns(UserWarning, match=r"5 row.* 2 row\(s\) of test .*too good"):
        read_manifest(tmp_path)


def test_unknown_patients_are_no_leak(tmp_path, recwarn):
    rows = ["a,x,,train", "b,x,,test", "c,x,p,train", "d,x,p,"]
    write(tmp_path, "\n".join(["image,label,patient_id,split", *rows]))
    read_manifest(tmp_path)
    assert not recwarn.list


def test_check_pictures_names_all_missing_files(tmp_path):
    write(tmp_path, "\n".join(["image,label", *(f"{i}.png,x" for i in range(8))]))
    (tmp_path / "0.png").touch()
    table = read_manifest(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"7 of 8.*row 3: .*1\.png") as caught:
        check_pictures(table)
    assert str(caught.value).count(".png'") == 5
    for i in range(8):
        (tmp_path / f"{i}.png").touch()
    check_pictures(table)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["covid-19", "pneumonia", "", "normal"], ("normal", "pneumonia", "covid-19")),
        (["COVID-19", "Normal"], ("Normal", "COVID-19")),
        (["b", "covid-19", "a", "normal"], ("normal", "covid-19", "a", "b")),
    ],
)
def test_order_of_classes(tmp_path, labels, expected):
    rows = [f"{i},{label}" for i, label in enumerate(labels)]
    write(tmp_path, "\n".join(["image,label", *rows]))
    assert class_names(read_manifest(tmp_path)) == expected


def test_no_label_at_all(tmp_path):
    write(tmp_path, "image,label\na,\n")
    with pytest.raises(ValueError, match="No row"):
        class_names(read_manifest(tmp_path))


def test_select(tmp_path):
    write(tmp_path, "image,label,split\na,x,test\nb,y,train\nc,z,train\n")
    table = read_manifest(tmp_path)
    assert select(table, "train")["image"].to_dict() == {0: "b", 1: "c"}
    with pytest.raises(ValueError, match=r"'val'.*'train': 2.*'test': 1"):
        select(table, "val")


def test_encode_labels(tmp_path):
    write(tmp_path, "image,label\na,y\nb,\nc,x\n")
    table = read_manifest(tmp_path)
    y = encode_labels(table, ("x", "y"))
    assert y.dtype == np.int32 and y.tolist() == [1, -1, 0]
    with pytest.raises(ValueError, match=r"\('x',\): row 2: 'y'.*/a\."):
        encode_labels(table, ("x",))


def test_reading_needs_no_tensorflow():
    code = (
        "import sys; from sskeras.data import read_manifest, hide_labels; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_cxr
def test_protocol_on_the_real_xrays(recwarn):
    table = read_manifest(CXR)
    assert not recwarn.list  # no patient is in two splits
    classes = class_names(table)
    assert classes == ("normal", "pneumonia", "covid-19")
    train = encode_labels(select(table, "train"), classes)
    assert np.bincount(train).tolist() == [6195, 2574, 75]
    kept = {share: hide_labels(train, share) for share in (0.05, 0.07, 0.09)}
    counts = {share: np.bincount(y[y >= 0]).tolist() for share, y in kept.items()}
    assert counts[0.05] == [309, 128, 3]
    assert counts[0.07] == [433, 180, 5]
    assert counts[0.09] == [557, 231, 6]
    test = select(table, "test")
    assert test["weight"][test["label"] == "covid-19"].sum() == pytest.approx(33, 1e-3)
