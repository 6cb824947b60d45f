"""Sources: every row of every table accounted for, on originals and on odd copies."""

import io
import os
import subprocess
from collections import Counter

import numpy as np
import pytest
import rsna_index
from odd_pictures import dicom, drawn

from data_tools import ledger, manifest, recipes, sources
from data_tools.sources.cohen import COMMIT
from data_tools.sources.folders import canonical
from data_tools.sources.table import read_table

PAPER = recipes.find("paper-clean").rules
LITERAL = recipes.find("paper-literal").rules
FRONTAL = recipes.find("frontal").rules
LABELS = "stage_2_train_labels.csv"
CLASSES = "stage_2_detailed_class_info.csv"


def outcome(source, rules=PAPER):
    """Checks a source and returns `{class or reason: rows}` of its rows."""
    source.check()
    rows = list(source.rows(rules))
    assert all(row.source == source.name for row in rows)
    assert {row.dropped for row in rows} <= {"", *ledger.REASONS}
    assert len({(row.line, row.file) for row in rows}) == len(rows)
    for row in rows:
        if not row.dropped:
            path = row.file.split("::")[0]
            assert (source.folder / path).is_file()
            assert row.rule
    return dict(Counter(row.dropped or row.label for row in rows))


def one(source, rules=PAPER):
    """The only row of a source."""
    (row,) = source.rows(rules)
    return row


# The originals. Their pictures are a part of the published ones.


def test_cohens_rows_close(shared):
    source = sources.parse(f"cohen={shared / 'sources/covid-chestxray-dataset'}")
    # 135 radiographs: 99 PA, 24 AP, 12 L. Of the 99, 4 ARDS, Pneumocystis, No Finding
    # have no class; 76 + 11 + 6 have one, and 50 of these no file here.
    assert outcome(source) == {
        "covid-19": 42,
        "pneumonia": 1,
        "modality": 23,
        "view": 36,
        "finding": 6,
        "not-on-disk": 50,
    }
    # With AP there are 100 + 11 + 6 = 117.
    assert outcome(source, FRONTAL) == {
        "covid-19": 52,
        "pneumonia": 1,
        "modality": 23,
        "view": 12,
        "finding": 6,
        "not-on-disk": 64,
    }


def test_cohens_folder_holds_files_that_no_row_names(shared):
    source = sources.parse(f"cohen={shared / 'sources/covid-chestxray-dataset'}")
    listed = {row.file for row in source.rows(PAPER)}
    masks = [file for file in source.files if "Mask" in file]
    assert masks and not listed & set(masks)


def test_cohens_rows_say_what_the_table_says(shared):
    source = sources.parse(f"cohen={shared / 'sources/covid-chestxray-dataset'}")
    row = next(source.rows(PAPER))
    assert (row.line, row.patient, row.finding) == (2, "cohen:2", "COVID-19")
    assert (row.view, row.modality, row.age, row.sex) == ("PA", "X-ray", "65", "M")
    assert row.url == "https://www.nejm.org/doi/full/10.1056/NEJMc2001272"
    licenses = Counter(row.license for row in source.rows(PAPER))
    assert licenses == {"": 121, "CC BY-NC-SA": 31, "CC BY-NC-ND": 6}


def test_figure_1s_rows_close(shared):
    source = sources.parse(
        f"figure1={shared / 'sources/Figure1-COVID-chestxray-dataset'}"
    )
    # All views count. 3 `No finding` and 2 `Pneumonia` have no class.
    expected = {"covid-19": 35, "no-label": 15, "finding": 5}
    assert outcome(source) == outcome(source, FRONTAL) == expected
    rows = list(source.rows(PAPER))
    films = Counter(row.patient for row in rows)
    # 55 films; a/b of 00003, 13, 15, 40, 43 and a/b/c of 39 are 6 patients.
    assert len(films) == 48 and films["figure1:COVID-00039"] == 3
    assert sum(row.file.endswith(".png") for row in rows) == 5


