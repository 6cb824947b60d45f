"""Sets built from a copy of every source, checked by naive code of these tests alone.

What every row must become is written down while the copies are; pixels, thumbnails,
correlations, groups and quotas are computed here again, in other ways.
"""

import csv
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
from odd_pictures import dicom, encoded
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from data_tools.drawing.film import draw

RECIPES = ("paper-clean", "frontal")
ORDER = ("rsna cohen figure1 actualmed ricord bimcv stonybrook radiography").split()
OWN = ("mine", "own", "toy")
COMPARED = ("duplicate", "conflict")  # reasons that a picture itself gives


# --- one small copy of every source ------------------------------------------------


class Corpus:
    """A folder of sources, and what each of their rows must become.

    `rows` are dicts: source, line, file, shows (name of the drawing), label, patient,
    view, age, sex, license, and for each recipe the reason why it is dropped before
    its picture is compared with others (`""`: it is not).
    """

    def __init__(self, root):
        self.root, self.rows, self.films = root, [], {}

    def film(self, name, label="normal", size=128):
        """A drawn film; the same name gives the same one."""
        if name not in self.films:
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
            stage = "" if label == "normal" else "late"
            self.films[name] = draw(label, stage, [1, seed], size, [2, seed])[0]
        return self.films[name]

    def write(self, path, content):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def expect(self, source, line, file="", **facts):
        """Notes a row; `drop` is for both recipes, `paper` for paper-clean alone."""
        drop = facts.pop("drop", "")
        row = dict.fromkeys(("shows", "label", "patient", "view", "age", "sex"), "")
        row |= {"source": source, "line": str(line), "file": file, "license": ""}
        row |= {"paper-clean": facts.pop("paper", drop), "frontal": drop}
        self.rows.append(row | facts)


def png(pixels):
    return encoded(Image.fromarray(pixels), "PNG")


def jpeg(pixels, size=None):
    image = Image.fromarray(pixels)
    if size:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return encoded(image, "JPEG", quality=95)


def table(lines, newline="\n", encoding="utf-8"):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=newline).writerows(lines)
    return text.getvalue().encode(encoding)


def write_rsna(corpus):
    """12 exams with a film, one without; boxes, a shared patient, a negative tag."""
    boxes = [["patientId", "x", "y", "width", "height", "Target"]]
    infos, mapping = [["patientId", "class"]], []
    exams = [(f"n{i}", "Normal", 1) for i in range(8)]
    exams += [(f"o{i}", "Lung Opacity", 1 + i % 4) for i in range(6)]
    exams += [(f"x{i}", "No Lung Opacity / Not Normal", 1) for i in range(2)]
    for number, (exam, finding, rows) in enumerate(exams):
        nih = {"n1": "n0", "o0": "n3"}.get(exam, exam)  # n0 and n1: one patient
        nih = f"{[e[0] for e in exams].index(nih):08d}"
        mapping.append({"subset_img_id": exam, "img_id": f"{nih}_00{number % 9}.png"})
        file = f"stage_2_train_images/{exam}.dcm"
        target = int(finding == "Lung Opacity")
        pixels = corpus.film(exam, "pneumonia" if target else "normal")
        facts = {
            "ViewPosition": ("PA", "AP")[number % 2],
            "PatientSex": "MF"[number % 2],
            "PatientAge": f"0{40 + number}Y",
        }
        if exam == "n2":
            content = dicom(255 - pixels, PhotometricInterpretation="MONOCHROME1")
            facts = dict.fromkeys(facts, "")
        elif exam == "n4":
            frame = encoded(Image.fromarray(pixels), "JPEG", quality=95)
            content = dicom(pixels, syntax=JPEGBaseline8Bit, frame=frame, **facts)
        else:
            content = dicom(pixels, **facts)
        if exam != "n7":
            corpus.write(f"rsna/{file}", content)
        for box in range(rows):
            boxes.append([exam, *([box, 1, 2, 3] if target else [""] * 4), target])
            infos.append([exam, finding])
            drop = "not-used" if finding.startswith("No ") else "repeat" if box else ""
            corpus.expect(
                "rsna",
                len(boxes),
                file,
                shows=exam,
                label={"Normal": "normal", "Lung Opacity": "pneumonia"}.get(finding),
                patient=f"nih:{nih}",
                view=facts["ViewPosition"],
                sex=facts["PatientSex"],
                age=facts["PatientAge"],
                license="RSNA",
                drop="not-on-disk" if exam == "n7" else drop,
            )
    corpus.write("rsna/stage_2_train_labels.csv", table(boxes))
    corpus.write("rsna/stage_2_detailed_class_info.csv", table(infos))
    name = "rsna/pneumonia-challenge-dataset-mappings_2018.json"
    corpus.write(name, json.dumps(mapping).encode())


def write_cohen(corpus):
    """A clone whose table has rows of every kind, and a mask that none names."""
    lines = [
        "Patientid,sex,age,finding,view,modality,filename, url,license,notes,".split(
            ","
        )
    ]
    covid, sars = {"label": "covid-19"}, {"label": "pneumonia"}
    kinds = [  # patient, finding, view, modality, drawing, what is expected
        ("1", "COVID-19", "PA", "X-ray", "c1", covid),
        ("1", "COVID-19", "AP Supine", "X-ray", "c2", covid | {"paper": "view"}),
        ("2", "COVID-19, ARDS", "PA", "X-ray", "c3", covid | {"paper": "finding"}),
        ("3", "SARS", "PA", "X-ray", "c4", sars),
        ("4", "Streptococcus", "PA", "X-ray", "c5", sars),
        ("5", "MERS-CoV", "PA", "X-ray", "c6", sars | {"paper": "finding"}),
        ("6", "COVID-19", "L", "X-ray", "c7", {"drop": "view"}),
        ("6", "COVID-19", "Axial", "CT", "c8", {"drop": "modality"}),
        ("7", "No Finding", "PA", "X-ray", "c9", {"drop": "finding"}),
        ("8", "todo", "PA", "X-ray", "c10", {"drop": "no-label"}),
        ("9", "COVID-19", "PA", "X-ray", "gone", {"drop": "not-on-disk"}),
        ("10", "COVID-19", "PA", "X-ray", "c11 ", covid),
        ("", "COVID-19", "PA", "X-ray", "c12", covid),
        *(
            (f"{20 + i // 2}", "COVID-19", "PA", "X-ray", f"d{i}", covid)
            for i in range(8)
        ),
    ]
    for number, (patient, finding, view, modality, shows, facts) in enumerate(kinds):
        name = f"{shows.strip()}.png"
        if shows != "gone":
            pixels = corpus.film(shows, "covid-19", 140)
            rgb = Image.merge("RGB", [Image.fromarray(pixels)] * 3)
            corpus.write(f"cohen/images/{name}", encoded(rgb, "PNG"))
        sex, age = "MF"[number % 2], str(20 + number)
        license = ("CC BY-NC-SA", "CC BY 3.0", "")[number % 3]
        cell = name + " " * shows.endswith(" ")
        cells = [patient, sex, age, finding, view, modality, cell, "u", license, "", ""]
        lines.append(cells)
        corpus.expect(
            "cohen",
            len(lines),
            f"images/{name}",
            shows=shows,
            patient=patient and f"cohen:{patient}",
            view=view,
            sex=sex,
            age=age,
            license=license,
            **facts,
        )
    lines.append(["11", "M", "COVID-19"])
    corpus.expect("cohen", len(lines), drop="bad-row")
    corpus.write("cohen/images/mask.png", png(corpus.film("c1") // 200 * 255))
    corpus.write("cohen/metadata.csv", table(lines))
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "films"]):
        subprocess.run(["git", "-C", str(corpus.root / "cohen"), *words], check=True)


