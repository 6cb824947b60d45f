"""Whole builds: every row accounted for, the same bytes after any interruption."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_tools import build, ledger, manifest, recipes, sources, store
from data_tools.__main__ import main
from data_tools.drawing.film import draw

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of drawn films by class, with copies, a conflict and a broken file."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(40):
        label = ("normal", "pneumonia")[number % 2]
        stage = "" if label == "normal" else "late"
        pixels, _ = draw(label, stage, [7, number], 96, [8, number])
        path = folder / label / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    shutil.copy(folder / "normal" / "00.png", folder / "normal" / "copy of 00.png")
    film = Image.open(folder / "normal" / "02.png")
    film.resize((160, 160)).save(folder / "normal" / "02 larger.jpg", quality=90)
    shutil.copy(folder / "normal" / "04.png", folder / "pneumonia" / "04.png")
    (folder / "pneumonia" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def make(films, out, *more, workers=1, size=64, recipe="paper-clean"):
    """Builds from the drawn films through the command line."""
    command = ["build", "--recipe", recipe, "--source", f"mine=folders:{films}"]
    command += ["--out", str(out), "--size", str(size), "--workers", str(workers)]
    return main([*command, *more])


def bytes_of(out):
    """All files of a set but the journal, by hash."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(out).rglob("*"))
        if path.is_file() and path.name not in (store.JOURNAL, store.LOCK)
    }