def test_figure_1s_bytes_beyond_ascii_survive(shared):
    folder = shared / "sources/Figure1-COVID-chestxray-dataset"
    path = folder / "metadata.csv"
    odd = [byte for byte in path.read_bytes() if byte > 127]
    records = sources.parse(f"figure1={folder}").records()
    text = "".join(str(record) for _, record in records)
    assert sorted(odd) == [0x92, 0x92, 0xB0]
    assert text.count("\N{RIGHT SINGLE QUOTATION MARK}") == 2 and text.count("°") == 1
    with pytest.raises(ValueError, match=r"line \d+: not utf-8-sig \(byte 0x"):
        read_table(path)


def test_actualmeds_rows_close(shared):
    folder = shared / "sources/Actualmed-COVID-chestxray-dataset"
    assert b"\r\n" in (folder / "metadata.csv").read_bytes()
    source = sources.parse(f"actualmed={folder}")
    # 58 with COVID-19, of which 4 of the 6 pictures here are.
    expected = {"covid-19": 4, "not-on-disk": 54, "finding": 127, "no-label": 53}
    assert outcome(source, FRONTAL) == expected
    assert len({row.patient for row in source.rows(FRONTAL)}) == 215
    findings = FRONTAL.findings | {"No finding": "negative"}
    binary = type(FRONTAL)(findings, FRONTAL.views)
    kept = [row for row in source.rows(binary) if row.label == "negative"]
    assert len(kept) == 127


# RSNA, with the counts of the original.


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """RSNA's tables with files that are empty."""
    return rsna_index.write(tmp_path_factory.mktemp("rsna") / "rsna")


def test_rsnas_boxes_are_films_once_or_rows_each(index):
    source = sources.parse(f"rsna={index}")
    assert outcome(source) == {
        "normal": 8851,
        "pneumonia": 6012,
        "not-used": 11821,
        "repeat": 3543,
    }
    counts = outcome(source, LITERAL)
    assert counts == {"normal": 8851, "pneumonia": 9555, "not-used": 11821}
    assert sum(counts.values()) == 30227 == 9555 + 8851 + 11821
    pneumonia = (r.file for r in source.rows(LITERAL) if r.label == "pneumonia")
    boxes = Counter(Counter(pneumonia).values())
    assert boxes == rsna_index.BOXES


def test_rsna_without_patients_is_loud_and_with_them_silent(index, tmp_path):
    source = sources.parse(f"rsna={index}")
    (remark,) = source.remarks()
    assert "PATIENTS OF 26,684 RSNA EXAMS ARE UNKNOWN" in remark
    assert next(source.rows(PAPER)).patient.startswith("rsna:")
    for name in (LABELS, CLASSES, "stage_2_train_images"):
        (tmp_path / name).symlink_to(index / name)
    rsna_index.write_mapping(tmp_path)
    source = sources.parse(f"rsna={tmp_path}")
    source.check()
    assert source.remarks() == []
    rows = list(source.rows(PAPER))
    assert len({row.patient for row in rows}) == 11452
    assert rows[0].patient == "nih:00000001" and not rows[0].detail


def small_rsna(folder, labels, classes):
    """Writes tables of a few rows, and an empty file for each exam."""
    (folder / "stage_2_train_images").mkdir(parents=True)
    rsna_index.write_csv(folder / LABELS, [("patientId", "x", "Target"), *labels])
    rsna_index.write_csv(folder / CLASSES, [("patientId", "class"), *classes])
    for exam, _ in classes:
        (folder / "stage_2_train_images" / f"{exam}.dcm").touch()
    return sources.parse(f"rsna={folder}")


def test_a_truncated_mirror_of_rsna_is_noticed(tmp_path):
    rows = [("a", "", "0")], [("a", "Normal")]
    source = small_rsna(tmp_path, *rows)
    source.check()
    assert "1 rows of 1 exams, expected 30,227 of 26,684" in source.remarks()[0]