def write_figure_1(corpus):
    """cp1252, no column of files, letters for the films of one patient."""
    lines = ["patientid,sex,age,finding,view,modality,notes".split(",")]
    kinds = [
        ("COVID-00001", "COVID-19", "", "f1", ".jpg", {}),
        ("COVID-00003a", "COVID-19", "AP erect", "f2", ".png", {}),
        ("COVID-00003b", "COVID-19, ARDS", "", "f3", ".jpg", {}),
        ("COVID-00005", "COVID-19", "", "c1", ".jpg", {}),
        ("COVID-00006", "", "PA", "f4", ".jpg", {"drop": "no-label"}),
        ("COVID-00007", "Pneumonia", "PA", "f5", ".png", {"drop": "finding"}),
        ("COVID-00008", "COVID-19", "PA", "f6", ".jpg", {"drop": "not-on-disk"}),
    ]
    for film, finding, view, shows, suffix, facts in kinds:
        pixels = corpus.film(shows, "covid-19", 150)
        content = png(pixels) if suffix == ".png" else jpeg(pixels)
        if shows != "f6":
            corpus.write(f"figure1/images/{film}{suffix}", content)
        lines.append([film, "M", "50–60", finding, view, "X-ray", "37 °C, it’s"])
        corpus.expect(
            "figure1",
            len(lines),
            f"images/{film}{suffix}",
            shows=shows,
            label="covid-19",
            patient=f"figure1:{film.rstrip('ab')}",
            view=view,
            sex="M",
            age="50–60",
            license="research only",
            **facts,
        )
    corpus.write("figure1/metadata.csv", table(lines, encoding="cp1252"))


def write_actualmed(corpus):
    """Lines that end in CRLF, and two films of one patient."""
    lines = ["patientid,sex,age,finding,view,modality,imagename,notes".split(",")]
    kinds = [
        ("ANON1", "COVID-19", "PA", {}),
        ("ANON1", "COVID-19", "AP", {"paper": "view"}),
        ("ANON2", "COVID-19", "PA", {}),
        ("ANON3", "No finding", "PA", {"drop": "finding"}),
        ("ANON4", "", "PA", {"drop": "no-label"}),
        ("ANON5", "COVID-19", "PA", {"shows": "d0"}),  # of a patient of Cohen's
    ]
    for number, (patient, finding, view, facts) in enumerate(kinds):
        name = f"CR.1.2.{number}.png"
        shows = facts.get("shows", f"a{number}")
        pixels = corpus.film(shows, "covid-19", 160)
        corpus.write(f"actualmed/images/{name}", png(pixels))
        lines.append([patient, "", "", finding, view, "X-ray", name, "date, time"])
        corpus.expect(
            "actualmed",
            len(lines),
            f"images/{name}",
            label="covid-19",
            patient=f"actualmed:{patient}",
            view=view,
            license="research only",
            **{"shows": shows} | facts,
        )
    corpus.write("actualmed/metadata.csv", table(lines, "\r\n"))


def write_files(corpus, source, kinds):
    """Writes files of a source without a table, which count in sorted order."""
    for number, (file, content, facts) in enumerate(sorted(kinds, key=lambda k: k[0])):
        corpus.write(f"{source}/{file}", content)
        corpus.expect(source, number + 1, file, **facts)


def write_ricord(corpus):
    """12 and 16 bits, signed, windows, both polarities, and a lateral film."""
    deep = [corpus.film(f"r{i}", "covid-19", 120).astype("uint16") for i in range(5)]
    mono1 = {"PhotometricInterpretation": "MONOCHROME1"}
    window = {"WindowCenter": 1800, "WindowWidth": 2600}
    signed = deep[2].astype("int16") * 20 - 1024
    kinds = [
        ("1/a/1.dcm", dicom(4000 - deep[0] * 15, 12, ViewPosition="PA", **mono1), "PA"),
        ("1/b/1.dcm", dicom(deep[1] * 15, 12, ViewPosition="PA", **window), "PA"),
        ("2/a/1.dcm", dicom(signed, ViewPosition="PA", RescaleSlope=2), "PA"),
        ("2/a/2.dcm", dicom(deep[3] * 200, ViewPosition="AP"), "AP"),
        ("3/a/1.dcm", dicom(deep[4] * 15, 12, ViewPosition="LL"), "LL"),
    ]
    files = [("LICENSE.txt", b"CC BY-NC 4.0", {"drop": "not-used"})]
    for number, (place, content, view) in enumerate(kinds):
        patient, study, name = place.split("/")
        folder = f"MIDRC-RICORD-1C-SITE2-00000{patient}/study-{study}1234/series"
        facts = {
            "shows": f"r{number}",
            "label": "covid-19",
            "patient": f"ricord:SITE2-00000{patient}",
            "view": view,
            "license": "CC BY-NC 4.0",
            "drop": "view" if view == "LL" else "",
            "paper": "" if view == "PA" else "view",
        }
        files.append((f"{folder}/{name}", content, facts))
    write_files(corpus, "ricord", files)


def write_bimcv(corpus):
    """PNG of 16 bits."""
    kinds = [
        ("S01", "chest", "pa", ""),
        ("S01", "chest", "ap", ""),
        ("S02", "chest", "pa", ""),
        ("S03", "chest", "ll", "view"),
        ("S04", "abdomen", "ap", "body-part"),
    ]
    files = [("participants.tsv", b"participant\tsex\n", {"drop": "not-used"})]
    for number, (patient, part, view, drop) in enumerate(kinds):
        shows = f"b{number}"
        pixels = corpus.film(shows, "covid-19", 130).astype("uint16") * 250 + 7
        name = f"sub-{patient}_ses-E{number}_run-1_bp-{part}_vp-{view}_dx.png"
        facts = {"shows": shows, "label": "covid-19", "patient": f"bimcv:{patient}"}
        facts |= {"view": view.upper(), "license": "research use agreement"}
        facts |= {"drop": drop, "paper": drop or ("view" if view == "ap" else "")}
        files.append((f"sub-{patient}/{name}", png(pixels), facts))
    write_files(corpus, "bimcv", files)


