"""The released lists of COVIDx: no line lost, and rows located in sources."""

from collections import Counter

import pytest

from data_tools import covidx, ledger, recipes, sources

FRONTAL = recipes.find("frontal").rules
UUID = "47c78742-4998-4878-aec4-37b11b1354ac"


@pytest.fixture(scope="module")
def released(shared):
    """Reads both lists of a version."""
    folder = shared / "covidx_labels"

    def read(version):
        paths = covidx.find_lists(folder, version)
        return {path: covidx.parse(path) for path in paths}

    return read


@pytest.mark.parametrize("version", covidx.FILES)
def test_every_line_of_every_released_list_is_read(version, released):
    for split, (path, lines) in zip(
        ("train", "test"), released(version).items(), strict=True
    ):
        assert len(lines) == path.read_bytes().count(b"\n")
        assert [line.number for line in lines] == list(range(1, len(lines) + 1))
        counts = Counter(line.label for line in lines)
        assert counts == covidx.EXPECTED[version][split]
        found = {line.source for line in lines}
        assert found <= {*covidx.SOURCES[version], "radiography"}
        for line in lines:
            assert " " not in line.file and "." in line.file
            if line.source == "rsna":
                assert len(line.id) == 36 and line.file == f"{line.id}.png"
    assert len(covidx.FILES) == 12


def test_the_lists_have_the_sums_of_their_publication():
    sums = {v: sum(split["train"].values()) for v, split in covidx.EXPECTED.items()}
    assert sums["v1"] == 16546 and sums["v5"] == 13958 and sums["v9A"] == 30130


def test_the_lists_of_severity_are_read_too(shared):
    train = covidx.parse(shared / "covidx_labels" / "train_COVIDxSev.txt")
    counts = Counter(line.label for line in train)
    assert counts == {"level1": 175, "level2": 584}


def test_ids_with_a_blank_and_misspelled_sources_are_understood(released):
    train, _ = released("v7A").values()
    odd = [line for line in train if " " in line.id]
    assert len(odd) == 1182
    line = next(line for line in odd if line.id == "COVID 1")
    assert (line.file, line.label, line.source) == (
        "COVID(1).png",
        "covid-19",
        "radiography",
    )
    train, _ = released("v9A").values()
    assert sum(line.source == "rsna" for line in train) == 13389 + 199
    _, test = released("v3").values()
    without = [line for line in test if line.source == "rsna"]
    assert len(without) == 196  # of 197: one film of Cohen's lacks its source, too
    assert next(line.source for line in test if line.id == "8") == "cohen"
    train, test = released("v2").values()
    figure1 = [line for line in train + test if line.source == "figure1"]
    assert len(figure1) == 3