@pytest.mark.parametrize(
    "labels, classes, message",
    [
        ([("a", "", "0")], [("a", "Normal"), ("b", "Normal")], "only one of .* is b"),
        ([("a", "", "0"), ("a", "1", "1")], [("a", "Normal")], "line 3: exam a has"),
        ([("a", "", "0")], [("a", "Normal"), ("a", "Lung Opacity")], "class"),
        ([("a", "1", "1")], [("a", "Normal")], "class 'Normal' and the target '1'"),
        ([("a", "1", "0")], [("a", "Lung Opacity")], "target '0'"),
        ([("a", "", "")], [("a", "Normal")], "target ''"),
    ],
)
def test_rsnas_tables_may_not_contradict_each_other(labels, classes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        small_rsna(tmp_path, labels, classes).check()


def test_rsnas_files_may_be_of_any_kind_or_missing(tmp_path):
    labels = [(exam, "", "0") for exam in "abcde"] + [("../f", "", "0")]
    source = small_rsna(tmp_path, labels, [(exam, "Normal") for exam, *_ in labels])
    folder = tmp_path / "stage_2_train_images"
    (folder / "b.dcm").rename(folder / "b.png")
    (folder / "c.jpg").touch()
    (folder / "d.dcm").unlink()
    (folder / "e.dcm").unlink()
    (folder / "e.dcm").symlink_to("/etc/hostname")
    rows = list(source.rows(PAPER))
    files = [row.file.split("/", 1)[1] for row in rows]
    assert files == ["a.dcm", "b.png", "c.dcm", "d.dcm", "e.dcm", "../f.dcm"]
    dropped = [row.dropped for row in rows]
    assert dropped == ["", "", "", "not-on-disk", "path-escape", "path-escape"]
    assert [source.list_name(row) for row in rows[:3]] == ["a.png", "b.png", "c.png"]


def test_rsnas_tables_may_lie_in_folders_of_their_name(tmp_path):
    small_rsna(tmp_path, [("a", "", "0"), ("b",)], [("a", "Normal")])
    (tmp_path / LABELS).rename(tmp_path / "labels")
    (tmp_path / LABELS).mkdir()
    (tmp_path / "labels").rename(tmp_path / LABELS / LABELS)
    source = sources.parse(f"rsna={tmp_path}")
    assert outcome(source) == {"normal": 1, "bad-row": 1}
    mapping = tmp_path / "pneumonia-challenge-dataset-mappings_2018.json"
    mapping.write_text('{"a": 1}')
    with pytest.raises(ValueError, match="expected a list of subset_img_id"):
        sources.parse(f"rsna={tmp_path}").check()
    (tmp_path / CLASSES).unlink()
    with pytest.raises(FileNotFoundError, match=CLASSES):
        sources.parse(f"rsna={tmp_path}").check()


# Cohen through the years.


def test_cohens_counts_behind_the_paper(tmp_path):
    source = sources.parse(f"cohen={rsna_index.write_cohen(tmp_path)}")
    assert outcome(source) == {
        "covid-19": 108,
        "pneumonia": 29,
        "modality": 22,
        "view": 25,
        "finding": 23,  # 12 of COVID-19 with ARDS, 9 Pneumocystis, 2 No Finding
    }
    rows = [row for row in source.rows(PAPER) if not row.dropped]
    assert len({row.patient for row in rows if row.label == "covid-19"}) == 76
    assert len({row.patient for row in rows}) == 91
    assert outcome(source, FRONTAL)["covid-19"] == 108 + 12 + 5


GENERATIONS = {
    "2020-02": "Patientid,offset,sex,age,finding,survival,view,date,location,filename,"
    "doi, url,license,notes",
    "2020-03": "Patientid,offset,sex,age,finding,survival,view,modality,date,location,"
    "filename,doi, url,license,clinical notes,other notes,",
    "2020-04": ",".join(rsna_index.HEADER[:-1]),
    "2020-06": "patientid,offset,sex,age,finding,RT_PCR_positive,survival,intubated,"
    "intubation_present,went_icu,in_icu,needed_supplemental_O2,extubated,temperature,"
    "pO2_saturation,leukocyte_count,neutrophil_count,lymphocyte_count,view,modality,"
    "date,location,folder,filename,doi,url,license,clinical_notes,other_notes,",
}


def write_cohen(folder, header, *records, line="\n", encoding="utf-8", extra=""):
    """Writes a table with this header, and an empty file for each record."""
    names = header.split(",")
    common = {"modality": "X-ray", "view": "PA", "finding": "COVID-19", "sex": "F"}
    common |= {"patientid": "36", "filename": "a.png", "url": "u", "age": "40"}
    (folder / "images").mkdir(exist_ok=True)
    text = header + line
    for record in records:
        cells = common | record
        (folder / "images" / cells["filename"].strip()).touch()
        text += ",".join(cells.get(n.strip().lower(), "") for n in names) + line
    (folder / "metadata.csv").write_bytes((text + extra).encode(encoding))
    return sources.parse(f"cohen={folder}")


@pytest.mark.parametrize("header", GENERATIONS.values(), ids=list(GENERATIONS))
@pytest.mark.parametrize("line", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_all_headers_that_cohens_table_had_are_read(header, line, encoding, tmp_path):
    source = write_cohen(tmp_path, header, {}, line=line, encoding=encoding)
    assert outcome(source) == {"covid-19": 1}
    row = one(source)
    assert (row.patient, row.url, row.age, row.sex) == ("cohen:36", "u", "40", "F")
    assert (row.file, row.line, row.rule) == ("images/a.png", 2, "finding COVID-19")


@pytest.mark.parametrize(
    "findings, paper, frontal",
    [
        (["COVID-19"], "covid-19", "covid-19"),
        (['"COVID-19, ARDS"'], "finding", "covid-19"),
        (['"ARDS, COVID-19"'], "finding", "finding"),
        (["Pneumonia/Viral/COVID-19"], "covid-19", "covid-19"),
        (["Pneumonia/Viral/SARS", "Pneumonia"], "pneumonia", "pneumonia"),
        (["Pneumonia/Viral/MERS-CoV"], "finding", "pneumonia"),
        (["Pneumonia/Bacterial/Klebsiella"], "finding", "pneumonia"),
        (["Pneumonia", "Pneumonia/Viral/SARS"], "finding", "finding"),
        (["COVID-19 "], "finding", "covid-19"),
        (["Herpes "], "finding", "finding"),
        (["No Finding"], "finding", "finding"),
        (["todo"], "no-label", "no-label"),
        (["Unknown"], "no-label", "no-label"),
        ([""], "no-label", "no-label"),
    ],
)
def test_findings_become_classes(findings, paper, frontal, tmp_path):
    records = [{"finding": finding} for finding in findings]
    source = write_cohen(tmp_path, GENERATIONS["2020-03"], *records)
    for rules, expected in ((PAPER, paper), (FRONTAL, frontal)):
        row = next(source.rows(rules))
        assert (row.dropped or row.label) == expected
        assert row.finding == findings[0].strip('"')


@pytest.mark.parametrize(
    "record, reason",
    [
        ({"modality": "CT", "view": "Axial", "finding": "todo"}, "modality"),
        ({"view": "L", "finding": "todo"}, "view"),
        ({"view": ""}, "view"),
        ({"view": "AP Supine"}, "view"),
        ({"finding": "ARDS", "filename": "../x.png"}, "finding"),
        ({"filename": "../x.png"}, "path-escape"),
        ({"filename": "/etc/passwd"}, "path-escape"),
        ({"filename": "..\\x.png"}, "path-escape"),
        ({"folder": "..", "filename": "x.png"}, "path-escape"),
        ({"filename": "missing.png"}, "not-on-disk"),
        ({"filename": ""}, "not-on-disk"),
        ({"filename": "."}, "not-on-disk"),
        ({"filename": "x" * 300}, "not-on-disk"),
        ({"filename": " a.png  "}, ""),
        ({"filename": "A.JPG"}, ""),
    ],
)
def test_a_row_is_dropped_for_the_first_reason(record, reason, tmp_path):
    (tmp_path / "cohen").mkdir()
    (tmp_path / "x.png").touch()
    header = GENERATIONS["2020-04"]
    source = write_cohen(tmp_path / "cohen", header, {"filename": "A.JPG"}, {})
    (tmp_path / "cohen" / "x.png").touch()
    cells = {"patientid": "1", "modality": "X-ray", "view": "PA"}
    cells |= {"finding": "COVID-19", "filename": "a.png"} | record
    text = ",".join(cells.get(name.lower(), "") for name in header.split(","))
    (tmp_path / "cohen" / "metadata.csv").write_text(f"{header}\n{text}\n")
    assert one(source).dropped == reason


def test_a_name_that_ends_in_a_blank_is_tried_as_it_is(tmp_path):
    source = write_cohen(tmp_path, GENERATIONS["2020-03"], {"filename": "a.png "})
    assert one(source).file == "images/a.png"
    (tmp_path / "images" / "a.png ").touch()
    assert one(source).file == "images/a.png "
    assert source.list_name(one(source)) == "a.png"


def test_rows_with_another_number_of_fields_are_counted(tmp_path):
    header = GENERATIONS["2020-03"]
    source = write_cohen(tmp_path, header, {}, extra="1,2,3\n\n" + "," * 40 + "\n")
    rows = list(source.rows(PAPER))
    assert [(row.line, row.dropped) for row in rows] == [
        (2, ""),
        (3, "bad-row"),
        (5, "bad-row"),
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"patientid,finding,view,filename\n1,\0,PA,a.png\n", "line 2: a NUL byte"),
        (b"patientid,finding,view,filename\n1,\xe9,PA,a\n", "line 2: not utf-8-sig"),
        (b"patientid,finding,filename\n1,COVID-19,a.png\n", "columns view are missing"),
        (b"", "columns patientid, finding, view, filename are missing"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(content, message, tmp_path):
    source = write_cohen(tmp_path, GENERATIONS["2020-03"])
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(source.rows(PAPER))


def test_a_clone_is_known_by_its_commit_and_a_copy_by_its_table(tmp_path):
    source = write_cohen(tmp_path, GENERATIONS["2020-03"], {})
    hashed = source.version()
    assert hashed.startswith("sha256:") and COMMIT in source.remarks()[0]
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    commit, table = source.version().split()
    assert len(commit) == 40 and commit[:8] in source.remarks()[0] and table == hashed
    write_cohen(tmp_path, GENERATIONS["2020-02"], {})
    (tmp_path / ".git" / "HEAD").unlink()
    assert source.version() not in (hashed, "") and "sha256:" in source.version()


# Sources without a table.


def touch(folder, *files):
    """Makes files of one byte."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_radiographys_masks_are_no_films(tmp_path):
    touch(tmp_path, "COVID/images/COVID-1.png", "COVID/masks/COVID-1.png")
    touch(tmp_path, "Normal/Normal-1.png", "Viral Pneumonia/images/a (1).png")
    touch(tmp_path, "Lung_Opacity/images/b.png", "COVID.metadata.xlsx")
    source = sources.parse(f"radiography={tmp_path}")
    counts = {"covid-19": 1, "normal": 1, "pneumonia": 2, "not-used": 2}
    assert outcome(source) == counts
    assert {row.patient for row in source.rows(PAPER)} == {""}
    with pytest.raises(FileNotFoundError, match="none of the folders COVID, Normal"):
        sources.parse(f"radiography={tmp_path / 'Normal'}").check()


def test_ricord_takes_the_view_from_headers_and_ranks_all_files(tmp_path):
    study = "MIDRC-RICORD-1C-419639-000361/08-02-2002-NA-XR CHEST-4.123"
    films = [("1.000000-a", "PA"), ("1.000000-b", "LL"), ("2.000000-c", "AP")]
    films += [("3.000000-d", "")]
    for series, view in films:
        (file,) = (tmp_path / "manifest-1" / study / series / "1-1.dcm",)
        file.parent.mkdir(parents=True)
        file.write_bytes(dicom(drawn(), ViewPosition=view))
    broken = f"manifest-1/{study}/4.000000-e/1-1.dcm"
    touch(tmp_path, "manifest-1/metadata.csv", broken, "stray.dcm")
    source = sources.parse(f"ricord={tmp_path}")
    assert outcome(source, FRONTAL) == {
        "covid-19": 2,
        "view": 2,
        "not-a-picture": 1,
        "not-used": 2,
    }
    kept = [row for row in source.rows(FRONTAL) if not row.dropped]
    assert {row.patient for row in kept} == {"ricord:419639-000361"}
    assert [(row.view, source.list_name(row)) for row in kept] == [
        ("PA", "MIDRC-RICORD-1C-419639-000361-4.123-0.png"),
        ("AP", "MIDRC-RICORD-1C-419639-000361-4.123-2.png"),
    ]


def test_stony_brooks_paths_become_the_released_names(tmp_path):
    name = "A030428-01-01-1901-NA-CHEST_AP_PORT-08258-2.000000-AP-98039-1-1.jpg"
    file = "A030428/01-01-1901-NA-CHEST AP PORT-08258/2.000000-AP-98039/1-1.dcm"
    touch(tmp_path, f"manifest-9/{file}", name, "LICENSE")
    touch(tmp_path, file.replace("2.000000-AP", "2.000000-CT 5mm"))
    touch(tmp_path, file.replace("NA-CHEST AP PORT", "NA-FLAT PLATE PORT"))
    touch(tmp_path, file.replace("-AP-98039", "-LATERAL-98039"))
    source = sources.parse(f"stonybrook={tmp_path}")
    rows = {row.file: row for row in source.rows(FRONTAL)}
    for film in (f"manifest-9/{file}", name):
        assert source.list_name(rows[film]) == name and not rows[film].dropped
        assert rows[film].patient == "stonybrook:A030428" and rows[film].view == "AP"
    counts = {"covid-19": 2, "body-part": 1, "view": 1, "not-used": 2}
    assert outcome(source, FRONTAL) == counts


def test_bimcv_keeps_frontal_chests(tmp_path):
    kept = "sub-S03044_ses-E06790_run-1_bp-chest_vp-pa_dx"
    touch(tmp_path, f"sub-S03044/mod-rx/{kept}.png")
    touch(tmp_path, "sub-S1_ses-E1_run-1_bp-chest_vp-ll_dx.png")
    touch(tmp_path, "sub-S1_ses-E1_run-1_bp-abdomen_vp-ap_cr.png")
    touch(tmp_path, "sub-S1_ses-E1_run-2_bp-chest_ct.nii.gz", "participants.tsv")
    source = sources.parse(f"bimcv={tmp_path}")
    counts = {"covid-19": 1, "view": 1, "body-part": 1, "not-used": 2}
    assert outcome(source, FRONTAL) == counts
    row = next(row for row in source.rows(FRONTAL) if not row.dropped)
    assert (row.patient, row.view) == ("bimcv:S03044", "PA")
    assert source.list_name(row) == f"{kept}-corrected.png"


# One's own pictures.


def test_folders_account_for_every_file(tmp_path):
    mine = tmp_path / "mine"
    touch(mine, "Normal/a.png", "train/COVID/b.png", "val/covid19/x/c.png")
    touch(mine, "test/Effusion/d.png", "README.txt", "train/e.png")
    touch(mine, "Normal/.DS_Store", ".git/config", ".git/HEAD")
    touch(tmp_path, "away/f.png")
    (mine / "Normal" / "f.png").symlink_to(tmp_path / "away" / "f.png")
    (mine / "Normal" / "g.png").symlink_to("a.png")
    (mine / "Pneumonia").symlink_to(tmp_path / "away")
    (mine / "test" / "again").symlink_to("../Normal")
    source = sources.parse(f"mine=folders:{mine}")
    rows = {row.file: row for row in source.rows(PAPER)}
    dropped = {file: row.dropped for file, row in rows.items() if row.dropped}
    assert dropped == {
        ".git": "not-a-picture",
        "Normal/.DS_Store": "not-a-picture",
        "Normal/f.png": "path-escape",
        "Pneumonia": "path-escape",
        "README.txt": "no-label",
        "test/again": "not-on-disk",
        "train/e.png": "no-label",
    }
    kept = {file: row.label for file, row in rows.items() if not row.dropped}
    assert kept == {
        "Normal/a.png": "normal",
        "Normal/g.png": "normal",
        "test/Effusion/d.png": "Effusion",
        "train/COVID/b.png": "covid-19",
        "val/covid19/x/c.png": "covid-19",
    }
    assert outcome(source)["covid-19"] == 2


def test_a_name_that_is_no_utf8_is_counted_and_not_read(tmp_path):
    (tmp_path / "normal").mkdir()
    os.close(os.open(os.fsencode(tmp_path) + b"/normal/\xe9.png", os.O_CREAT))
    source = sources.parse(f"mine=folders:{tmp_path}")
    row = one(source)
    assert row.dropped == "not-on-disk" and "xe9" in row.file
    row.file.encode("utf-8")
    assert source.version()


def test_a_version_changes_with_the_files(tmp_path):
    touch(tmp_path, "normal/a.png")
    before = sources.parse(f"mine=folders:{tmp_path}").version()
    assert before == sources.parse(f"other=folders:{tmp_path}").version()
    touch(tmp_path, "normal/b.png")
    assert before != sources.parse(f"mine=folders:{tmp_path}").version()


@pytest.mark.parametrize(
    "name, label",
    [
        ("COVID-19", "covid-19"),
        ("COVID", "covid-19"),
        ("covid19", "covid-19"),
        ("Covid_19", "covid-19"),
        ("Normal", "normal"),
        ("PNEUMONIA", "pneumonia"),
        ("Viral Pneumonia", "Viral Pneumonia"),
        ("", ""),
    ],
)
def test_classes_of_the_paper_have_one_name(name, label):
    assert canonical(name) == label


def test_a_manifest_keeps_what_is_said_of_a_film(tmp_path):
    common = {"patient_id": "7", "source": "nih", "view": "AP", "license": "CC0"}
    rows = [{"image": "a.png", "label": "COVID"}, {"image": "b.png", "label": ""}]
    rows += [{"image": "missing.png", "label": "normal"}]
    touch(tmp_path, "a.png", "b.png")
    manifest.write(tmp_path / "manifest.csv", [row | common for row in rows])
    for path in (tmp_path, tmp_path / "manifest.csv"):
        source = sources.parse(f"mine=manifest:{path}")
        assert outcome(source) == {"covid-19": 1, "": 1, "not-on-disk": 1}
    row = next(source.rows(PAPER))
    assert (row.patient, row.view, row.license) == ("mine:7", "AP", "CC0")
    assert (row.finding, row.origin, row.line) == ("COVID", "nih", 2)
    (tmp_path / "manifest.csv").write_text("image,label\n../a.png,normal\n")
    with pytest.raises(ValueError, match="line 2: '../a.png' is no path inside"):
        list(source.rows(PAPER))


def test_the_real_manifest_is_read_whole(shared):
    source = sources.parse(f"mine=manifest:{shared / 'cxr'}")
    counts = {"normal": 8851, "pneumonia": 3678, "covid-19": 508}
    assert outcome(source) == counts


def medmnist(path, **arrays):
    """Writes an `.npz` of three splits, two pictures each."""
    common = {}
    for split in ("train", "val", "test"):
        common[f"{split}_images"] = np.zeros((2, 28, 28), "uint8")
        common[f"{split}_labels"] = np.array([[0], [1]], "uint8")
    content = io.BytesIO()
    np.savez_compressed(content, **(common | arrays))
    path.write_bytes(content.getvalue())
    return sources.parse(f"mine=medmnist:{path}")


@pytest.mark.parametrize(
    "name, first, second",
    [("pneumoniamnist_64.npz", "normal", "pneumonia"), ("other.npz", "0", "1")],
)
def test_medmnist_has_a_row_for_every_picture(name, first, second, tmp_path):
    source = medmnist(tmp_path / name)
    assert outcome(source) == {first: 3, second: 3}
    assert [row.file for row in source.rows(PAPER)][3] == f"{name}::val/1"
    assert outcome(sources.parse(f"mine=medmnist:{tmp_path}"))[first] == 3


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"val_labels": np.zeros((2, 14), "uint8")}, "14 labels for each picture"),
        ({"val_labels": np.zeros(3, "uint8")}, "Received: labels .*'val': 3"),
        ({"val_labels": np.zeros(2)}, "of integers.*Received: float64"),
        ({"val_labels": np.array([{}, {}])}, "allow_pickle"),
    ],
)
def test_arrays_that_are_no_single_label_set_are_refused(arrays, message, tmp_path):
    source = medmnist(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        list(source.rows(PAPER))


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    touch(tmp_path, "x.npz")
    with pytest.raises(ValueError, match="x.npz"):
        list(sources.parse(f"mine=medmnist:{tmp_path / 'x.npz'}").rows(PAPER))
    with pytest.raises(FileNotFoundError, match="there is no .*y.npz"):
        sources.parse(f"mine=medmnist:{tmp_path / 'y.npz'}").check()
    touch(tmp_path, "z.npz")
    with pytest.raises(ValueError, match="expected one .npz file"):
        sources.parse(f"mine=medmnist:{tmp_path}").check()


# The registry.


def test_every_source_says_where_it_comes_from_and_what_is_missing(tmp_path):
    for name in [*sources.SOURCES, *sources.KINDS]:
        source = sources.find(name)
        assert source.name == name and source.title and source.get
        assert source.license or name in sources.KINDS
    for name in sources.SOURCES:
        with pytest.raises(FileNotFoundError, match=f"--source {name}.*no such folder"):
            sources.parse(f"{name}={tmp_path / 'missing'}").check()
    for name in ("rsna", "cohen", "figure1", "actualmed", "radiography"):
        with pytest.raises(FileNotFoundError, match=f"--source {name}: "):
            sources.parse(f"{name}={tmp_path}").check()


def test_sources_are_read_from_the_command_line():
    given = sources.parse_all(
        ["mine=folders:a b", "cohen=c", "rsna=~/d", "x=manifest:e"]
    )
    assert list(given) == ["mine", "cohen", "rsna", "x"]
    assert str(given["mine"].folder) == "a b"
    assert "~" not in str(given["rsna"].folder)
    ordered = sorted(given.values(), key=sources.priority)
    assert [source.name for source in ordered] == ["rsna", "cohen", "mine", "x"]


@pytest.mark.parametrize(
    "texts, message",
    [
        (["kermany=x"], "no source 'kermany'.*rsna, cohen.*folders, manifest"),
        (["mine=folder:x"], "no source 'mine'"),
        (["cohen"], "NAME=FOLDER.*Received: 'cohen'"),
        (["cohen="], "Received: 'cohen='"),
        (["mine=folders:"], "Received"),
        (["Mine=folders:x"], "lower-case"),
        (["cohen=folders:x"], "'cohen' is taken"),
        (["folders=x"], "'folders' is taken"),
        (["cohen=x", "cohen=y"], "given twice: x and y"),
    ],
)
def test_a_wrong_source_is_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        sources.parse_all(texts)