def write_stony_brook(corpus):
    """Folders of DICOM files, and pictures with the released names."""
    kinds = [  # patient, what was filmed, view, whether as DICOM
        ("A000801", "XR CHEST PA", "PA", True),
        ("A000801", "XR CHEST AP PORT", "AP", True),
        ("A000802", "CHEST PA", "PA", False),
        ("A000803", "XR CHEST 2V", "LATERAL", True),
        ("A000804", "ABD FLAT PLATE", "AP", False),
    ]
    files = []
    for number, (patient, what, view, deep) in enumerate(kinds):
        pixels = corpus.film(f"s{number}", "covid-19", 136)
        study = f"01-0{number + 1}-1901-NA-{what}-1234{number}"
        series = f"1.000000-{view}-7654{number}"
        if deep:
            file, content = f"{patient}/{study}/{series}/1-1.dcm", dicom(pixels)
        else:
            file = "-".join([patient, study, series, "1-1.jpg"]).replace(" ", "_")
            content = jpeg(pixels)
        drop = {"LATERAL": "view"}.get(view, "body-part" if "ABD" in what else "")
        facts = {"shows": f"s{number}", "label": "covid-19", "view": view}
        facts |= {"patient": f"stonybrook:{patient}", "license": "CC BY 4.0"}
        facts |= {"drop": drop, "paper": drop or ("view" if view == "AP" else "")}
        files.append((file, content, facts))
    write_files(corpus, "stonybrook", files)


def write_radiography(corpus):
    """Copies of films above, resized or as JPEG, one under another label."""
    kinds = [  # folder, drawing, label, format
        ("COVID", "c1", "covid-19", "jpeg"),
        ("COVID", "d3", "covid-19", "jpeg"),
        ("COVID", "c2", "covid-19", "jpeg"),  # whose original is no PA film
        ("COVID", "k1", "covid-19", "png"),
        ("Normal", "n0", "normal", 299),
        ("Normal", "n2", "normal", 299),
        ("Normal", "k2", "normal", "png"),
        ("Normal", "o5", "normal", 299),  # pneumonia, says RSNA
        ("Lung_Opacity", "o1", "pneumonia", 299),
        ("Viral Pneumonia", "k3", "pneumonia", "png"),
    ]
    files = [("README.md.txt", b"films", {"drop": "not-used"})]
    for number, (folder, shows, label, how) in enumerate(kinds):
        pixels = corpus.film(shows, label)
        content = jpeg(pixels) if how == "jpeg" else png(pixels)
        if how == 299:
            larger = Image.fromarray(pixels).resize(
                (299, 299), Image.Resampling.LANCZOS
            )
            content = encoded(larger, "PNG")
        facts = {"shows": shows, "label": label, "license": "nine sources"}
        files.append((f"{folder}/images/{folder}-{number}.png", content, facts))
        mask = png((pixels > 100).astype("uint8") * 255)
        unused = {"drop": "not-used"}
        files.append((f"{folder}/masks/{folder}-{number}.png", mask, unused))
    write_files(corpus, "radiography", files)


def write_own(corpus):
    """A folder for each class, a manifest, and arrays."""
    classes = {"normal": "normal", "Pneumonia": "pneumonia", "COVID19": "covid-19"}
    files = [
        ("stray.png", png(corpus.film("stray")), {"drop": "no-label"}),
        ("normal/.DS_Store", b"x", {"drop": "not-a-picture"}),
        ("normal/cut.png", png(corpus.film("cut"))[:900], {"drop": "truncated"}),
        ("normal/empty.png", b"", {"drop": "empty"}),
    ]
    for number, (folder, label) in enumerate(list(classes.items()) * 6):
        place = ("", "train/", "test/")[number % 3 if number > 8 else 0]
        shows = f"m{number}"
        content = png(corpus.film(shows, label, 96 + 8 * (number % 3)))
        facts = {"shows": shows, "label": label}
        files.append((f"{place}{folder}/{number:02d}.png", content, facts))
    corners = {"near": np.s_[-8:, -8:], "almost": np.s_[:7, :7]}  # 0.993, 0.975
    for shows, corner in corners.items():
        corpus.films[shows] = corpus.film("m0").copy()
        corpus.films[shows][corner] = 255 - corpus.films[shows][corner]
        facts = {"shows": shows, "label": "normal"}
        files.append((f"normal/{shows}.png", png(corpus.films[shows]), facts))
    write_files(corpus, "mine", files)
    lines = [["image", "label", "patient_id", "source", "age", "license", "weight"]]
    for number in range(9):
        file, label = f"Röntgen/{number}.png", ("Normal", "COVID", "")[number % 3]
        shows = {4: "m2", 8: "m0", 6: "w2"}.get(number, f"w{number}")
        corpus.write(f"own/{file}", png(corpus.film(shows, "normal", 100)))
        patient = f"p{number // 4}" if number != 4 else ""
        lines.append([file, label, patient, "clinic", "61", "CC0", "1"])
        corpus.expect(
            "own",
            len(lines),
            file,
            shows=shows,
            label={"Normal": "normal", "COVID": "covid-19", "": ""}[label],
            patient=patient and f"own:{patient}",
            age="61",
            license="CC0",
        )
    corpus.write("own/manifest.csv", table(lines))
    arrays, number = {}, 0
    for split, count in (("train", 6), ("test", 3)):
        labels = [i % 2 for i in range(count)]
        names = [("normal", "pneumonia")[i] for i in labels]
        films = [corpus.film(f"t{number + i}", n, 64) for i, n in enumerate(names)]
        arrays |= {f"{split}_images": np.stack(films)}
        arrays |= {f"{split}_labels": np.array(labels, "uint8")[:, None]}
        for i, name in enumerate(names):
            number += 1
            file = f"pneumoniamnist.npz::{split}/{i}"
            corpus.expect("toy", number, file, shows=f"t{number - 1}", label=name)
    (corpus.root / "toy").mkdir()
    np.savez(corpus.root / "toy/pneumoniamnist.npz", **arrays)


def sources_of(root, order):
    own = {"mine": "folders:", "own": "manifest:", "toy": "medmnist:"}
    places = {name: own.get(name, "") + str(root / name) for name in (*ORDER, *OWN)}
    return [word for name in order for word in ("--source", f"{name}={places[name]}")]


