"""The paper's counts, from tables with the true multiplicities and made-up films."""

import io
import json
import zlib
from collections import Counter, defaultdict

import numpy as np
import pytest
import rsna_index
from PIL import Image

from data_tools import build, covidx, manifest, plan, recipes, sources
from data_tools.__main__ import main

CLEAN = {
    "train": {"normal": 6195, "pneumonia": 4228, "covid-19": 75},
    "test": {"normal": 2656, "pneumonia": 1813, "covid-19": 33},
}
TABLE_I = {
    "train": {"normal": 6195, "pneumonia": 6708, "covid-19": 75},
    "test": {"normal": 2656, "pneumonia": 2876, "covid-19": 33},
}


def film(name, kind):
    """A small picture of noise, another for every name; none for unused exams."""
    if kind == rsna_index.MIDDLE_CLASS:
        return None
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    stream = io.BytesIO()
    pixels = rng.integers(0, 256, (16, 16), "uint8")
    Image.fromarray(pixels).save(stream, "PNG", compress_level=0)
    return stream.getvalue()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    rsna_index.write(folder / "rsna", film, ".png", mapping=True)
    rsna_index.write_cohen(folder / "cohen", film)
    pairs = [f"{name}={folder / name}" for name in ("rsna", "cohen")]
    return sources.parse_all(pairs)


def make(name, given, out):
    """Builds a recipe; returns its rows and both reports."""
    summary, splits = build.build(recipes.find(name), given, out, size=16, workers=2)
    return manifest.read(out), summary, splits


@pytest.fixture(scope="module")
def clean(given, tmp_path_factory):
    return make("paper-clean", given, tmp_path_factory.mktemp("sets") / "clean")


@pytest.fixture(scope="module")
def literal(given, tmp_path_factory):
    return make("paper-literal", given, tmp_path_factory.mktemp("sets") / "literal")


def test_paper_clean_has_15000_films_of_whole_patients(clean):
    rows, summary, splits = clean
    assert len(rows) == len({row["image"] for row in rows}) == 15_000
    assert splits["counts"] == CLEAN and summary["unexpected"] == []
    assert splits["misses"] == [] and not any(splits["leaks"].values())
    places = defaultdict(set)
    for row in rows:
        places[row["patient_id"]].add(row["split"])
    assert max(map(len, places.values())) == 1
    assert len(places) > 9000  # by the mapping, not by exam
    assert {row["patient_id"].split(":")[0] for row in rows} == {"nih", "cohen"}
    assert {name: list(c.values()) for name, c in splits["labeled"].items()} == {
        "labeled-5.csv": [309, 211, 3],
        "labeled-7.csv": [433, 295, 5],
        "labeled-9.csv": [557, 380, 6],
    }


def test_the_ledger_of_paper_clean_accounts_for_every_row(clean):
    _, summary, _ = clean
    assert summary["rows"] == {
        "rsna": {
            "read": 30_227,
            "kept": 14_863,
            "dropped": {"not-used": 11_821, "repeat": 3_543},
        },
        "cohen": {
            "read": 207,
            "kept": 137,
            "dropped": {"finding": 23, "modality": 22, "view": 25},
        },
    }


def test_paper_literal_is_table_i(literal, capsys):
    rows, summary, splits = literal
    assert len(rows) == 18_543 and len({row["image"] for row in rows}) == 15_000
    assert splits["counts"] == TABLE_I and summary["unexpected"] == []
    assert list(splits["labeled"]["labeled-5.csv"].values()) == [309, 335, 3]


def test_paper_literal_says_how_many_test_rows_are_copies_of_training_rows(literal):
    rows, summary, splits = literal
    train = {row["image"] for row in rows if row["split"] == "train"}
    test = [row for row in rows if row["split"] == "test"]
    copies = Counter(row["label"] for row in test if row["image"] in train)
    assert copies == {"pneumonia": splits["leaks"]["picture"]["pneumonia"]}
    assert 1_380 < copies["pneumonia"] < 1_580  # 1,480 ± 26 over seeds (specs)
    assert 5 <= splits["leaks"]["patient"]["covid-19"] <= 22
    text = build.report(summary, splits, "out")
    copies = copies["pneumonia"]
    assert f"LEAK: of the 2,876 pneumonia rows of test, {copies:,} (" in text


