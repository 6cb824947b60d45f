"""Bad inputs: each gets a reason in the ledger or a clear error, and nothing hangs.

An exception that leaves `main`, other than SystemExit, is a traceback that a user
would see: it fails the test by itself.
"""

import csv
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import odd_pictures
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from data_tools import manifest, store
from data_tools.__main__ import main

ROOT = Path(__file__).parents[1]
SMALL = ("--size", "32", "--workers", "1")


@pytest.fixture
def run(capsys):
    """Runs a command in this process: status, standard output and error."""

    def command(*arguments):
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return command


def in_a_process(*arguments, code="", timeout=20):
    """Runs a command in a process of its own, after `code`."""
    code = f"{code}\nimport sys; from data_tools.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=timeout, encoding="utf-8"
    )


def film(seed, side=40):
    """A picture unlike that of any other seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype("uint8")
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def draw_films(folder, count=8, classes=("normal", "pneumonia"), side=40):
    """Writes films, a folder for each class; returns the folder."""
    for number in range(count):
        path = folder / classes[number % len(classes)] / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        film(number, side).save(path)
    return folder


@pytest.fixture
def films(tmp_path):
    return draw_films(tmp_path / "films")


def lines_of(folder):
    """The lines of a manifest of all films of a folder."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    lines = [f"{f},{f.split('/')[0]},p{n}\n" for n, f in enumerate(files)]
    return ["image,label,patient_id\n", *lines]


def write_cohen(folder, more=()):
    """Writes eight films with a table like Cohen's, and more of its lines."""
    (folder / "images").mkdir(parents=True)
    lines = ["patientid,finding,view,filename,notes\n"]
    for number in range(8):
        film(number).save(folder / "images" / f"{number}.png")
        finding = ("COVID-19", "No Finding")[number % 2]
        lines.append(f"{number},{finding},PA,{number}.png,n{number}\n")
    (folder / "metadata.csv").write_text("".join([*lines, *more]), "utf-8")
    return lines


