"""The audit finds every fault planted among drawn films, and none where none is."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from data_tools import __main__ as command_line
from data_tools import audit, manifest, phantom
from data_tools.audit import columns, counts, films, leaks, page, shortcuts


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """240 drawn films of 64 pixels."""
    folder = tmp_path_factory.mktemp("films")
    phantom.write(folder, count=240, seed=0, size=64)
    return folder


@pytest.fixture
def copy(clean, tmp_path):
    """A folder and its rows, to be spoiled; written by `spoil`."""
    shutil.copytree(clean, tmp_path / "set")
    return tmp_path / "set", manifest.read(clean)


def report(folder, rows):
    """Writes rows and audits them."""
    manifest.write(folder / "manifest.csv", rows)
    return audit.write(folder, workers=1, sheet=2)


def pixels_of(folder, row):
    return np.asarray(Image.open(folder / row["image"]))


def save(folder, name, pixels, **options):
    Image.fromarray(pixels).save(folder / name, **options)
    return name


def test_drawn_films_raise_no_alarm(clean, tmp_path, capsys):
    arguments = ["audit", str(clean), "--out", str(tmp_path), "--workers", "1"]
    assert command_line.main(arguments) == 0
    told = capsys.readouterr().out
    assert told.startswith("240 rows, 240 pictures, 0 alarms\n")
    found = json.loads((tmp_path / "audit.json").read_text("utf-8"))
    assert found["alarms"] == []
    assert found["sections"]["shortcut"]["scores"] == {}
    assert "there is one source" in (tmp_path / "audit.html").read_text("utf-8")
    places = found["sections"]["duplicates"]["different"]
    assert sum(place["pictures"] for place in places) == 240


def test_faults_planted_among_films_are_found(copy):
    folder, rows = copy
    first, second, third, fourth = (row for row in rows[:12:3])
    other = next(row for row in rows if row["split"] == "test")
    shutil.copy(folder / first["image"], folder / "images/copy.png")
    resized = Image.fromarray(pixels_of(folder, second)).resize((96, 96))
    resized.save(folder / "images/resized.jpg", quality=90)
    save(folder, "images/negative.png", 255 - pixels_of(folder, third))
    (folder / "images/broken.png").write_bytes(b"\x89PNG nothing")
    planted = {
        "copy.png": {"split": "test", "label": first["label"]},
        "resized.jpg": {"split": "train", "label": "covid-19"},
        "negative.png": {"split": "train", "label": third["label"]},
        "broken.png": {"split": "train", "label": "normal"},
        "absent.png": {"split": "train", "label": "normal"},
    }
    rows += [
        dict.fromkeys(first, "")
        | {"image": f"images/{name}", "patient_id": name}
        | cells
        for name, cells in planted.items()
    ]
    other["patient_id"] = fourth["patient_id"]
    found = report(folder, rows)
    facts, alarms = found["sections"], "\n".join(found["alarms"])

    pairs = facts["duplicates"]["pairs"]
    assert pairs[0]["images"] == [first["image"], "images/copy.png"]
    assert pairs[0]["splits"] == ["train", "test"]
    assert pairs[1]["images"] == [second["image"], "images/resized.jpg"]
    assert facts["leakage"]["picture"]["several"] == 1
    (overlap,) = facts["leakage"]["picture"]["overlaps"]
    assert overlap["split"] == "test" and overlap["known_to"] == "train"
    assert overlap["rows"] == 1 and overlap["classes"] == {first["label"]: 1}
    assert facts["leakage"]["patient"]["names"] == [fourth["patient_id"]]
    assert facts["suspects"]["negative"] == ["images/negative.png"]
    reasons = [[image, reason] for image, reason, _ in facts["unreadable"]["pictures"]]
    assert reasons == [
        ["images/broken.png", "truncated"],
        ["images/absent.png", "not-on-disk"],
    ]
    disputed = [second["image"], "images/resized.jpg"]
    labels = facts["labels"]
    assert labels["near_duplicates"] == [] and len(labels["same_picture"]) == 1
    assert [image for image, _ in labels["same_picture"][0]] == disputed
    for words in ("Pictures in more", "Patients in more", "contradictory"):
        assert words in alarms
    assert len(found["alarms"]) == 5


def test_repeated_rows_of_test_that_training_knows_are_counted(copy):
    folder, rows = copy
    known = [row for row in rows if row["split"] == "train"][:30]
    rows += [row | {"split": "test"} for row in known]
    found = report(folder, rows)
    assert found["rows"] == 270 and found["pictures"] == 240
    assert found["sections"]["duplicates"]["repeated_rows"] == 30
    (overlap,) = found["sections"]["leakage"]["row"]["overlaps"]
    tests = sum(row["split"] == "test" for row in rows)
    assert (overlap["rows"], overlap["of"]) == (30, tests)


def test_a_copy_without_a_label_contradicts_nothing(copy):
    folder, rows = copy
    rows += [row | {"label": ""} for row in rows[:2]]
    found = report(folder, rows)
    assert found["alarms"] == []
    assert not any(found["sections"]["labels"].values())


def test_a_class_full_of_copies_raises_an_alarm(copy):
    folder, rows = copy
    label = rows[-1]["label"]
    rows += [dict(rows[-1]) for _ in range(4)]
    (alarm,) = report(folder, rows)["alarms"]
    assert alarm == (f"The 8 rows of {label} in test show only 4 different pictures.")


def move(rows):
    """Names another source for most of pneumonia and some of the normal films."""
    for number, row in enumerate(rows):
        moved = {"normal": number % 4 == 0, "pneumonia": number % 5 > 0}
        row["source"] = "other" if moved.get(row["label"]) else "phantom"


def add_borders(folder, rows):
    """Draws a bright border at the top and bottom of the films of one source."""
    for row in rows:
        if row["source"] == "other":
            pixels = pixels_of(folder, row).copy()
            pixels[:4] = pixels[-4:] = 255
            save(folder, row["image"], pixels)


def test_a_border_of_one_source_raises_the_shortcut_alarm(copy):
    folder, rows = copy
    move(rows)
    add_borders(folder, rows)
    found = report(folder, rows)
    (alarm,) = found["alarms"]
    assert "tells the source of" in alarm and "films alone" in alarm
    scores = found["sections"]["shortcut"]["scores"]
    assert scores["normal"]["accuracy"] > 0.95 and scores["normal"]["chance"] == 0.5


def test_a_source_that_shows_but_has_the_same_classes_raises_none(copy):
    folder, rows = copy
    for number, row in enumerate(rows):
        row["source"] = ("phantom", "other")[number % 2]
    add_borders(folder, rows)
    found = report(folder, rows)
    assert found["alarms"] == []
    assert found["sections"]["shortcut"]["scores"]["normal"]["gain"] > 0.9


def test_sources_that_look_alike_raise_none(copy):
    folder, rows = copy
    move(rows)
    found = report(folder, rows)
    assert found["alarms"] == []
    shortcut = found["sections"]["shortcut"]
    assert shortcut["source_explains"]["explained"] > columns.LOUD
    assert max(s["gain"] for s in shortcut["scores"].values()) < shortcuts.CLEAR


def test_classes_without_a_common_source_raise_an_alarm_whatever_they_show(copy):
    folder, rows = copy
    rows = [row for row in rows if row["label"] != "covid-19"]
    for row in rows:
        row["source"] = f"{row['label']} hospital"
    (alarm,) = report(folder, rows)["alarms"]
    assert alarm.startswith("No class has two sources large enough")


def test_the_model_is_not_asked_about_patients_it_knows():
    """Ten copies of each of 24 pictures of noise: known ones would be recognized."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (24, 32, 32)).astype("uint8").repeat(10, axis=0)
    number = np.arange(24).repeat(10)
    sources = np.array(["a", "b"])[number % 2]
    assert shortcuts.tell(pictures, sources, number.astype(str)) < 0.75
    assert shortcuts.tell(pictures, sources, np.arange(240).astype(str)) == 1
    assert shortcuts.tell(pictures, sources, sources) is None