@pytest.fixture(scope="module")
def built(films, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "built"
    assert make(films, out) == 0
    return out


def test_each_picture_stands_once_and_each_row_in_the_ledger(built):
    rows = manifest.read(built)
    outcome = {line["file"]: line for line in read_ledger(built)}
    assert len(outcome) == 44 and len(rows) == 39
    dropped = {file: line["reason"] for file, line in outcome.items() if line["reason"]}
    assert dropped == {
        "normal/04.png": "conflict",
        "pneumonia/04.png": "conflict",
        "normal/copy of 00.png": "duplicate",
        "normal/02.png": "duplicate",
        "pneumonia/broken.png": "truncated",
    }
    assert {row["source_file"] for row in rows} == set(outcome) - set(dropped)
    assert "02 larger.jpg" in outcome["normal/02.png"]["detail"]
    assert not (set(dropped.values()) - set(ledger.REASONS))


def read_ledger(out):
    """The lines of `ledger.csv`."""
    header, records = manifest.read_csv(out / "ledger.csv")
    return [dict(zip(header, cells, strict=True)) for _, cells in records]


def test_the_set_can_be_read_by_sskeras_and_holds_its_promises(built):
    from sskeras import data

    table = data.read_manifest(built)
    data.check_pictures(table)
    x = data.load_pictures(table["path"], 64)
    assert x.shape == (39, 64, 64, 1) and x.std() > 20
    for row in manifest.read(built):
        content = (built / row["image"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert row["image"] == f"images/{row['sha256'][:2]}/{row['sha256'][:32]}.png"
        assert row["group"] and row["width"] in ("96", "160") and row["mode"] == "L"
    listed = {row["image"] for row in manifest.read(built)}
    found = {p.relative_to(built).as_posix() for p in built.rglob("*.png")}
    assert found == listed


def test_a_second_run_changes_nothing(films, built):
    before = bytes_of(built)
    stamps = {p: p.stat().st_mtime_ns for p in built.rglob("*.png")}
    assert make(films, built) == 0
    assert bytes_of(built) == before
    assert stamps == {p: p.stat().st_mtime_ns for p in built.rglob("*.png")}


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_films_give_the_same_bytes(films, built, workers, tmp_path):
    assert make(films, tmp_path / "again", workers=workers) == 0
    assert bytes_of(tmp_path / "again") == bytes_of(built)


def test_a_damaged_and_a_missing_picture_are_made_again(films, built):
    before = bytes_of(built)
    damaged, missing, *_ = sorted(built.rglob("*.png"))
    damaged.write_bytes(damaged.read_bytes()[:-20])
    missing.unlink()
    assert make(films, built) == 0
    assert bytes_of(built) == before


def test_a_changed_original_is_made_again(films, tmp_path, capsys):
    mine = tmp_path / "films"
    shutil.copytree(films, mine)
    make(mine, tmp_path / "out")
    pixels = 255 - np.asarray(Image.open(mine / "normal" / "06.png"))
    Image.fromarray(pixels).save(mine / "normal" / "06.png")
    make(mine, tmp_path / "out")
    assert "1 films with the flag negative" in capsys.readouterr().out
    flags = {r["source_file"]: r["flags"] for r in manifest.read(tmp_path / "out")}
    assert flags["normal/06.png"] == "negative"
    assert Counter(flags.values())[""] == 38
    make(mine, tmp_path / "fresh")
    assert bytes_of(tmp_path / "fresh") == bytes_of(tmp_path / "out")


def test_a_folder_with_other_settings_is_not_touched(films, built, capsys):
    before = bytes_of(built)
    with pytest.raises(SystemExit) as error:
        make(films, built, size=32)
    assert error.value.code == 2 and "other settings" in capsys.readouterr().err
    assert bytes_of(built) == before


def test_a_foreign_manifest_is_not_touched(films, tmp_path, capsys):
    manifest.write(tmp_path / "manifest.csv", [{"image": "a.png", "label": "normal"}])
    with pytest.raises(SystemExit):
        make(films, tmp_path)
    assert "no build has made" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 1


def test_ones_own_pictures_are_never_deleted(films, tmp_path, capsys):
    (tmp_path / "images" / "ab").mkdir(parents=True)
    shutil.copy(films / "normal" / "00.png", tmp_path / "images" / "ab" / "mine.png")
    with pytest.raises(SystemExit):
        make(films, tmp_path)
    assert "holds images, which no build has made" in capsys.readouterr().err
    assert bytes_of(tmp_path).keys() == {"images/ab/mine.png"}


def test_a_second_build_in_the_same_folder_waits_outside(films, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    with store.alone(tmp_path / "out"), pytest.raises(SystemExit):
        make(films, tmp_path / "out")
    assert "Another process is writing" in capsys.readouterr().err
    assert make(films, tmp_path / "out") == 0


def test_what_could_not_be_read_once_is_tried_again(films, tmp_path):
    mine, out = tmp_path / "films", tmp_path / "out"
    shutil.copytree(films, mine)
    broken, good = mine / "pneumonia" / "broken.png", mine / "pneumonia" / "01.png"
    content = good.read_bytes()
    stamp = broken.stat()
    broken.write_bytes(content[: stamp.st_size])
    os.utime(broken, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    make(mine, out)
    journal = out / store.JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    size = len(content)
    good.unlink()
    broken.write_bytes(content)  # as if a decoder were there now: same stamp, readable
    os.utime(broken, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    lines = [line.replace(f"[{stamp.st_size},", f"[{size},") for line in lines]
    journal.write_text("".join(lines))
    make(mine, out)
    assert "pneumonia/broken.png" in {r["source_file"] for r in manifest.read(out)}


@pytest.mark.parametrize("content", ["", "{}", "x\n", '{"a": 1}\nnonsense\n', "[]\n"])
def test_a_damaged_journal_is_named(films, tmp_path, content, capsys):
    (tmp_path / store.JOURNAL).write_text(content)
    with pytest.raises(SystemExit) as error:
        make(films, tmp_path)
    text = capsys.readouterr().err
    assert error.value.code == 2 and str(tmp_path) in text and "elete" in text


def test_odd_names_and_unlabeled_films_survive_a_build(films, tmp_path):
    from sskeras import data

    mine = tmp_path / "films"
    names = ["a\rb.png", 'a"b,c.png', "a\nb.png", "ä 胸 ☢.png", " blank .png"]
    for number, name in enumerate(names):
        folder = mine / ("unlabeled", " Effusion", "normal")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        label = ("normal", "pneumonia")[number % 2]
        shutil.copy(films / label / f"{number + 10}.png", folder / name)
    assert make(mine, tmp_path / "out") == 0
    rows = manifest.read(tmp_path / "out")
    assert {Path(row["source_file"]).name for row in rows} == set(names)
    assert {row["label"] for row in rows} == {"", "Effusion", "normal"}
    assert len(data.read_manifest(tmp_path / "out")) == 5
    assert {line["outcome"] for line in read_ledger(tmp_path / "out")} == {"kept"}


def test_exact_copies_are_among_the_pairs(built):
    header, records = manifest.read_csv(built / "duplicates.csv")
    pairs = [dict(zip(header, cells, strict=True)) for _, cells in records]
    found = {frozenset((p["source_file"], p["other_source_file"])) for p in pairs}
    assert frozenset(("normal/00.png", "normal/copy of 00.png")) in found
    assert frozenset(("normal/04.png", "pneumonia/04.png")) in found
    assert all(pair["same_picture"] == "yes" for pair in pairs)


def test_verify_sees_a_changed_ledger(films, tmp_path, capsys):
    make(films, tmp_path / "out")
    assert main(["verify", str(tmp_path / "out")]) == 0
    with open(tmp_path / "out" / "ledger.csv", "a") as ledger_file:
        ledger_file.write("mine,1,x,,,kept,,\n")
    assert main(["verify", str(tmp_path / "out")]) == 1
    assert "ledger.csv: changed" in capsys.readouterr().out


@pytest.mark.slow
def test_kills_at_20_random_moments_leave_the_same_bytes(films, built, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "data_tools", "build", "--source"]
    command += [f"mine=folders:{films}", "--out", str(out), "--size", "64"]
    command += ["--workers", "2"]
    rng, stages, early, late = random.Random(0), Counter(), 0.2, 3.0
    for _ in range(20):
        if rng.random() < 0.4:  # Else go on with what the last kill has left.
            shutil.rmtree(out, ignore_errors=True)
        elif (out / store.JOURNAL).exists():
            forget(out, rng)
        moment = rng.uniform(early, late)
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (out / "manifest.csv").exists():
            stages["finished"] += 1
            late = max(moment, early + 0.2)
            assert bytes_of(out).items() >= bytes_of(built).items()
        else:
            stages["begun" if out.exists() else "nothing"] += 1
            early = early if out.exists() else min(moment, late - 0.2)
    assert stages["begun"] >= 4, stages
    assert make(films, out) == 0
    assert bytes_of(out) == bytes_of(built)


def forget(out, rng):
    """Cuts the journal within a line and makes the set unfinished."""
    journal = out / store.JOURNAL
    content = journal.read_bytes()
    head = content.index(b"\n") + 1
    journal.write_bytes(content[: rng.randint(head, len(content))])
    (out / "manifest.csv").unlink(missing_ok=True)


def test_a_full_disk_leaves_no_set_and_the_build_goes_on(films, built, tmp_path):
    """A limit on the size of files stands in for a disk without room."""
    out = tmp_path / "full"
    code = (
        "import resource, signal, sys; from data_tools.__main__ import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, -1));"
        f"main(['build', '--source', 'mine=folders:{films}', '--out', '{out}',"
        "'--size', '64', '--workers', '1'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and "File too large" in done.stderr, done.stderr
    assert not (out / "manifest.csv").exists()
    assert make(films, out) == 0
    assert bytes_of(out) == bytes_of(built)


def test_too_little_room_is_seen_before_the_work(films, tmp_path, monkeypatch, capsys):
    little = shutil._ntuple_diskusage(10**6, 10**6, 10**4)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: little)
    with pytest.raises(SystemExit):
        make(films, tmp_path / "out")
    assert "Make room" in capsys.readouterr().err
    assert not (tmp_path / "out" / "images").exists()


def test_a_dry_run_writes_nothing_and_names_what_is_missing(films, tmp_path, capsys):
    status = make(films, tmp_path / "out", "--dry-run")
    text = capsys.readouterr().out
    assert status == 3 and not (tmp_path / "out").exists()
    assert "MISSING: rsna" in text and "MISSING: cohen" in text
    assert "8,851 normal" in text and "License" in text
    assert "normal" in text and "truncated" in text


def test_originals_are_kept_in_their_size(films, tmp_path):
    make(films, tmp_path / "out", size="original")
    for row in manifest.read(tmp_path / "out"):
        with Image.open(tmp_path / "out" / row["image"]) as film:
            assert film.size == (int(row["width"]), int(row["height"]))
        if row["source_file"].endswith("06.png"):
            original = np.asarray(Image.open(films / row["source_file"]))
            stored = np.asarray(Image.open(tmp_path / "out" / row["image"]))
            assert (original == stored).all()


def test_a_row_goes_to_one_source_and_copies_from_another_are_recognized(
    films, tmp_path
):
    other = tmp_path / "other" / "normal"
    other.mkdir(parents=True)
    film = Image.open(films / "normal" / "08.png")
    film.resize((192, 192)).save(other / "x.jpg", quality=95)
    given = {
        name: sources.parse(f"{name}=folders:{folder}")
        for name, folder in (("mine", films), ("other", tmp_path / "other"))
    }
    recipe = recipes.find("paper-clean")
    summary, _ = build.build(recipe, given, tmp_path / "out", size=64, workers=1)
    assert summary["rows"]["other"]["dropped"] == {"duplicate": 1}
    assert json.loads((tmp_path / "out" / "build.json").read_text()) == summary
    assert os.listdir(other) == ["x.jpg"]


def test_arguments_that_no_build_can_work_with(films, tmp_path, capsys):
    for more, message in (
        ({"size": 0}, "at least 16 pixels"),
        ({"workers": 0}, "at least 1 worker"),
        ({"out": films / "out"}, "Choose a folder elsewhere"),
    ):
        with pytest.raises(SystemExit) as error:
            make(films, **({"out": tmp_path / "out"} | more))
        assert error.value.code == 2 and message in capsys.readouterr().err
        assert not (tmp_path / "out").exists() and not (films / "out").exists()