def write(path, *lines):
    """Writes a list."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    "line",
    [
        "",
        "3 a.png",
        "3 a.png unknown cohen",
        "a.png COVID-19 cohen",
        "COVID-19 a.png COVID-19 cohen",
        "3 a.png COVID-19 normal",
        "3 a.png COVID-19 moon",
        "3 a.png COVID-19 cohen more",
        "3 a.png covid-19 cohen",
    ],
)
def test_a_line_that_cannot_be_understood_is_refused(line, tmp_path):
    path = write(tmp_path / "list.txt", "3 a.png normal cohen", line)
    with pytest.raises(ValueError, match=r"list.txt, line 2: expected `id file"):
        covidx.parse(path)


def test_odd_line_ends_lose_nothing(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf3 a.png normal\r\n4 b.png positive")
    first, second = covidx.parse(path)
    assert (first.id, second.file, second.label) == ("3", "b.png", "covid-19")
    path.write_bytes(b"")
    assert covidx.parse(path) == []
    path.write_bytes(b"3 \xe9.png normal\n")
    with pytest.raises(ValueError, match="not a text file"):
        covidx.parse(path)


def test_missing_lists_and_versions_are_named(tmp_path, shared):
    with pytest.raises(ValueError, match="no version 'v10'.*v9B"):
        covidx.find_lists(tmp_path, "v10")
    with pytest.raises(FileNotFoundError, match="train_COVIDx7A.txt and test_COVIDx7A"):
        covidx.find_lists(tmp_path, "v7A")
    (tmp_path / "labels").symlink_to(shared / "covidx_labels")
    train, test = covidx.find_lists(tmp_path, "v1")
    assert (train.name, test.name) == ("train_COVIDx.txt", "test_COVIDx.txt")


def test_version_9_calls_abdomens_and_lateral_films_covid(released, tmp_path):
    lines = [line for lines in released("v9A").values() for line in lines]
    names = [line.file for line in lines if line.source == "stonybrook"]
    for name in names:
        (tmp_path / name).touch()
    source = sources.parse(f"stonybrook={tmp_path}")
    found = Counter(row.dropped or row.view for row in source.rows(FRONTAL))
    assert len(names) == 14132
    assert found == {"AP": 13592, "PA": 44, "body-part": 487, "view": 9}
    ids = {f"stonybrook:{i.id}" for i in lines if i.source == "stonybrook"}
    assert {row.patient for row in source.rows(FRONTAL)} == ids and len(ids) == 1365
    names = [line.file for line in lines if line.source == "bimcv"]
    pattern = sources.find("bimcv").pattern
    assert len(names) == 200 and all(map(pattern.fullmatch, names))


def given(shared):
    """The sources of which a part is here."""
    folders = {
        "cohen": "covid-chestxray-dataset",
        "figure1": "Figure1-COVID-chestxray-dataset",
        "actualmed": "Actualmed-COVID-chestxray-dataset",
    }
    texts = [f"{n}={shared / 'sources' / folder}" for n, folder in folders.items()]
    return sources.parse_all(texts)


def test_a_list_has_a_row_for_every_line_located_in_its_sources(shared):
    rows = covidx.rows(shared / "covidx_labels", "v9B", given(shared), FRONTAL)
    assert len(rows) == 30482 + 400
    assert {row.dropped for row in rows} <= {"", *ledger.REASONS}
    count = ledger.count(rows)
    assert count["figure1"] == {"read": 24, "kept": 24, "dropped": {}}
    assert count["actualmed"]["kept"] == 3 and count["cohen"]["kept"] == 40
    assert count["radiography"]["dropped"] == {"number": 943}
    assert count["stonybrook"]["dropped"] == {"no-source": 14132}
    for split in ("train", "test"):
        found = Counter(row.label for row in rows if row.split == split)
        assert found == covidx.EXPECTED["v9B"][split]
    row = next(row for row in rows if row.file.endswith("COVID-00015b.png"))
    assert (row.patient, row.split) == ("figure1:COVID-00015", "train")
    assert (row.file, row.rule) == ("images/COVID-00015b.png", "list v9B")


def test_the_list_is_the_truth_and_the_source_the_place(shared, tmp_path):
    lateral = "nejmoa2001191_f3-L.jpeg"
    write(
        tmp_path / "train_COVIDx5.txt",
        f"13 {lateral} normal cohen",
        f"13 {lateral} normal cohen",
        "13 nejmoa2001191_f3-l.jpeg COVID-19 cohen",
        f"{UUID} {UUID}.png normal rnsa",
    )
    write(tmp_path / "test_COVIDx5.txt", "COVID 1 COVID(1).png COVID-19 sirm")
    rows = covidx.rows(tmp_path, "v5", given(shared), FRONTAL)
    assert [row.dropped for row in rows] == [
        *("", "", "not-on-disk", "no-source", "number")
    ]
    assert [(row.line, row.split) for row in rows][3:] == [(4, "train"), (1, "test")]
    first = rows[0]
    assert (first.label, first.view, first.detail) == ("normal", "L", "")
    assert first.file == f"images/{lateral}" and first.url.startswith("https")
    assert rows[3].detail == "rsna" and rows[3].patient == f"rsna:{UUID}"
    assert rows[4].source == "radiography"


def test_a_list_leads_nowhere_outside_a_source(tmp_path):
    (tmp_path / "x.png").touch()
    folder = tmp_path / "cohen"
    (folder / "images").mkdir(parents=True)
    text = "patientid,finding,view,filename\n1,COVID-19,L,../../x.png\n"
    (folder / "metadata.csv").write_text(text)
    write(tmp_path / "train_COVIDx5.txt", "1 x.png COVID-19 cohen")
    write(tmp_path / "test_COVIDx5.txt")
    source = {"cohen": sources.parse(f"cohen={folder}")}
    (row,) = covidx.rows(tmp_path, "v5", source, FRONTAL)
    assert row.dropped == "path-escape"


def test_a_png_of_a_list_is_found_as_dicom_with_its_patient(tmp_path):
    other = UUID.replace("4", "5")
    folder = tmp_path / "rsna"
    (folder / "stage_2_train_images").mkdir(parents=True)
    labels = f"patientId,Target\n{UUID},1\n{UUID},1\n{other},0\n"
    (folder / "stage_2_train_labels.csv").write_text(labels)
    classes = f"patientId,class\n{UUID},Lung Opacity\n{other},No Lung Opacity\n"
    (folder / "stage_2_detailed_class_info.csv").write_text(classes)
    mapping = f'[{{"subset_img_id": "{UUID}", "img_id": "00012345_006.png"}}]'
    name = "pneumonia-challenge-dataset-mappings_2018.json"
    (folder / name).write_text(mapping)
    (folder / "stage_2_train_images" / f"{UUID}.dcm").touch()
    write(
        tmp_path / "train_COVIDx6.txt",
        f"{UUID} {UUID}.png negative rsna",
        f"{other} {other}.png negative rsna",
    )
    write(tmp_path / "test_COVIDx6.txt")
    source = {"rsna": sources.parse(f"rsna={folder}")}
    rows = covidx.rows(tmp_path, "v6", source, FRONTAL)
    assert [row.dropped for row in rows] == ["", "not-on-disk"]
    assert [row.patient for row in rows] == ["nih:00012345", f"rsna:{other}"]
    assert rows[0].file == f"stage_2_train_images/{UUID}.dcm"