def read_ledger(out):
    """The ledger as dict of file to line; every row has its own file here."""
    header, records = manifest.read_csv(out / "ledger.csv")
    lines = [dict(zip(header, cells, strict=True)) for _, cells in records]
    counts = json.loads((out / "build.json").read_text("utf-8"))["rows"].values()
    assert sum(count["read"] for count in counts) == len(lines)
    for count in counts:
        assert count["read"] == count["kept"] + sum(count["dropped"].values())
    found = {line["file"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def bytes_of(out):
    """All files of a set but the journal, by hash."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != store.JOURNAL
    }


# Pictures


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Every odd picture, with tables that list it; reasons by name."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "images").mkdir()
    reasons = odd_pictures.write_corpus(folder / "images")
    for name in {"folder.png", "pipe.png"} & set(reasons):
        reasons[name] = "not-on-disk"  # as no file of this name is
    with open(folder / "list.csv", "w", encoding="utf-8", newline="") as file:
        rows = [(f"images/{name}", "normal") for name in reasons]
        csv.writer(file).writerows([("image", "label"), *rows])
    with open(folder / "metadata.csv", "w", encoding="utf-8", newline="") as file:
        rows = [(n, "COVID-19", "PA", name) for n, name in enumerate(reasons)]
        head = ("patientid", "finding", "view", "filename")
        csv.writer(file).writerows([head, *rows])
    return folder, reasons


@pytest.mark.parametrize("kind", ["mine=folders:", "mine=manifest:", "cohen="])
def test_every_odd_picture_has_its_outcome_in_the_ledger(corpus, kind, run, tmp_path):
    folder, reasons = corpus
    source = f"{kind}{folder / 'list.csv' if 'manifest' in kind else folder}"
    status, _, error = run("build", "--source", source, "--out", tmp_path / "1", *SMALL)
    assert status == 0, error
    found = read_ledger(tmp_path / "1")
    for name, reason in reasons.items():
        if "folders" in kind and name in ("missing.png", "folder.png"):
            assert f"images/{name}" not in found  # no row, as there is no such file
            continue
        line = found.pop(f"images/{name}")
        # Fine pictures all show the same drawing, which stays once.
        assert line["reason"] in ((reason,) if reason else ("", "duplicate")), line
    assert set(found) <= {"list.csv", "metadata.csv"}
    assert run("verify", tmp_path / "1")[0] == 0
    run("build", "--source", source, "--out", tmp_path / "2", *SMALL, "--workers", "2")
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "2")


def memory_of(folder, out):
    """Builds from a folder; returns the ledger and the peak memory in MB."""
    code = (
        "import atexit; atexit.register(lambda: print([line for line in"
        " open('/proc/self/status') if line.startswith('VmHWM')][0]))"
    )
    done = in_a_process(
        *("build", "--source", f"mine=folders:{folder}", "--out", out, *SMALL),
        code=code,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return read_ledger(out), int(done.stdout.split()[-2]) / 1000


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_headers_that_ask_for_the_moon_cost_no_memory(films, tmp_path):
    for number in range(5):
        header = odd_pictures.png_header(50_000, 50_000 + number)
        (films / "normal" / f"bomb{number}.png").write_bytes(header)
    packed = zlib.compress(bytes(300_000_000))
    for kind, data in ((b"IDAT", packed), (b"zTXt", b"a\0\0" + packed)):
        block = struct.pack(">I", len(data)) + kind + data
        block += struct.pack(">I", zlib.crc32(kind + data))
        picture = odd_pictures.png_header(40, 48)
        picture = picture[:33] + block + picture[33:]
        (films / "normal" / f"{kind.decode()}.png").write_bytes(picture)
    found, peak = memory_of(films, tmp_path / "out")
    reasons = [found[f"normal/bomb{n}.png"]["reason"] for n in range(5)]
    assert reasons == ["too-large"] * 5
    assert peak < 400, peak


@linux
def test_a_small_file_does_not_inflate_without_limit(films, tmp_path):
    deflated = DeflatedExplicitVRLittleEndian
    content = odd_pictures.dicom(odd_pictures.drawn(), syntax=deflated)
    start = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(wbits=-15)
    size = 600_000_000
    packed = packer.compress(struct.pack("<HH2sHI", 9, 0x1010, b"OB", 0, size))
    packed += b"".join(packer.compress(bytes(size // 60)) for _ in range(60))
    bomb = content[:start] + packed + packer.flush()
    (films / "normal" / "bomb.dcm").write_bytes(bomb)
    found, peak = memory_of(films, tmp_path / "out")
    assert found["normal/bomb.dcm"]["reason"] == "too-large"
    assert peak < 1000, peak


def test_pictures_that_take_too_long_are_refused(films, run, tmp_path):
    grey = odd_pictures.drawn()
    scans = odd_pictures.many_scans(Image.fromarray(grey))
    baseline = {"syntax": JPEGBaseline8Bit, "frame": scans}
    pictures = {
        "scans.jpg": scans,
        "scans.dcm": odd_pictures.dicom(grey, **baseline),
        "long.png": odd_pictures.encoded(Image.new("1", (65_536, 16)), "PNG"),
    }
    for name, content in pictures.items():
        (films / "normal" / name).write_bytes(content)
    source = f"mine=folders:{films}"
    assert run("build", "--source", source, "--out", tmp_path / "out", *SMALL)[0] == 0
    found = read_ledger(tmp_path / "out")
    reasons = [found[f"normal/{name}"]["reason"] for name in pictures]
    assert reasons == ["too-large"] * 3


@linux
def test_wide_samples_cost_a_few_bytes_a_pixel(films, tmp_path):
    y, x = np.mgrid[:3000, :3000].astype("float32")
    plain = memory_of(films, tmp_path / "plain")[1]
    Image.fromarray(np.sin(x / 500) * y + x / 7).save(films / "normal" / "wide.tif")
    found, peak = memory_of(films, tmp_path / "out")
    assert (peak - plain) * 1e6 / 3000**2 < 24, (plain, peak)
    assert [line for line in found.values() if line["reason"]] == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("age", ["05\x009Y", "05\r9Y"])
def test_control_characters_of_a_header_leave_a_manifest_that_can_be_read(
    films, age, run, tmp_path
):
    content = odd_pictures.dicom(odd_pictures.drawn(), PatientAge=age)
    (films / "normal" / "x.dcm").write_bytes(content)
    source = f"mine=folders:{films}"
    assert run("build", "--source", source, "--out", tmp_path / "out", *SMALL)[0] == 0
    status, _, error = run("verify", tmp_path / "out")
    assert status == 0, error


# Names of files


NAMES = (
    'new\nline.png com,ma.png quo"te.png tab\t.png emoji😀.png é.png e\u0301.png '
    "Case.png case.png back\\slash.png c:drive.png %s{}.png -dash.png \u2028.png "
    "\x01.png \x1b[31m.png ends. ~.png con"
).split(" ") + [" first.png", "last.png ", "n" * 250 + ".png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows takes no such names")
def test_odd_names_keep_their_pictures(films, run, tmp_path):
    for number, name in enumerate(NAMES):
        film(100 + number).save(films / "normal" / name, "PNG")
    source = f"mine=folders:{films}"
    assert run("build", "--source", source, "--out", tmp_path / "out", *SMALL)[0] == 0
    found = read_ledger(tmp_path / "out")
    for name in NAMES:
        assert found[f"normal/{name}"]["outcome"] == "kept", name
    listed = {row["source_file"] for row in manifest.read(tmp_path / "out")}
    assert listed == set(found)
    for command in ("verify", "audit"):
        assert run(command, tmp_path / "out")[0] == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows takes no such names")
@pytest.mark.parametrize("place", ["normal/a\rb.png", "a\rb/a.png"])
def test_a_carriage_return_in_a_name_leaves_a_manifest_that_can_be_read(
    films, place, run, tmp_path
):
    (films / place).parent.mkdir(exist_ok=True)
    film(100).save(films / place)
    source = f"mine=folders:{films}"
    assert run("build", "--source", source, "--out", tmp_path / "out", *SMALL)[0] == 0
    assert place in read_ledger(tmp_path / "out")
    assert run("verify", tmp_path / "out")[0] == 0


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
def test_what_is_no_file_of_the_folder_is_dropped(films, run, tmp_path):
    folder = films / "normal"
    for name, target in {
        "out.png": "/etc/passwd",
        "loop.png": "loop.png",
        "dangling.png": "/nowhere/x.png",
        "folder": films,
        "inside.png": "000.png",
    }.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.png")
    (folder / ".hidden.png").write_bytes(b"")
    expected = {
        "out.png": "path-escape",
        "loop.png": "not-on-disk",
        "dangling.png": "path-escape",
        "folder": "not-on-disk",
        "inside.png": "duplicate",
        "pipe.png": "not-on-disk",
        ".hidden.png": "not-a-picture",
    }
    if sys.platform == "linux":
        with open(os.fsencode(folder) + b"/\xff.png", "wb"):
            expected["\\xff.png"] = "not-on-disk"
    source = f"mine=folders:{films}"
    assert run("build", "--source", source, "--out", tmp_path / "out", *SMALL)[0] == 0
    found = read_ledger(tmp_path / "out")
    reasons = {name: found[f"normal/{name}"]["reason"] for name in expected}
    assert reasons == expected and len(manifest.read(tmp_path / "out")) == 8


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="nothing is closed to this user"
)
def test_a_folder_that_cannot_be_read_stops_the_build(films, run, tmp_path):
    (films / "normal").chmod(0)
    status, _, error = run(
        "build", "--source", f"mine=folders:{films}", "--out", tmp_path / "out"
    )
    (films / "normal").chmod(0o700)
    assert status == 2 and str(films / "normal") in error


@pytest.mark.skipif(os.name == "nt", reason="Windows takes no such names")
def test_a_changed_original_with_colons_in_its_name_is_made_again(films, run, tmp_path):
    original = films / "normal" / "a::b.png"
    film(100).save(original)
    command = ("build", "--source", f"mine=folders:{films}", "--out", tmp_path / "out")
    run(*command, *SMALL)
    before = bytes_of(tmp_path / "out")
    film(101, 50).save(original)
    run(*command, *SMALL)
    assert bytes_of(tmp_path / "out") != before


# Tables


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: "", "image and label"),
        (lambda t: t.encode("utf-16"), "line 1: not "),
        (lambda t: t.replace("p2\n", "é\n").encode("latin-1"), "line 4: not "),
        (lambda t: t.replace("p3", "\0"), "line 5: a NUL"),
        (lambda t: t.replace(",p4\n", "\n"), "line 6: 2 fields"),
        (lambda t: t.replace("p4", "p,4"), "line 6: 4 fields"),
        (lambda t: t.replace("p1\n", '"p\r\n1\r"\n') + "a,b\n", "line 12: 2 fields"),
        (lambda t: (t + "a,b\n").replace("\n", "\r"), "line 10: 2 fields"),
        (lambda t: t.replace("label", "image"), "none twice"),
        (lambda t: t.replace("label", "Label"), "image and label"),
        (lambda t: t.replace(",", ";"), "image and label"),
        (lambda t: t + "../x.png,normal,p\n", "line 10: '../x.png'"),
        (lambda t: t + "a/../x.png,normal,p\n", "line 10: 'a/../x.png'"),
        (lambda t: t + "/etc/passwd,normal,p\n", "line 10: '/etc/passwd'"),
        (lambda t: t + "..\\x.png,normal,p\n", "line 10: '..\\\\x.png'"),
        (lambda t: t + "C:\\x.png,normal,p\n", "line 10: 'C:"),
        (lambda t: t + ",normal,p\n", "line 10: ''"),
        (lambda t: t + "x" * 10**6 + ",a,b\n", "line 10"),
        (lambda t: t + '"' + "x" * 10**6, "line 10"),
        (lambda t: t.replace("p2", '"p2'), "line 4"),
    ],
)
def test_a_damaged_manifest_is_refused_with_its_line(
    films, change, message, run, tmp_path
):
    content = change("".join(lines_of(films)))
    path = films / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for command in (
        ("build", "--source", f"mine=manifest:{path}", "--out", tmp_path / "x", *SMALL),
        ("split", path, "--out", "other.csv"),
        ("audit", path, "--out", tmp_path / "x"),
        ("verify", path),
        ("diff", path, path),
    ):
        status, _, error = run(*command)
        assert status == 2 and message in error and "list.csv" in error, error
    assert not (tmp_path / "x" / "manifest.csv").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "\ufeff" + t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\r"),
        lambda t: t.replace("\n", "\n\n"),
        lambda t: t.removesuffix("\n"),
    ],
)
def test_other_line_ends_and_blank_lines_lose_no_row(films, change, run, tmp_path):
    path = films / "list.csv"
    path.write_bytes(change("".join(lines_of(films))).encode())
    source = f"mine=manifest:{path}"
    assert run("build", "--source", source, "--out", tmp_path / "out", *SMALL)[0] == 0
    assert len(read_ledger(tmp_path / "out")) == 8


def test_paths_of_a_publishers_table_do_not_leave_its_folder(run, tmp_path):
    escapes = ["../metadata.csv", "../../x.png", "a/../../../x", "..\\x.png"]
    absent = ["C:\\x.png", "\\\\host\\x.png", "~/x.png", "", "\x01", "n" * 5000, "1/x"]
    more = [f"9,COVID-19,PA,{name},n\n" for name in [*escapes, "/etc/passwd", *absent]]
    write_cohen(tmp_path / "cohen", [*more, "a,b\n", '9,COVID-19,PA,"0\n.png",n\n'])
    source, out = f"cohen={tmp_path / 'cohen'}", tmp_path / "out"
    assert run("build", "--source", source, "--out", out, *SMALL)[0] == 0
    lines = list(csv.DictReader((out / "ledger.csv").open(newline="")))
    reasons = [line["reason"] for line in lines if int(line["line"]) > 9]
    assert reasons == [
        *["path-escape"] * 5,
        *["not-on-disk"] * len(absent),
        "bad-row",
        "not-on-disk",
    ]
    assert [line["line"] for line in lines] == [str(n) for n in range(2, 24)]


@pytest.mark.parametrize(
    "value, message",
    [
        ("\0", "line 5: a NUL"),
        ("x" * 10**6, "line 5"),
        ('"n3', "line 5"),
    ],
)
def test_a_damaged_table_of_a_publisher_is_refused(value, message, run, tmp_path):
    lines = write_cohen(tmp_path / "cohen")
    text = "".join(lines).replace("n3", value)
    (tmp_path / "cohen" / "metadata.csv").write_text(text, "utf-8")
    source = f"cohen={tmp_path / 'cohen'}"
    status, _, error = run(
        "build", "--source", source, "--out", tmp_path / "out", *SMALL
    )
    assert status == 2 and "metadata.csv" in error and message in error


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
@pytest.mark.parametrize(
    "what",
    [
        "cohen",
        "manifest",
        "picture",
    ],
)
def test_a_pipe_is_not_waited_for(films, what, tmp_path):
    pipe = tmp_path / "metadata.csv"
    os.mkfifo(pipe)
    (tmp_path / "images").mkdir()
    sums = f"image,label,sha256\nmetadata.csv,normal,{'0' * 64}\n"
    (tmp_path / "sums.csv").write_text(sums)
    command = {
        "cohen": ["build", "--source", f"cohen={tmp_path}", "--dry-run"],
        "manifest": ["build", "--source", f"mine=manifest:{pipe}", "--dry-run"],
        "picture": ["verify", tmp_path / "sums.csv", "--workers", "1"],
    }[what]
    assert in_a_process(*command, timeout=3).returncode in (1, 2)


NOTES = {
    "split.json": ("verify",),
    "shards.json": ("verify",),
    "phantom.json": ("phantom", "--count", "80", "--out"),
}


@pytest.mark.skipif(os.name == "nt", reason="needs pipes")
@pytest.mark.parametrize("name", NOTES)
def test_a_pipe_for_a_note_is_not_waited_for(films, name):
    (films / "manifest.csv").write_text("".join(lines_of(films)))
    os.mkfifo(films / name)
    done = in_a_process(*NOTES[name], films)
    assert done.returncode == 2 and name in done.stderr


def test_a_manifest_that_is_not_there_is_named(run, tmp_path):
    status, _, error = run(
        "build", "--source", f"mine=manifest:{tmp_path / 'no.csv'}", "--dry-run"
    )
    assert status == 2 and "no.csv" in error and "columns image" in error


# Arguments


def originals(folder):
    return sorted(path for path in folder.rglob("*.png"))


@pytest.mark.parametrize("case", ["the source itself", "its parent", "own pictures"])
def test_a_build_deletes_no_picture_that_it_has_not_made(case, run, tmp_path):
    if case == "the source itself":
        write_cohen(tmp_path / "cohen")
        source, out = f"cohen={tmp_path / 'cohen'}", tmp_path / "cohen"
    elif case == "its parent":
        draw_films(tmp_path / "images")
        source, out = f"mine=folders:{tmp_path / 'images'}", tmp_path
    else:
        draw_films(tmp_path / "films")
        draw_films(tmp_path / "out" / "images")
        source, out = f"mine=folders:{tmp_path / 'films'}", tmp_path / "out"
    before = originals(tmp_path)
    run("build", "--source", source, "--out", out, *SMALL)
    assert [path for path in before if not path.exists()] == []


def test_a_set_inside_its_source_is_refused(films, run):
    command = ("build", "--source", f"mine=folders:{films}", "--out", films / "out")
    statuses = [run(*command, *SMALL)[0] for _ in range(2)]
    assert statuses == [2, 2] or len(read_ledger(films / "out")) == 8


@pytest.mark.parametrize(
    "arguments",
    [
        ("--size", "abc"),
        ("--size", "0"),
        ("--size", "-5"),
        ("--size", "8"),
        ("--workers", "0"),
        ("--workers", "-1"),
        ("--size", "0", "--dry-run"),
        ("--size", "100000", "--dry-run"),
    ],
)
def test_an_argument_out_of_range_is_named(films, arguments, run, tmp_path):
    source = f"mine=folders:{films}"
    status, _, error = run(
        "build", "--source", source, "--out", tmp_path / "out", *arguments
    )
    assert status == 2 and arguments[0].strip("-") in error
    assert not (tmp_path / "out").exists()


def test_wrong_places_are_named(films, run, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for source, out, message in (
        (f"mine=folders:{tmp_path / 'file'}", "x", "no such folder"),
        (f"mine=folders:{tmp_path / 'nowhere'}", "x", "no such folder"),
        (f"mine=folders:{tmp_path / 'empty'}", "x", "No row was kept"),
        (f"mine=medmnist:{tmp_path / 'file'}", "x", "is not an .npz file"),
        (f"mine=folders:{films}", "file", "file"),
    ):
        status, _, error = run(
            "build", "--source", source, "--out", tmp_path / out, *SMALL
        )
        assert status == 2 and message in error
    assert (tmp_path / "file").read_text() == "x"


def test_a_class_that_the_terminal_cannot_show_stops_nothing(films, tmp_path):
    (films / "normal").rename(films / "肺炎")
    done = subprocess.run(
        [sys.executable, "-m", "data_tools", "build", "--source"]
        + [f"mine=folders:{films}", "--out", tmp_path / "out", *SMALL],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "rows, split, audit",
    [
        ([], 2, 2),
        (["normal/000.png,normal"], 0, 0),
        (["normal/000.png,normal", "normal/002.png,normal"], 0, 0),
        (["normal/000.png,", "pneumonia/001.png,"], 0, 0),
        (["nowhere.png,normal", "normal/000.png,normal"], 2, 0),
        (["broken.png,normal", "normal/000.png,normal"], 2, 0),
        (["normal,normal", "normal/000.png,normal"], 2, 0),
    ],
)
def test_odd_manifests_give_a_result_or_a_clear_error(
    films, rows, split, audit, run, tmp_path
):
    (films / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    path = films / "list.csv"
    path.write_text("\n".join(["image,label", *rows]) + "\n")
    bad = split and rows
    status, _, error = run("split", path, "--out", "other.csv")
    assert status == split and (not bad or rows[0].split(",")[0] in error)
    status, text, _ = run("audit", path, "--out", tmp_path / "audit")
    assert status == audit and (not bad or "ALARM" in text)
    status, text, _ = run("verify", path)
    assert status == (1 if bad else 0) and (not bad or rows[0].split(",")[0] in text)
    assert run("diff", path, path)[0] == 0


@pytest.mark.parametrize("command", ["split", "audit", "verify"])
def test_a_manifest_given_as_something_else_is_refused(films, command, run, tmp_path):
    for path in (films, films / "nowhere", films / "normal" / "000.png", os.devnull):
        status, _, error = run(command, path)
        assert status == 2 and str(path) in error


def test_a_note_that_is_no_note_is_refused(films, run):
    path = films / "list.csv"
    path.write_text("".join(lines_of(films)))
    (films / "list.split.json").write_text("")
    status, _, error = run("verify", path)
    assert status == 2 and "list.split.json" in error


@pytest.mark.parametrize("text", ["[]", "null", '{"sha256": 3}', '{"provenance": 3}'])
def test_a_note_of_another_shape_is_refused(films, text, run):
    path = films / "list.csv"
    path.write_text("".join(lines_of(films)))
    (films / "list.split.json").write_text(text)
    status, _, error = run("verify", path)
    assert status == 2 and "list.split.json" in error


@pytest.mark.parametrize("name", ["split.json", "shards.json", "phantom.json"])
def test_a_note_of_many_brackets_is_refused(films, name, run):
    (films / "manifest.csv").write_text("".join(lines_of(films)))
    (films / name).write_text("[" * 100_000)
    commands = {
        "split.json": [("verify", films), ("split", films, "--out", "other.csv")],
        "shards.json": [("verify", films), ("shards", films, "--out", films)],
        "phantom.json": [("phantom", "--count", "80", "--out", films)],
    }
    for command in commands[name]:
        status, _, error = run(*command)
        assert status == 2 and f"{name}: expected JSON" in error, error


def test_a_mapping_of_many_brackets_is_refused(films, run, tmp_path):
    (films / "stage_2_train_images").mkdir()
    (films / "stage_2_train_labels.csv").write_text("patientId,Target\na,0\n")
    (films / "stage_2_detailed_class_info.csv").write_text(
        "patientId,class\na,Normal\n"
    )
    mapping = films / "pneumonia-challenge-dataset-mappings_2018.json"
    mapping.write_text("[" * 100_000)
    command = ("build", "--source", f"rsna={films}", "--out", tmp_path / "out")
    status, _, error = run(*command, *SMALL)
    assert status == 2 and mapping.name in error


# Interruptions


def damage(text, how):
    """Damages a journal in one of many ways."""
    lines = text.splitlines(keepends=True)
    key = json.loads(lines[1])[:3]
    entry = json.loads(lines[1])[3]
    garbage = {
        "garbage": "#&%\n",
        "a number": "3\n",
        "an object": "{}\n",
        "brackets": "[" * 100_000 + "\n",
        "zeros": "\0" * 40 + "\n",
        "no entry": json.dumps([*key, None]) + "\n",
        "a long entry": json.dumps([*key, [*entry, 1]]) + "\n",
        "a list as key": json.dumps([["a"], *key[1:], entry]) + "\n",
        "a short entry": json.dumps([*key, [*entry[:2], ""]]) + "\n",
    }
    if how in garbage:
        return "".join([lines[0], garbage[how], *lines[2:]])
    return {
        "half a line": text[:-30],
        "zeros at the end": text + "\0" * 4096,
        "windows": text.replace("\n", "\r\n"),
        "twice an original": text + lines[1],
        "empty": "",
        "half the settings": text[:10],
        "another thing": "[]\n",
    }[how]


RECOVERS = ["half a line", "zeros at the end", "windows", "twice an original"]
SPOILED = ["garbage", "a number", "an object", "zeros", "no entry", "a long entry"]
SPOILED += ["brackets", "a list as key", "empty", "half the settings", "another thing"]


@pytest.mark.parametrize(
    "how",
    [*RECOVERS, *SPOILED, "a short entry"],
)
def test_a_damaged_journal_is_recovered_or_says_what_to_delete(
    films, how, run, tmp_path
):
    out = tmp_path / "out"
    command = ("build", "--source", f"mine=folders:{films}", "--out", out, *SMALL)
    run(*command)
    before = bytes_of(out)
    journal = out / store.JOURNAL
    text = damage(journal.read_bytes().decode(), how)
    journal.write_bytes(text.encode())
    (out / "manifest.csv").unlink()
    status, _, error = run(*command)
    if how in RECOVERS:
        assert status == 0, error
    if status:
        assert status == 2 and str(out) in error and "delete" in error.lower()
        assert originals(out)  # It is the user who deletes.
        shutil.rmtree(out)
        assert run(*command)[0] == 0
    assert bytes_of(out) == before


def start(films, out):
    """Starts a build with two workers in a process group of its own."""
    command = [sys.executable, "-m", "data_tools", "build", "--size", "32"]
    command += ["--workers", "2", "--source", f"mine=folders:{films}", "--out", out]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def wait_for(condition):
    """Waits until a condition is met; fails after ten seconds."""
    for _ in range(5000):
        if condition():
            return
        time.sleep(0.002)
    pytest.fail("nothing happened for ten seconds")


def is_alone(group):
    """Says whether no process is left in a group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Films enough for two workers, large enough to be interrupted, and their set."""
    folder = draw_films(tmp_path_factory.mktemp("many"), 64, side=900)
    process = start(folder, folder.with_name("whole"))
    assert process.wait(60) == 0
    return folder, bytes_of(folder.with_name("whole"))


posix = pytest.mark.skipif(os.name == "nt", reason="needs process groups")


def begun(out):
    """Says whether the journal of a build has a few pictures."""
    journal = out / store.JOURNAL
    return journal.exists() and journal.read_bytes().count(b"\n") > 5


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_ends_whole_and_goes_on(many, number, tmp_path):
    films, expected = many
    process = start(films, tmp_path / "out")
    wait_for(lambda: begun(tmp_path / "out"))
    os.killpg(process.pid, number)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in error
    assert "same command" in error or number == signal.SIGTERM
    wait_for(lambda: is_alone(process.pid))
    assert not (tmp_path / "out" / "manifest.csv").exists()
    process = start(films, tmp_path / "out")
    assert process.communicate(timeout=60) and process.returncode == 0
    assert bytes_of(tmp_path / "out") == expected


def children(process):
    """The processes that a process has started."""
    place = Path(f"/proc/{process}/task/{process}/children")
    return place.read_text().split() if place.exists() else []


def workers(process):
    """The workers of a build."""
    return [
        child
        for child in children(process)
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@linux
def test_an_interrupt_while_the_workers_start_prints_no_traceback(many, tmp_path):
    errors = "".join(interrupt_at_start(many[0], tmp_path, n) for n in range(3))
    assert "Traceback" not in errors, errors


def interrupt_at_start(films, folder, number):
    """Interrupts a build 30, 60 ... ms after its first worker; returns its errors."""
    process = start(films, folder / str(number))
    wait_for(lambda: workers(process.pid))
    time.sleep(0.03 * (number + 1))
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    wait_for(lambda: is_alone(process.pid))
    return error


@linux
def test_a_worker_that_is_killed_is_a_clear_error(many, tmp_path):
    """The system does so when memory runs out."""
    process = start(many[0], tmp_path / "out")
    wait_for(lambda: begun(tmp_path / "out"))
    os.kill(int(workers(process.pid)[0]), signal.SIGKILL)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == 2 and "Traceback" not in error
    assert not (tmp_path / "out" / "manifest.csv").exists()


@linux
def test_too_little_memory_is_a_clear_error(films, tmp_path):
    Image.new("RGB", (9000, 9000)).save(films / "normal" / "large.png")
    code = (
        "import resource, data_tools.build;"
        "resource.setrlimit(resource.RLIMIT_AS, (700_000_000,) * 2)"
    )
    done = in_a_process(
        *("build", "--source", f"mine=folders:{films}", "--out", tmp_path / "out"),
        *SMALL,
        code="import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'\n" + code,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "large.png" in done.stderr


def test_a_source_that_vanishes_leaves_no_finished_set(films, monkeypatch, run):
    out = films.with_name("out")
    read = store.make
    gone = films.with_name("gone")

    def unplug(job):
        result = read(job)
        if films.exists():
            films.rename(gone)
        return result

    monkeypatch.setattr(store, "make", unplug)
    command = ("build", "--source", f"mine=folders:{films}", "--out", out, *SMALL)
    status, _, _ = run(*command)
    assert status == 2 and not (out / "manifest.csv").exists()
    gone.rename(films)
    monkeypatch.undo()
    assert run(*command)[0] == 0 and len(manifest.read(out)) == 8


def test_two_builds_in_one_folder_leave_no_wrong_set(films, monkeypatch, run, tmp_path):
    """The second begins and ends in the moment before the first one publishes."""
    out = tmp_path / "out"
    other = draw_films(tmp_path / "other", 6, ("normal", "covid-19"))
    for number, path in enumerate(originals(other)):
        film(500 + number).save(path)
    sync, done = os.sync, []

    def meanwhile():
        monkeypatch.setattr(os, "sync", sync)
        done.append(
            in_a_process(
                *("build", "--source", f"mine=folders:{other}", "--out", out, *SMALL)
            )
        )

    monkeypatch.setattr(os, "sync", meanwhile)
    status, _, _ = run(
        "build", "--source", f"mine=folders:{films}", "--out", out, *SMALL
    )
    assert sorted((status, done[0].returncode)) == [0, 2]
    assert run("verify", out)[0] == 0