def tools(*words, **environment):
    """Runs `python -m data_tools` in a process of its own; returns what it printed."""
    command = [sys.executable, "-m", "data_tools", *map(str, words)]
    env = os.environ | environment
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    corpus = Corpus(tmp_path_factory.mktemp("every") / "Quellen für Röntgen")
    write_rsna(corpus)
    write_cohen(corpus)
    write_figure_1(corpus)
    write_actualmed(corpus)
    write_ricord(corpus)
    write_bimcv(corpus)
    write_stony_brook(corpus)
    write_radiography(corpus)
    write_own(corpus)
    return corpus


@pytest.fixture(scope="session")
def built(corpus):
    """Dict of recipe to a set of all sources."""
    folder = corpus.root.parent
    words = [*sources_of(corpus.root, (*ORDER, *OWN)), "--size", 64, "--workers", 1]
    for name in RECIPES:
        tools("build", "--recipe", name, "--out", folder / name, *words)
    return {name: folder / name for name in RECIPES}


# --- the same in other words --------------------------------------------------------


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def filter_matrix(new, old, width):
    """Weights of an antialiased filter: a triangle (width 1) or a box (1/2)."""
    scale = old / new
    center = (np.arange(new)[:, None] + 0.5) * scale
    apart = np.abs(np.arange(old)[None] + 0.5 - center) / max(scale, 1)
    if width == 1:
        weights = np.clip(1 - apart, 0, None)
    else:  # the share of each pixel that the box covers
        low = np.maximum(center - scale / 2, np.arange(old))
        high = np.minimum(center + scale / 2, np.arange(old) + 1)
        weights = np.clip(high - low, 0, None)
    return weights / weights.sum(1, keepdims=True)


def resized(pixels, size, width=1):
    rows, columns = (filter_matrix(size, n, width) for n in pixels.shape)
    return rows @ pixels.astype("float64") @ columns.T


def stretched(values):
    values = values.astype("float64")
    return np.rint((values - values.min()) * 255 / np.ptp(values)).astype("uint8")


def grey(path):
    """Any picture of the corpus as uint8, with pydicom and Pillow alone."""
    if ".npz::" in str(path):
        archive, _, place = str(path).partition("::")
        split, number = place.split("/")
        return np.load(archive)[f"{split}_images"][int(number)]
    if path.suffix != ".dcm":
        image = Image.open(path)
        if image.mode.startswith("I"):
            return stretched(np.asarray(image))
        return np.asarray(image.convert("L"))
    data = pydicom.dcmread(path)
    pixels = pydicom.pixels.apply_modality_lut(data.pixel_array, data)
    pixels = pydicom.pixels.apply_voi_lut(pixels, data)
    pixels = pixels if data.BitsStored == 8 else stretched(pixels)
    return 255 - pixels if data.PhotometricInterpretation == "MONOCHROME1" else pixels


def correlations(pictures):
    """Pearson's coefficient of all pairs of 32x32 averages."""
    return np.corrcoef([resized(p, 32, 0.5).ravel() for p in pictures])


def partition(count, links):
    """Sets of elements that links connect, as a set of frozensets."""
    sets = [{i} for i in range(count)]
    for one, other in links:
        if sets[one] is not sets[other]:
            sets[one] |= sets[other]
            for member in sets[other]:
                sets[member] = sets[one]
    return {frozenset(found) for found in sets}


def partition_by(keys):
    found = defaultdict(set)
    for number, key in enumerate(keys):
        found[key].add(number)
    return {frozenset(numbers) for numbers in found.values()}


def outcomes(corpus, recipe):
    """Pairs of every row and its reason in the ledger (`""`: kept), in order."""
    shown = defaultdict(list)
    for row in corpus.rows:
        if not row[recipe] and row["shows"]:
            shown[row["shows"].strip()].append(row)
    result = []
    for row in corpus.rows:
        same = shown.get(row["shows"].strip(), [row]) if not row[recipe] else [row]
        labeled = [other for other in same if other["label"]] or same
        reason = row[recipe]
        if not reason and len({other["label"] for other in labeled}) > 1:
            reason = "conflict"
        elif not reason and row is not labeled[0]:
            reason = "duplicate"
        result.append((row, reason))
    return result


def kept(corpus, recipe):
    return [row for row, reason in outcomes(corpus, recipe) if not reason]


def live_rows(corpus, recipe):
    """Rows whose pictures are compared, and whether each is kept."""
    found = outcomes(corpus, recipe)
    live = [(row, not why) for row, why in found if why in ("", *COMPARED)]
    return [row for row, _ in live], [stays for _, stays in live]


def path_of(corpus, row):
    return corpus.root / row["source"] / row["file"]


# --- build --------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_ledger_tells_of_every_row_what_became_of_it(corpus, built, recipe):
    ledger = read(built[recipe] / "ledger.csv")
    expected = [
        (row["source"], row["line"], row["file"], "dropped" if why else "kept", why)
        for row, why in outcomes(corpus, recipe)
    ]
    columns = ("source", "line", "file", "outcome", "reason")
    assert [tuple(line[c] for c in columns) for line in ledger] == expected
    note = json.loads((built[recipe] / "build.json").read_text())["rows"]
    for source in (*ORDER, *OWN):
        of_source = [why for name, *_, why in expected if name == source]
        reasons = Counter(filter(None, of_source))
        numbers = {"read": len(of_source), "kept": of_source.count("")}
        assert note[source] == numbers | {"dropped": dict(reasons)}
    manifest = read(built[recipe] / "manifest.csv")
    assert sum(of_source["kept"] for of_source in note.values()) == len(manifest) > 70