def test_a_small_source_is_left_out_and_named(copy):
    folder, rows = copy
    for row in rows[:19]:
        row["source"] = "small"
    found = report(folder, rows)["sections"]["shortcut"]
    assert found["left_out"]["all films"] == {"small": 19}
    assert found["scores"] == {}


def test_a_column_that_gives_the_class_away_is_named(copy):
    folder, rows = copy
    for number, row in enumerate(rows):
        row["view"] = "AP" if row["label"] == "pneumonia" else "PA"
        row["age"] = str(20 + number % 50)
    (alarm,) = report(folder, rows)["alarms"]
    assert "view" in alarm and "age" not in alarm


def test_values_that_every_row_has_alone_explain_nothing():
    labels = ["normal", "pneumonia"] * 50
    unique = columns.explains([str(n) for n in range(100)], labels)
    assert unique["explained"] < 0.3 and unique["accuracy"] <= 0.5
    assert columns.explains(labels, labels)["accuracy"] == 1
    known = columns.explains(labels, labels)
    assert known["explained"] == pytest.approx(1, abs=0.01)
    mixed = columns.explains(["a", "a", "b", "b"] * 250, labels * 10)
    assert mixed["explained"] == 0


def test_a_manifest_needs_nothing_but_image_and_label(copy):
    folder, rows = copy
    rows = [{"image": row["image"], "label": row["label"]} for row in rows[:20]]
    found = report(folder, rows)
    assert found["alarms"] == []
    page_ = (folder / "audit.html").read_text("utf-8")
    assert "no source is named" in page_ and "no two splits" in page_


