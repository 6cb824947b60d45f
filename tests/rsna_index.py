"""Writes tables with the very counts of RSNA's and of Cohen's behind the paper.

All names are made up; the numbers are those of the originals.
"""

import csv
import json
import uuid

BOXES = {1: 2614, 2: 3266, 3: 119, 4: 13}  # films with so many boxes
NORMAL, MIDDLE, PATIENTS = 8851, 11821, 11452
MIDDLE_CLASS = "No Lung Opacity / Not Normal"
COVID = [1] * 51 + [2] * 21 + [3] + [4] * 3  # films of each patient: 108 of 76
SARS, STREPTOCOCCUS = [2] * 8, [2] * 6 + [1]
FRONTAL, LATERAL = ("PA", "X-ray"), ("L", "X-ray")
CT = ("Axial", "CT")
HEADER = [
    *("patientid", "offset", "sex", "age", "finding", "survival", "intubated"),
    *("went_icu", "needed_supplemental_O2", "extubated", "temperature"),
    *("pO2_saturation", "leukocyte_count", "neutrophil_count", "lymphocyte_count"),
    *("view", "modality", "date", "location", "folder", "filename", "doi", "url"),
    *("license", "clinical_notes", "other_notes", ""),
]


def exams():
    """The 26,684 exams as `(id, class, boxes)`, in the order of their ids."""
    kinds = [("Normal", 0)] * NORMAL + [(MIDDLE_CLASS, 0)] * MIDDLE
    for boxes, films in BOXES.items():
        kinds += [("Lung Opacity", boxes)] * films
    names = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(n))) for n in range(len(kinds))]
    return sorted((name, *kind) for name, kind in zip(names, kinds, strict=True))


def empty(name, kind):
    """The bytes of a picture, where none is read."""
    return b""


def write(folder, pictures=empty, suffix=".dcm", mapping=False):
    """Writes the challenge's two tables and its pictures.

    Args:
        folder: Where to, made if need be.
        pictures: Function of exam and class that returns a picture's bytes, or
            None for an exam without a file.
        suffix: Of the pictures.
        mapping: Whether to write the mapping to patients, too.
    """
    (folder / "stage_2_train_images").mkdir(parents=True)
    labels = [["patientId", "x", "y", "width", "height", "Target"]]
    infos = [["patientId", "class"]]
    for name, kind, boxes in exams():
        for box in range(boxes):
            labels.append([name, f"{100 + box}.0", "100.0", "200.0", "300.0", "1"])
        if not boxes:
            labels.append([name, "", "", "", "", "0"])
        infos += [[name, kind]] * max(boxes, 1)
        content = pictures(name, kind)
        if content is not None:
            path = folder / "stage_2_train_images" / f"{name}{suffix}"
            path.write_bytes(content)
    write_csv(folder / "stage_2_train_labels.csv", labels)
    write_csv(folder / "stage_2_detailed_class_info.csv", infos)
    if mapping:
        write_mapping(folder)
    return folder


def write_mapping(folder):
    """Writes the mapping of exams to as many patients as there are."""
    pairs = [
        {
            "subset_img_id": name,
            "img_id": f"{n % PATIENTS + 1:08d}_{n // PATIENTS:03d}.png",
        }
        for n, (name, _, _) in enumerate(exams())
    ]
    path = folder / "pneumonia-challenge-dataset-mappings_2018.json"
    path.write_text(json.dumps(pairs))


def write_cohen(folder, pictures=empty):
    """Writes Cohen's collection as it was at the commit behind the paper.

    Its 108 films of COVID-19 show 76 patients, its 16 of SARS and 13 of
    Streptococcus 15. 70 rows more must be left out: lists of findings, other views,
    CT, and findings of no class.

    Args:
        folder: Where to, made if need be.
        pictures: As for `write`, of file name and finding.
    """
    (folder / "images").mkdir(parents=True)
    plan = [("COVID-19", FRONTAL, COVID), ("SARS", FRONTAL, SARS)]
    plan += [("Streptococcus", FRONTAL, STREPTOCOCCUS)]
    plan += [("COVID-19, ARDS", FRONTAL, [1] * 12), ("COVID-19", LATERAL, [1] * 20)]
    plan += [("COVID-19", CT, [1] * 22), ("Pneumocystis", FRONTAL, [1] * 9)]
    plan += [("No Finding", FRONTAL, [2]), ("COVID-19", ("AP", "X-ray"), [5])]
    table, patient = [HEADER], 0
    for finding, (view, modality), patients in plan:
        for films in patients:
            patient += 1
            for film in range(films):
                name = f"film {patient}-{film}.png"
                record = dict.fromkeys(HEADER, "")
                record |= {"patientid": patient, "offset": film, "finding": finding}
                record |= {"view": view, "modality": modality, "filename": name}
                record |= {"folder": "images", "license": "CC BY-NC-SA"}
                table.append(list(record.values()))
                (folder / "images" / name).write_bytes(pictures(name, finding))
    write_csv(folder / "metadata.csv", table)
    return folder


def write_csv(path, table):
    """Writes rows of cells."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)