def test_copies_in_the_radiography_database_give_way_to_the_originals(built):
    lines = read(built["frontal"] / "ledger.csv")
    copies = [
        line["detail"].partition(" line ")[0]
        for line in lines
        if line["source"] == "radiography" and line["reason"] == "duplicate"
    ]
    assert sorted(copies) == ["of cohen"] * 3 + ["of rsna"] * 3
    assert [
        (line["source"], line["file"].rpartition("/")[2])
        for line in lines
        if line["reason"] == "conflict"
    ] == [("rsna", "o5.dcm"), ("radiography", "Normal-7.png")]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_row_of_the_manifest_says_what_its_source_says(corpus, built, recipe):
    manifest, expected = read(built[recipe] / "manifest.csv"), kept(corpus, recipe)
    assert len(manifest) == len(expected)
    for found, row in zip(manifest, expected, strict=True):
        source = {"own": "own/clinic"}.get(row["source"], row["source"])
        assert found["source"] == source and found["source_file"] == row["file"]
        for column in ("label", "view", "age", "sex"):
            assert found[column] == row[column], (column, row)
        assert found["patient_id"] == row["patient"]
        if row["source"] in ("cohen", "own", "mine", "toy"):
            assert found["license"] == row["license"]
        assert row["license"] in found["license"]
        if "::" not in row["file"]:
            content = path_of(corpus, row).read_bytes()
            assert found["sha256_source"] == hashlib.sha256(content).hexdigest()
    head = ["git", "-C", str(corpus.root / "cohen"), "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True).stdout.strip()
    versions = {row["source"]: row["source_version"] for row in manifest}
    assert len(commit) == 40 and versions["cohen"].startswith(commit)
    tables = dict.fromkeys(("cohen", "figure1", "actualmed"), "metadata.csv")
    tables |= {"rsna": "stage_2_train_labels.csv"}
    for source, name in tables.items():
        digest = hashlib.sha256((corpus.root / source / name).read_bytes()).hexdigest()
        assert versions[source].split()[-1] == f"sha256:{digest[:12]}"


def test_stored_pixels_are_those_of_another_conversion(corpus, built):
    manifest = read(built["frontal"] / "manifest.csv")
    kinds = Counter()
    for found, row in zip(manifest, kept(corpus, "frontal"), strict=True):
        original = grey(path_of(corpus, row))
        stored = np.asarray(Image.open(built["frontal"] / found["image"]))
        assert stored.dtype == np.uint8 and stored.shape == (64, 64)
        assert np.abs(stored - resized(original, 64)).max() <= 1, row
        assert (int(found["height"]), int(found["width"])) == original.shape
        kinds[found["mode"], found["bits"]] += 1
        drawing = corpus.films[row["shows"]]
        if found["mode"] != "L" and row["source"] in ("rsna", "cohen"):
            assert np.abs(stored - resized(drawing, 64)).max() <= 2, row
        if row["source"] in ("ricord", "bimcv"):  # stretched, and the right way round
            assert np.corrcoef(stored.flat, resized(drawing, 64).flat)[0, 1] > 0.9
    assert kinds.keys() >= {
        ("MONOCHROME1", "8"),
        ("MONOCHROME1", "12"),
        ("MONOCHROME2", "8"),
        ("MONOCHROME2", "12"),
        ("MONOCHROME2", "16"),
        ("I;16", "16"),
        ("RGB", "8"),
        ("L", "8"),
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_groups_are_patients_and_near_duplicates_by_brute_force(corpus, built, recipe):
    live, stays = live_rows(corpus, recipe)
    related = correlations([grey(path_of(corpus, row)) for row in live])
    pairs = list(itertools.combinations(range(len(live)), 2))
    shows = [row["shows"].strip() for row in live]
    same = [(i, j) for i, j in pairs if related[i, j] >= 0.9995]
    assert partition(len(live), same) == partition_by(shows)  # the drawings are apart
    links = [(i, j) for i, j in pairs if related[i, j] > 0.98]
    patients = [row["patient"] for row in live]
    links += [(i, j) for i, j in pairs if patients[i] and patients[i] == patients[j]]
    expected = {
        frozenset(i for i in group if stays[i]) for group in partition(len(live), links)
    } - {frozenset()}
    numbers = [i for i, stay in enumerate(stays) if stay]
    names = [row["group"] for row in read(built[recipe] / "manifest.csv")]
    found = {frozenset(numbers[i] for i in group) for group in partition_by(names)}
    assert all(names) and found == expected


def bytes_of(folder):
    """Hashes of all files of a set but the journal, which knows times."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).digest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".journal.jsonl"
    }


def build_again(corpus, out, order, **environment):
    words = [*sources_of(corpus.root, order), "--size", 64, "--workers", 1]
    tools("build", "--recipe", "frontal", "--out", out, *words, **environment)
    return bytes_of(out)


def test_neither_order_nor_hash_seed_nor_locale_nor_time_zone_changes_a_byte(
    corpus, built, tmp_path
):
    order = (*OWN, *reversed(ORDER))
    strange = {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    found = build_again(corpus, tmp_path / "again", order, **strange)
    assert found == bytes_of(built["frontal"])


def test_the_order_of_own_sources_changes_no_byte(corpus, built, tmp_path):
    order = (*ORDER, *reversed(OWN))
    assert build_again(corpus, tmp_path / "b", order) == bytes_of(built["frontal"])


def compare_listed(corpus, built):
    """Pairs of `duplicates.csv`, all pairs above 0.98, and those of equal pixels.

    Each is a dict of pair to correlation, a pair a frozenset of `source/file`.
    """
    listed, related, equal = {}, {}, {}
    for line in read(built["frontal"] / "duplicates.csv"):
        names = [line[f"{prefix}source"].split("/")[0] for prefix in ("", "other_")]
        files = [line[f"{prefix}source_file"] for prefix in ("", "other_")]
        pair = frozenset(map("/".join, zip(names, files, strict=True)))
        listed[pair] = float(line["correlation"])
    live, _ = live_rows(corpus, "frontal")
    films = [grey(path_of(corpus, row)) for row in live]
    matrix = correlations(films)
    for i, j in itertools.combinations(range(len(live)), 2):
        pair = frozenset(f"{live[k]['source']}/{live[k]['file']}" for k in (i, j))
        if matrix[i, j] > 0.98:
            related[pair] = matrix[i, j]
        if films[i].shape == films[j].shape and (films[i] == films[j]).all():
            equal[pair] = 1.0
    return listed, related, equal


def test_like_pictures_are_listed_as_brute_force_finds_them(corpus, built):
    listed, related, equal = compare_listed(corpus, built)
    assert len(equal) == 5 and len(listed) > 11
    for pair, correlation in listed.items():
        assert correlation == pytest.approx(related[pair], abs=0.001)
    names = {name: n for n, name in enumerate(set().union(*related))}
    expected, found = (
        partition(len(names), [[names[name] for name in pair] for pair in pairs])
        for pairs in (related, listed)
    )
    assert found == expected  # of many copies, not all pairs are listed


def test_cropped_and_turned_films_are_found_as_by_brute_force(corpus, tmp_path):
    films = {}
    for number in range(8):
        film = Image.fromarray(corpus.film(f"whole {number}", "pneumonia", 128))
        films[f"{number}"] = film
        films[f"{number} cropped"] = film.crop((1, 1, 127, 127)).resize((128, 128))
        films[f"{number} turned"] = film.rotate(0.6, Image.Resampling.BILINEAR)
        films[f"{number} lighter"] = film.point(lambda v: 255 * (v / 255) ** 0.75)
    folder = tmp_path / "films" / "pneumonia"
    folder.mkdir(parents=True)
    for name, film in films.items():
        film.save(folder / f"{name}.png")
    words = ("--source", f"x=folders:{tmp_path / 'films'}", "--size", 32)
    tools("build", "--out", tmp_path / "set", "--workers", 1, *words)
    related = correlations([np.asarray(film) for film in films.values()])
    pairs = itertools.combinations(range(len(films)), 2)
    expected = {p for p in pairs if related[p] > 0.98}
    number = {f"pneumonia/{name}.png": n for n, name in enumerate(films)}
    listed = {
        tuple(sorted((number[line["source_file"]], number[line["other_source_file"]])))
        for line in read(tmp_path / "set" / "duplicates.csv")
    }
    missed = {p for p in expected - listed if related[p] > 0.982}
    extra = {p for p in listed - expected if related[p] < 0.975}
    assert not extra and len(expected) > 8
    assert len(missed) <= 0.05 * len(expected), f"{len(missed)} of {len(expected)}"


def test_a_copy_of_any_size_is_the_same_picture(corpus, tmp_path):
    for number in range(4):
        film = Image.fromarray(corpus.film(f"large {number}", "pneumonia", 320))
        for size in (320, 97, 100, 150, 200, 299):
            copy = film.resize((size, size), Image.Resampling.LANCZOS)
            path = tmp_path / "films" / "pneumonia" / f"{number} {size}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            copy.save(path)
    words = ("--source", f"x=folders:{tmp_path / 'films'}", "--size", 32)
    tools("build", "--out", tmp_path / "set", "--workers", 1, *words)
    dropped = Counter(line["reason"] for line in read(tmp_path / "set" / "ledger.csv"))
    assert dropped == {"": 4, "duplicate": 20}


# --- split --------------------------------------------------------------------------


def check_split(folder, rows, seed, validation=0.0, prefix="", exact=True):
    """Checks every promise of a split by this file's own arithmetic."""
    note = json.loads((folder / f"{prefix}split.json").read_text("utf-8"))
    assert note["seed"] == seed and not any(note["leaks"].values())
    for column in ("group", "patient_id", "image", "sha256_pixels"):
        places = defaultdict(set)
        for row in rows:
            if row.get(column):
                places[row[column]].add(row["split"])
        assert {len(found) for found in places.values()} <= {1}, column
    missed = {(m["label"], m["split"]) for m in note["misses"]}
    totals, found = Counter(r["label"] for r in rows), Counter()
    for row in rows:
        found[row["label"], row["split"]] += 1
    for label, n in totals.items():
        learned = 7 * n // 10
        held = int(learned * round(validation * 100)) // 100
        wanted = {"test": n - learned, "val": held, "train": learned - held}
        for split in ("test", "val"):
            right = found[label, split] == wanted[split]
            assert right != ((label, split) in missed), (label, split)
        if not any(label == name for name, _ in missed):
            assert found[label, "train"] == wanted["train"]
    assert not (exact and missed)
    kept, train = set(), [i for i, row in enumerate(rows) if row["split"] == "train"]
    for share in (5, 7, 9):
        name = f"{prefix}labeled-{share}.csv"
        hidden = read(folder / name)
        assert len(hidden) == len(rows)
        shown = set()
        for number, (row, other) in enumerate(zip(rows, hidden, strict=True)):
            assert other | {"label": row["label"]} == row
            assert other["label"] in (row["label"], "")
            if row["split"] != "train":
                assert other["label"] == row["label"]
            elif other["label"]:
                shown.add(number)
        assert shown >= kept
        kept = shown
        for label in totals.keys() - {""}:
            of_class = [i for i in train if rows[i]["label"] == label]
            groups = {rows[i]["group"] for i in of_class}
            mine = [i for i in of_class if i in shown]
            expected = max(1, share * len(of_class) // 100) if of_class else 0
            assert len(mine) == expected
            patients = {rows[i]["group"] for i in mine}
            assert len(patients) == min(expected, len(groups))
    for name, digest in note["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    stem = prefix.removesuffix(".") or "manifest"
    tables = {f"{stem}.csv", *(f"{prefix}labeled-{s}.csv" for s in (5, 7, 9))}
    assert note["sha256"].keys() == tables
    return note


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_split_of_a_build_keeps_its_promises(built, recipe):
    rows = read(built[recipe] / "manifest.csv")
    note = check_split(built[recipe], rows, seed=0)
    digest = hashlib.sha256((built[recipe] / "build.json").read_bytes()).hexdigest()
    assert note["provenance"]["build.json"] == digest
    films = [np.asarray(Image.open(built[recipe] / row["image"])) for row in rows]
    related = correlations(films) > 0.98
    for i, j in itertools.combinations(range(len(rows)), 2):
        assert not related[i, j] or rows[i]["split"] == rows[j]["split"]


def patients_of(classes, seed):
    """Rows without pictures: hashes far apart, patients of 1 to 6 films."""
    rng, rows = random.Random(seed), []
    for label, count in classes.items():
        while count > 0:
            patient = f"{label} {count}"
            for _ in range(min(count, rng.choice([1, 1, 1, 2, 3, 6]))):
                digest = hashlib.sha256(f"{label} {count}".encode()).hexdigest()
                row = {"image": f"{digest}.png", "label": label, "patient_id": patient}
                rows.append(row | {"source": "x", "phash": digest[:16]})
                count -= 1
    for row in rows:  # a tenth of the films shows a patient of another class
        if rng.random() < 0.1:
            row["patient_id"] = rng.choice(rows)["patient_id"]
    return rows


def split_again(folder, name, rows, *words):
    path = folder / f"{name}.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    out = f"{name}-split.csv"
    tools("split", path, "--out", out, *words)
    return read(folder / out)


def test_a_split_of_many_patients_keeps_its_promises(tmp_path):
    classes = {"normal": 431, "pneumonia": 283, "covid-19": 58, "": 31}
    rows = patients_of(classes, 1)
    found = {}
    for seed in (0, 1):
        words = ["--seed", seed, "--validation", 0.1]
        found[seed] = split_again(tmp_path, f"s{seed}", rows, *words)
        check_split(tmp_path, found[seed], seed, 0.1, f"s{seed}-split.")
        told = [{k: v for k, v in r.items() if k in rows[0]} for r in found[seed]]
        assert told == rows
    where = [{row["image"]: row["split"] for row in found[s]} for s in (0, 1)]
    moved = sum(where[0][image] != where[1][image] for image in where[0])
    assert moved > 0.2 * len(rows)  # 2 · 0.3 · 0.7 and more of them by chance
    mixed = random.Random(0).sample(rows, len(rows))
    again = split_again(tmp_path, "p", mixed, "--validation", 0.1)
    assert {row["image"]: row["split"] for row in again} == where[0]
    for share in (5, 7, 9):
        one, two = (
            read(tmp_path / f"{n}-split.labeled-{share}.csv") for n in ("s0", "p")
        )
        key = lambda row: row["image"]  # noqa: E731
        assert sorted(one, key=key) == sorted(two, key=key)


def test_another_class_moves_no_film_of_the_others(tmp_path):
    rows = [
        row | {"patient_id": f"{row['label']}: {row['patient_id']}"}
        for row in patients_of({"normal": 203, "pneumonia": 97, "covid-19": 29}, 2)
    ]
    first = split_again(tmp_path, "all", rows)
    check_split(tmp_path, first, 0, prefix="all-split.")
    fewer = [row for row in rows if row["label"] != "pneumonia"]
    second = split_again(tmp_path, "fewer", fewer)
    assert [row for row in first if row["label"] != "pneumonia"] == second
    one, two = (read(tmp_path / f"{n}-split.labeled-9.csv") for n in ("all", "fewer"))
    names = {row["image"] for row in two}
    assert [row for row in one if row["image"] in names] == two


# --- audit --------------------------------------------------------------------------


@pytest.fixture
def copy(built, tmp_path):
    return shutil.copytree(built["frontal"], tmp_path / "set")


def save(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def plant(folder):
    """Adds faults to a set; returns its rows, and the pictures by kind of fault."""
    rows = read(folder / "manifest.csv")
    train, test = ([r for r in rows if r["split"] == s] for s in ("train", "test"))
    pixels = {r["image"]: np.asarray(Image.open(folder / r["image"])) for r in rows}
    named = {}

    def add(kind, row, picture, **facts):
        name = f"images/{kind}.png"
        (folder / name).write_bytes(picture if type(picture) is bytes else png(picture))
        named[kind] = name
        facts = {"patient_id": "", "group": kind, "flags": ""} | facts
        rows.append(row | {"image": name, "sha256_pixels": ""} | facts)

    for number in range(3):  # train's very pixels in test
        source = train[number]
        add(f"copy{number}", source, pixels[source["image"]], split="test")
    larger = Image.fromarray(pixels[train[5]["image"]]).resize((96, 96))
    add("larger", train[5], np.asarray(larger), split="test")
    other = {"normal": "covid-19"}.get(train[7]["label"], "normal")
    add("relabeled", train[7], pixels[train[7]["image"]], label=other)
    cropped = Image.fromarray(pixels[train[9]["image"]]).crop((0, 0, 63, 63))
    add("cropped", train[9], np.asarray(cropped.resize((64, 64))), split="test")
    add("negative", test[3], 255 - pixels[test[3]["image"]])
    add("broken", test[4], b"\x89PNG\r\n\x1a\n")
    alone = [r for r in test if r["patient_id"]][0]
    rows.append(train[11] | {"patient_id": alone["patient_id"]})  # and a repeated row
    save(folder / "manifest.csv", rows)
    return rows, named


def test_an_audit_counts_what_naive_code_counts(copy):
    rows, named = plant(copy)
    done = tools("audit", copy)
    report = json.loads((copy / "audit.json").read_text("utf-8"))
    facts, images = report["sections"], list(dict.fromkeys(r["image"] for r in rows))
    assert (report["rows"], report["pictures"]) == (len(rows), len(images))
    assert [broken[:2] for broken in facts["unreadable"]["pictures"]] == [
        [named["broken"], "truncated"]
    ]
    shown = [image for image in images if image != named["broken"]]
    films = [np.asarray(Image.open(copy / image)) for image in shown]
    related, kinds = correlations(films), Counter()
    for i, j in itertools.combinations(range(len(shown)), 2):
        if related[i, j] > 0.98:
            equal = films[i].shape == films[j].shape and (films[i] == films[j]).all()
            same = "same picture" if related[i, j] >= 0.9995 else "near duplicate"
            kinds["same pixels" if equal else same] += 1
    assert facts["duplicates"]["counts"] == kinds
    assert kinds["same pixels"] == 4 and kinds["near duplicate"] >= 1
    assert facts["duplicates"]["repeated_rows"] == 1
    number = {image: n for n, image in enumerate(shown)}
    for kind, limit in (("picture", 0.9995), ("near", 0.98)):
        links = zip(*np.nonzero(related >= limit), strict=True)
        sets = partition(len(shown), links)
        part = {n: found for found in sets for n in found}
        keys = [part.get(number.get(row["image"]), row["image"]) for row in rows]
        check_leak(facts["leakage"][kind], rows, keys)
    for kind, column in (
        ("row", "image"),
        ("patient", "patient_id"),
        ("group", "group"),
    ):
        check_leak(facts["leakage"][kind], rows, [row[column] for row in rows])
    assert facts["leakage"]["patient"]["several"] == 1
    contrary = {
        frozenset(map(tuple, found)) for found in facts["labels"]["same_picture"]
    }
    [found] = contrary
    assert named["relabeled"] in {image for image, _ in found} and len(found) == 2
    assert facts["suspects"]["negative"] == [named["negative"]]
    counts = Counter((r["source"], r["split"], r["label"]) for r in rows)
    told = {
        (c["source"], c["split"], c["label"]): c["rows"]
        for c in facts["counts"]["rows"]
    }
    assert told == counts
    for words in (
        "contradictory",
        "negatives",
        "cannot be read",
        "Patients",
        "Pictures in",
    ):
        assert any(words in alarm for alarm in report["alarms"]), words
        assert words in done.stdout
    page = (copy / "audit.html").read_text("utf-8")
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")


def check_leak(fact, rows, keys):
    """Compares what the audit says of one kind of leak with a count of our own."""
    places = defaultdict(set)
    for row, key in zip(rows, keys, strict=True):
        places[key].add(row["split"])
    places.pop("", None)
    several = {key for key, splits in places.items() if len(splits) > 1}
    of_test = [
        row["label"]
        for row, key in zip(rows, keys, strict=True)
        if key in several and row["split"] == "test"
    ]
    assert fact["several"] == len(several)
    expected = []
    if several:
        size = sum(row["split"] == "test" for row in rows)
        expected = [{"split": "test", "known_to": "train", "rows": len(of_test)}]
        expected[0] |= {"of": size, "classes": dict(Counter(of_test))}
    assert fact["overlaps"] == expected


# --- verify and diff ----------------------------------------------------------------


def test_verify_names_each_of_five_changes_and_no_other(copy, built):
    assert tools("verify", built["frontal"]).stdout.strip() == "All is well."
    rows = read(copy / "manifest.csv")
    flipped, gone = (copy / rows[n]["image"] for n in (3, 8))
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    gone.unlink()
    (copy / "images" / "ff").mkdir(exist_ok=True)
    (copy / "images" / "ff" / "extra.png").write_bytes(png(np.zeros((32, 32), "uint8")))
    hidden = read(copy / "labeled-5.csv")
    [first, *_] = [r for r in hidden if r["split"] == "train" and not r["label"]]
    first["label"] = "normal"
    save(copy / "labeled-5.csv", hidden)
    rows[0]["label"] = "covid-19" if rows[0]["label"] == "normal" else "normal"
    save(copy / "manifest.csv", rows)
    done = tools("verify", copy)
    *problems, count = done.stdout.splitlines()
    assert done.returncode == 1 and count == "Problems: 5"
    for name, number in ((rows[3]["image"], 5), (rows[8]["image"], 10)):
        [problem] = [p for p in problems if p.startswith(name)]
        assert f"row {number}" in problem
    for name in ("manifest.csv", "labeled-5.csv", "images/ff/extra.png"):
        assert len([p for p in problems if p.startswith(name)]) == 1


def told(done):
    """What `diff` prints: dict of kind to its count."""
    lines = [line.split(": ") for line in done.stdout.splitlines() if line[:1] != " "]
    return {kind: int(count.replace(",", "")) for kind, count in lines}


def test_diff_counts_what_naive_code_counts(corpus, built, tmp_path):
    one = built["frontal"]
    done = tools("diff", one, one)
    assert (done.returncode, done.stdout.strip()) == (0, "No difference.")
    tools("split", one, "--seed", 5, "--out", "five.csv")
    try:
        other = read(one / "five.csv")
        rows = read(one / "manifest.csv")
        moved = sum(a["split"] != b["split"] for a, b in zip(rows, other, strict=True))
        done = tools("diff", one, one / "five.csv")
        assert told(done)["moved"] == moved > 10 and done.returncode == 1
        assert told(done).keys() <= {"moved", "changed"}
    finally:
        for path in one.glob("five.*"):
            path.unlink()
    order = [name for name in (*ORDER, *OWN) if name != "cohen"]
    words = [*sources_of(corpus.root, order), "--size", 64, "--workers", 1]
    tools("build", "--out", tmp_path / "less", *words)
    before, after = (
        read(p / "manifest.csv") for p in (built["paper-clean"], tmp_path / "less")
    )
    old, new = ({r["sha256_pixels"]: r for r in rows} for rows in (before, after))
    expected = {"removed": len(old.keys() - new.keys())}
    expected |= {"added": len(new.keys() - old.keys())}
    both = old.keys() & new.keys()
    expected["moved"] = sum(old[k]["split"] != new[k]["split"] for k in both)
    found = told(tools("diff", built["paper-clean"], tmp_path / "less"))
    found.pop("changed", None)
    assert found == {kind: n for kind, n in expected.items() if n}
    assert expected["removed"] == 12 and expected["added"] >= 2  # copies now count


# --- real originals -----------------------------------------------------------------


@pytest.fixture(scope="session")
def originals(shared, tmp_path_factory):
    """A set of the real pictures, and the folders of their publishers."""
    names = {
        "cohen": "covid-chestxray-dataset",
        "figure1": "Figure1-COVID-chestxray-dataset",
        "actualmed": "Actualmed-COVID-chestxray-dataset",
    }
    places = {name: shared / "sources" / folder for name, folder in names.items()}
    words = [word for n, p in places.items() for word in ("--source", f"{n}={p}")]
    out = tmp_path_factory.mktemp("originals") / "set"
    tools("build", "--recipe", "frontal", "--out", out, "--size", 64, *words)
    return out, places


def test_the_ledger_of_the_originals_closes(originals):
    out, places = originals
    ledger, counts = read(out / "ledger.csv"), {}
    for source, folder in places.items():
        with open(folder / "metadata.csv", encoding="cp1252", newline="") as file:
            counts[source] = sum(1 for cells in csv.reader(file) if cells) - 1
    assert counts == {"cohen": 158, "figure1": 55, "actualmed": 238}
    assert Counter(line["source"] for line in ledger) == counts
    stays = Counter(line["source"] for line in ledger if line["outcome"] == "kept")
    assert all(
        bool(line["reason"]) == (line["outcome"] == "dropped") for line in ledger
    )
    assert stays == Counter(row["source"] for row in read(out / "manifest.csv"))
    for line in ledger:
        there = (places[line["source"]] / line["file"]).is_file()
        assert there or line["outcome"] == "dropped"
    rows = json.loads((out / "build.json").read_text())["rows"]
    assert {name: found["read"] for name, found in rows.items()} == counts


def test_the_known_copies_among_the_originals_are_listed(originals):
    out, _ = originals
    pairs = {
        frozenset(line[name].rpartition("/")[2].split("-E589")[0] for name in columns)
        for columns in [("source_file", "other_source_file")]
        for line in read(out / "duplicates.csv")
    }
    assert pairs == {
        frozenset({"COVID-00033.jpg", "COVID-00037.jpg"}),
        frozenset({"9C34AF49", "COVID-00022.jpg"}),
    }
    rows = {
        row["source_file"].rpartition("/")[2]: row for row in read(out / "manifest.csv")
    }
    [cohen] = [row for name, row in rows.items() if name.startswith("9C34AF49")]
    assert cohen["group"] == rows["COVID-00022.jpg"]["group"]
    assert cohen["split"] == rows["COVID-00022.jpg"]["split"]
    assert len({"COVID-00033.jpg", "COVID-00037.jpg"} & rows.keys()) == 1


def test_all_originals_are_compared_as_brute_force_does(shared, tmp_path):
    folder = shared / "sources"
    words = ("--source", f"all=folders:{folder}", "--size", 32)
    tools("build", "--recipe", "frontal", "--out", tmp_path / "all", *words)
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".csv", ".md")
    )
    assert len(files) == 144
    thumbnails = [small(folder / file) for file in files]
    related = np.corrcoef([thumbnail.ravel() for thumbnail in thumbnails])
    pairs = itertools.combinations(range(len(files)), 2)
    expected = {(files[i], files[j]) for i, j in pairs if related[i, j] > 0.98}
    columns = ("source_file", "other_source_file")
    lines = read(tmp_path / "all" / "duplicates.csv")
    listed = {tuple(sorted(line[c] for c in columns)) for line in lines}
    assert listed == expected and len(expected) == 6


def small(path):
    """A 32x32 average, through one of at least 256 pixels."""
    if path.suffix == ".dcm":
        return resized(grey(path), 32, 0.5)
    image = Image.open(path).convert("L")
    image = image.reduce(max(1, min(image.size) // 256))
    return resized(np.asarray(image), 32, 0.5)


# --- training -----------------------------------------------------------------------


def test_sskeras_trains_on_the_labeled_file_of_a_build(built, tmp_path):
    command = [Path(sys.executable).with_name("sskeras"), "train", "--labeled", "1"]
    command += ["--data", built["frontal"] / "labeled-5.csv", "--out", tmp_path / "run"]
    command += "--epochs 1 --filters 4 8 --image-size 32 --batch-size 32".split()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = read(built["frontal"] / "labeled-5.csv")
    train = [row["label"] for row in rows if row["split"] == "train"]
    test = Counter(row["label"] for row in rows if row["split"] == "test")
    few = f"{len(train)} training pictures, {len(list(filter(None, train)))} labeled"
    assert few in done.stdout
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    counted = [sum(row) for row in scores["confusion_matrix"]]
    assert counted == [test[label] for label in ("normal", "pneumonia", "covid-19")]
    assert scores["unlabeled"] == test[""] == 1