def test_a_set_without_a_readable_picture_is_still_reported(tmp_path):
    rows = [{"image": f"{n}.png", "label": "", "split": "train"} for n in range(3)]
    found = report(tmp_path, rows)
    assert found["alarms"] == [
        "Pictures that cannot be read: 3 of 3; the first is 0.png."
    ]


def test_what_cannot_be_audited_is_refused(tmp_path):
    (tmp_path / "manifest.csv").write_text("image,label\n")
    with pytest.raises(ValueError, match="0 rows"):
        audit.write(tmp_path)
    rows = [{"image": "a.png", "label": "normal", "shard": "train-0.tfrecord"}]
    with pytest.raises(ValueError, match="Audit the folder they were made from"):
        report(tmp_path, rows)
    with pytest.raises(ValueError, match="workers=0"):
        audit.write(tmp_path, workers=0)


def test_names_cannot_write_html(copy):
    folder, rows = copy
    evil = '<script>alert("1")</script>'
    name = save(folder, "images/<img src=x onerror=y>.png", pixels_of(folder, rows[0]))
    rows = [row | {"source": evil, "label": evil, "split": evil} for row in rows[:9]]
    rows.append(rows[0] | {"image": name, "split": "<b>"})
    report(folder, rows)
    written = (folder / "audit.html").read_text("utf-8")
    tags = set(re.findall(r"<(\w+)", written))
    assert not tags & {"script", "b", "link", "iframe"}
    assert "onerror=y&gt;" in written
    assert set(re.findall(r'src="([^"]{4})', written)) == {"data"}
    assert not re.search(r"https?://|url\(|@import", written)


def test_the_same_set_gives_the_same_bytes_with_any_number_of_workers(clean, tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        audit.write(clean, tmp_path / name, workers=workers, sheet=1)
    for name in ("audit.html", "audit.json"):
        written = [(tmp_path / run / name).read_bytes() for run in ("one", "two")]
        assert written[0] == written[1]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "audit.html",
        "audit.json",
    ]


def test_several_processes_measure_what_one_does(clean):
    paths = sorted((clean / "images").iterdir())
    paths = (paths * 2)[:300]  # enough for two processes
    one, other = (films.measure_all(paths, workers) for workers in (1, 2))
    assert one[0] == other[0] and (one[1] == other[1]).all()


def test_a_blank_border_is_measured_whether_black_or_white():
    pixels = np.random.default_rng(0).integers(40, 200, (100, 80)).astype("uint8")
    assert films.blank_border(pixels) == 0
    pixels[:25], pixels[:, 60:] = 0, 255
    assert films.blank_border(pixels) == pytest.approx(1 - 75 * 60 / 8000)
    assert films.blank_border(np.zeros((9, 9), "uint8")) == 1


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("059Y", "40-59"),
        ("17", "under 18"),
        ("06M", "under 18"),
        ("50+", "40-59"),
        ("36.0", "18-39"),
        ("", ""),
        ("adult", ""),
        ("155", "60 or more"),
    ],
)
def test_ages_are_read_as_tables_write_them(age, band):
    assert counts.age_band(age) == band


def test_a_later_split_is_compared_with_the_earlier_ones():
    keys = ["a", "a", "a", "b", "", ""]
    splits = ["train", "val", "test", "", "train", "test"]
    found = leaks.find(keys, splits, ["normal"] * 6)
    assert found["names"] == ["a"]
    assert {(o["split"], o["known_to"]) for o in found["overlaps"]} == {
        ("val", "train"),
        ("test", "train"),
        ("test", "val"),
    }


def test_a_tall_picture_keeps_its_shape_on_the_page():
    tall = np.zeros((400, 100), "uint8")
    written = page.picture(tall, ["<tall>"])
    assert "&lt;tall&gt;" in written and "<tall>" not in written
    assert "<img" not in page.picture(None, ["gone"])


def test_real_films_have_a_shortcut_and_no_patient_in_two_splits(shared, tmp_path):
    rows = manifest.read(shared / "cxr")[::33]
    (tmp_path / "images").symlink_to(shared / "cxr" / "images")
    found = report(tmp_path, rows)
    assert found["rows"] == 396
    assert found["sections"]["leakage"]["patient"]["several"] == 0
    (alarm,) = [alarm for alarm in found["alarms"] if "tiny model" in alarm]
    assert "films alone" in alarm