def test_sskeras_reads_table_i_and_warns(literal, tmp_path, recwarn):
    from sskeras import data

    manifest.write(tmp_path / "manifest.csv", literal[0])
    assert len(data.read_manifest(tmp_path)) == 18_543
    text = " ".join(str(warning.message) for warning in recwarn)
    assert "3543 row(s) name" in text and "patient" in text, text


def test_a_dry_run_of_everything_is_as_expected(given, capsys):
    texts = [f"{name}={source.folder}" for name, source in given.items()]
    flags = [word for text in texts for word in ("--source", text)]
    assert main(["build", *flags, "--dry-run"]) == 0
    assert "MISSING" not in capsys.readouterr().out
    assert main(["build", *flags[:2], "--dry-run"]) == plan.MISSING_SOURCE
    text = capsys.readouterr().out
    assert "MISSING: cohen" in text and "108 covid-19" in text


def test_a_dry_run_notices_unexpected_counts(given, tmp_path, capsys):
    table = (given["cohen"].folder / "metadata.csv").read_text().splitlines(True)
    (tmp_path / "images").symlink_to(given["cohen"].folder / "images")
    (tmp_path / "metadata.csv").write_text("".join([table[0], *table[3:]]))
    flags = ["--source", f"rsna={given['rsna'].folder}", "--source"]
    status = main(["build", *flags, f"cohen={tmp_path}", "--dry-run"])
    text = capsys.readouterr().out
    assert status == plan.UNEXPECTED_COUNTS, text
    assert "UNEXPECTED: cohen has 106 covid-19, expected 108." in text


@pytest.mark.parametrize("version", covidx.FILES)
def test_a_list_without_any_source_drops_every_row_with_a_reason(shared, version):
    recipe = recipes.find(f"covidx-{version}")
    rows = plan.collect(recipe, {}, shared / "covidx_labels")
    assert {row.dropped for row in rows} <= {"no-source", "number"}
    counts = Counter((row.split, row.label) for row in rows)
    assert {
        split: {label: counts[split, label] for label in expected}
        for split, expected in recipe.expected.items()
    } == recipe.expected


def test_a_list_is_built_from_what_is_there(shared, tmp_path):
    folder = shared / "sources"
    pairs = [
        f"cohen={folder / 'covid-chestxray-dataset'}",
        f"figure1={folder / 'Figure1-COVID-chestxray-dataset'}",
        f"actualmed={folder / 'Actualmed-COVID-chestxray-dataset'}",
    ]
    summary, splits = build.build(
        recipes.find("covidx-v5"),
        sources.parse_all(pairs),
        tmp_path / "set",
        size=64,
        lists=shared / "covidx_labels",
    )
    rows = manifest.read(tmp_path / "set")
    assert splits["rule"] == "as given"
    of = {row["source_file"].split("/")[-1]: row for row in rows}
    copy, original = (
        of["COVID-00022.jpg"],
        of["9C34AF49-E589-44D5-92D3-168B3B04E4A6.jpeg"],
    )
    assert (copy["split"], original["split"]) == ("train", "test")
    assert copy["group"] == original["group"]  # one film, two names: the lists leak
    assert splits["leaks"]["group"]["covid-19"] >= 1
    read = sum(count["read"] for count in summary["rows"].values())
    assert read == sum(map(sum, (c.values() for c in summary["expected"].values())))
    assert json.loads((tmp_path / "set" / "split.json").read_text()) == splits


def test_errors_say_what_to_do(given, tmp_path, capsys):
    flags = [f"--source=rsna={given['rsna'].folder}", "--out", str(tmp_path / "out")]
    for more, message in (
        (["--recipe", "paper"], "Choose one of: paper-clean"),
        (["--recipe", "covidx-v9A"], "--lists FOLDER"),
        (["--lists", str(tmp_path)], "covidx-"),
        (["--recipe", "paper-literal", f"--source=a=folders:{tmp_path / 'a'}"], "Drop"),
        ([f"--source=cohen={tmp_path / 'nowhere'}"], "no such folder"),
        (["--source=else=DIR"], "There is no source 'else'"),
    ):
        with pytest.raises(SystemExit) as error:
            main(["build", *flags, *more])
        assert error.value.code == 2 and message in capsys.readouterr().err, more
    assert not (tmp_path / "out").exists()
