"""Shards: readable by TensorFlow alone, equal to the files, and never wrong unseen."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import odd_pictures
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from data_tools import manifest, phantom, shards, tfrecord
from data_tools.__main__ import main
from sskeras import data
from sskeras.experiments import train as training
from sskeras.experiments import use
from sskeras.experiments.folder import RunFolder
from sskeras.experiments.settings import Settings

ROOT = Path(__file__).parents[1]
FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.string),
    "image": tf.io.FixedLenFeature([], tf.string),
    "row": tf.io.FixedLenFeature([], tf.int64),
}


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    """A folder of 240 phantom films."""
    out = tmp_path_factory.mktemp("films")
    return phantom.write(out, count=240, seed=0, size=32).parent


@pytest.fixture(scope="session")
def packed(films, tmp_path_factory):
    """The same films in 6 shards."""
    out = tmp_path_factory.mktemp("packed")
    return shards.write(films, out, shard_size=40_000).parent


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """Manifest of pictures of many kinds and sizes, one of them named twice."""
    out = tmp_path_factory.mktemp("odd")
    rng, rows = np.random.default_rng(0), []
    kinds = ["L", "RGB", "RGBA", "LA", "P", "1", "I;16", "L", "RGB"]
    for number, mode in enumerate(kinds):
        size = rng.integers(20, 50, 2)
        pixels = rng.integers(0, 256, (*size, 3)).astype("uint8")
        if mode == "I;16":
            picture = Image.fromarray(pixels[..., 0].astype("uint16") * 257)
        else:
            picture = Image.fromarray(pixels).convert(mode)
        name = f"{number}.{'png' if number < 7 else 'jpg'}"
        picture.save(out / name)
        rows.append({"image": name, "label": "" if number % 2 else "ä"})
    manifest.write(out / "manifest.csv", [*rows, rows[3]])
    return out


def copy(folder, out):
    """Copies a folder of shards, to be spoiled."""
    out.mkdir()
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out


def change(folder, number, **cells):
    """Changes cells of a row of a manifest, counted from 0."""
    rows = manifest.read(folder)
    rows[number] |= cells
    manifest.write(folder / "manifest.csv", rows)
    return rows[number]


def flip(folder, row, place=0):
    """Flips a bit of the picture of a row."""
    path = folder / row["shard"]
    content = bytearray(path.read_bytes())
    content[int(row["offset"]) + place] ^= 1
    path.write_bytes(content)


def test_examples_are_those_of_tensorflow():
    features = {"b": b"\0" * 300, "a": b"", "row": 0, "wide": 2**40, "ü": "ä".encode()}
    mine = tfrecord.example(features)
    theirs = tf.train.Example.FromString(mine)
    for name, value in features.items():
        one = theirs.features.feature[name]
        assert [*one.bytes_list.value, *one.int64_list.value] == [value]
    assert theirs.SerializeToString(deterministic=True) == mine


@pytest.mark.parametrize("length", [0, 1, 127, 128, 20_000])
def test_records_are_those_of_tensorflow(tmp_path, length):
    payload = bytes(range(256)) * 100
    payload = payload[:length]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        writer.write(payload)
    assert (tmp_path / "theirs").read_bytes() == tfrecord.record(payload)


def test_tensorflow_alone_reads_all_pictures_with_their_labels(films, packed):
    rows = manifest.read(films)
    for split in ("train", "test"):
        files = sorted(map(str, packed.glob(f"{split}-*.tfrecord")))
        assert len(files) > 1
        assert files[0].endswith(f"{split}-00000-of-{len(files):05d}.tfrecord")
        found = set()
        for record in tf.data.TFRecordDataset(files).as_numpy_iterator():
            example = tf.io.parse_single_example(record, FEATURES)
            row = rows[int(example["row"]) - 2]
            assert row["split"] == split
            assert example["label"] == row["label"]
            assert example["image"] == row["image"]
            assert example["image/encoded"] == (films / row["image"]).read_bytes()
            found.add(row["image"])
        assert found == {row["image"] for row in rows if row["split"] == split}


def test_the_new_manifest_keeps_rows_and_columns(films, packed):
    before, after = manifest.read(films), manifest.read(packed)
    added = ["shard", "offset", "length", "crc32c"]
    assert [*after[0]] == [*before[0], *added]
    assert [{k: row[k] for k in before[0]} for row in after] == before
    for old, new in zip(before, after, strict=True):
        content = (packed / new["shard"]).read_bytes()
        picture = content[int(new["offset"]) :][: int(new["length"])]
        assert picture == (films / old["image"]).read_bytes()


def test_the_note_counts(packed):
    note = json.loads((packed / "shards.json").read_text())
    assert note["counts"]["train"] == {"normal": 78, "pneumonia": 84, "covid-19": 3}
    assert sum(file["records"] for file in note["files"].values()) == 240
    sizes = {path.name: path.stat().st_size for path in packed.glob("*.tfrecord")}
    assert {name: file["bytes"] for name, file in note["files"].items()} == sizes
    assert max(sizes.values()) < 55_000  # 40,000 and a picture, and what frames them


def test_classes_are_mixed_in_every_shard_and_a_seed_changes_the_order(films, tmp_path):
    orders = []
    for seed in (0, 1):
        shards.write(films, tmp_path / str(seed), 40_000, seed)
        rows = manifest.read(tmp_path / str(seed))
        for name in {row["shard"] for row in rows}:
            assert len({row["label"] for row in rows if row["shard"] == name}) > 1
        orders.append([row["offset"] for row in rows])
    assert orders[0] != orders[1]


def test_packing_again_gives_the_same_bytes_and_leaves_a_finished_set(films, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for out in (one, two):
        assert main(["shards", str(films), "--out", str(out)]) == 0
    assert {path.name for path in one.iterdir()} == {
        path.name for path in two.iterdir()
    }
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()
    stamp = (one / "manifest.csv").stat().st_mtime_ns
    shards.write(films, one)
    assert (one / "manifest.csv").stat().st_mtime_ns == stamp
    with pytest.raises(FileExistsError, match="already holds another set"):
        shards.write(films, one, seed=1)
    with pytest.raises(FileExistsError, match="already holds another set"):
        shards.write(films, films)


def test_killed_and_started_again_it_ends_with_the_same_bytes(odd, tmp_path):
    source = tmp_path / "many"
    source.mkdir()
    picture = (odd / "0.png").read_bytes()
    rows = [{"image": f"{number}.png", "label": "x"} for number in range(3000)]
    for row in rows:
        (source / row["image"]).write_bytes(picture)
    manifest.write(source / "manifest.csv", rows)
    out = tmp_path / "out"
    code = f"from data_tools import shards; shards.write({str(source)!r}, "
    code += f"{str(out)!r}, shard_size=10_000)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    while len([*out.glob("*.tfrecord")]) < 5:
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "manifest.csv").exists()
    (out / "all-00000-of-99999.tfrecord.part").touch()
    shards.write(source, out, shard_size=10_000)
    shards.write(source, tmp_path / "whole", shard_size=10_000)
    assert len([*out.iterdir()]) == len([*(tmp_path / "whole").iterdir()])
    for path in out.iterdir():
        assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()


def write_picture(path, kind):
    """Writes a file that cannot be packed."""
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50), "uint8"))
    whole = path.with_name("whole")
    if kind == "tiff":
        grey.save(path, "TIFF")
    elif kind == "cmyk":
        grey.convert("CMYK").save(path, "JPEG")
    elif kind == "scans":
        path.write_bytes(odd_pictures.many_scans(grey))
    elif kind == "long":
        Image.new("1", (3_000, 20)).save(path, "PNG")
    elif kind == "empty":
        path.touch()
    elif kind != "missing":
        grey.save(whole, kind)
        path.write_bytes(whole.read_bytes()[:1500])


KINDS = ["tiff", "cmyk", "scans", "long", "empty", "missing", "png", "jpeg"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_training_cannot_read_is_refused_with_its_row(tmp_path, kind):
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    write_picture(tmp_path / "b.png", kind)
    rows = [{"image": name, "label": ""} for name in ("a.png", "b.png")]
    manifest.write(tmp_path / "manifest.csv", rows)
    with pytest.raises(ValueError, match=r"row 3: .*b\.png.*data_tools build"):
        shards.write(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_other_mistakes_are_refused_before_anything_is_written(packed, tmp_path):
    with pytest.raises(ValueError, match="not that of shards"):
        shards.write(packed, tmp_path / "out")
    rows = [{"image": "a.png", "label": "", "split": "../x"}]
    manifest.write(tmp_path / "manifest.csv", rows)
    with pytest.raises(ValueError, match=r"row 2: the split .*'\.\./x'"):
        shards.write(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="positive"):
        shards.write(tmp_path, tmp_path / "out", shard_size=0)
    assert not (tmp_path / "out").exists()


def test_verify_finds_nothing_in_whole_sets(packed, odd, tmp_path):
    assert shards.verify(packed) == []
    shards.write(odd, tmp_path)
    assert shards.verify(tmp_path) == []


def test_verify_names_the_row_of_a_flipped_bit(packed, tmp_path):
    row = manifest.read(packed)[17]
    for number, place in enumerate((0, int(row["length"]) - 1, -3, int(row["length"]))):
        folder = copy(packed, tmp_path / str(number))
        flip(folder, row, place)
        problems = shards.verify(folder)
        assert len(problems) == 2 and "sha256" in problems[0]
        assert row["shard"] in problems[1]
        assert f"row 19 ({row['image']})" in problems[1]


def test_verify_compares_the_manifest_with_the_records(packed, tmp_path):
    row = manifest.read(packed)[17]
    wrong = {
        "label": "covid-19",
        "image": "images/other.png",
        "offset": str(int(row["offset"]) + 1),
        "length": str(int(row["length"]) - 1),
        "crc32c": "1",
    }
    for column, value in wrong.items():
        folder = copy(packed, tmp_path / column)
        change(folder, 17, **{column: value})
        assert any("row 19" in problem for problem in shards.verify(folder)), column


def test_verify_names_missing_cut_and_unknown_shards(packed, tmp_path):
    name = manifest.read(packed)[17]["shard"]
    folder = copy(packed, tmp_path / "a")
    (folder / name).unlink()
    (problem,) = shards.verify(folder)
    assert problem.startswith(f"{name}: ") and "No such file" in problem
    folder = copy(packed, tmp_path / "b")
    (folder / name).write_bytes((packed / name).read_bytes()[:-4])
    assert "where shards.json has" in shards.verify(folder)[0]
    folder = copy(packed, tmp_path / "c")
    change(folder, 17, shard="other.tfrecord")
    problems = shards.verify(folder)
    assert "other.tfrecord: row 19 names it, shards.json does not" in problems


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '{"files": 5}',
        '{"files": {"a": {}}}',
        '{"files": {"a": 5}}',
        '{"files": {"a": {"records": 1, "bytes": "1", "sha256": ""}}}',
    ],
)
def test_verify_names_a_damaged_note(packed, tmp_path, text):
    folder = copy(packed, tmp_path / "damaged")
    (folder / "shards.json").write_text(text)
    with pytest.raises(ValueError, match=r"shards\.json: expected .* pack the pict"):
        shards.verify(folder)


@pytest.mark.parametrize(
    "name", ["../secret", "/dev/null", "a/../secret", "..", "", "a"]
)
def test_verify_opens_nothing_but_files_of_the_folder(packed, tmp_path, name):
    folder = copy(packed, tmp_path / "shards")
    (tmp_path / "secret").write_text("secret")
    (folder / "a").mkdir()
    note = json.loads((folder / "shards.json").read_text())
    note["files"][name] = {"records": 0, "bytes": 0, "sha256": ""}
    (folder / "shards.json").write_text(json.dumps(note))
    (problem,) = shards.verify(folder)
    assert problem.startswith(f"{name}: ") and "sha256" not in problem
    assert "no file of the folder" in problem or "a folder, a pipe" in problem


@pytest.mark.parametrize("column", ["offset", "length"])
@pytest.mark.parametrize("value", ["9" * 25, "1" + "0" * 17, "-1"])
def test_verify_names_the_row_of_an_impossible_place(packed, tmp_path, column, value):
    folder = copy(packed, tmp_path / "shards")
    row = change(folder, 17, **{column: value})
    problems = shards.verify(folder)
    start = f"{row['shard']}: row 19 ({row['image']}) is at byte "
    assert any(problem.startswith(start) for problem in problems)


def test_verify_refuses_a_manifest_without_places(packed, films, tmp_path):
    folder = copy(packed, tmp_path / "shards")
    change(folder, 17, offset="x")
    with pytest.raises(ValueError, match=r"manifest\.csv, row 19: .*'x'"):
        shards.verify(folder)
    manifest.write(folder / "manifest.csv", manifest.read(films))
    with pytest.raises(ValueError, match=r"manifest\.csv: expected the columns shard"):
        shards.verify(folder)


def test_a_number_too_large_for_the_report_is_an_error(films, tmp_path, capsys):
    command = ["shards", str(films), "--out", str(tmp_path)]
    assert main(command) == 0
    note = json.loads((tmp_path / "shards.json").read_text())
    next(iter(note["files"].values()))["bytes"] = 10**400
    (tmp_path / "shards.json").write_text(json.dumps(note))
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert "too large" in capsys.readouterr().err


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 17, (40, 24)])
def test_pictures_from_shards_equal_those_from_files(odd, tmp_path, size, channels):
    shards.write(odd, tmp_path, shard_size=4000)
    with pytest.warns(UserWarning, match="1 row"):
        files, packed = data.read_manifest(odd), data.read_manifest(tmp_path)
    expected = data.load_pictures(files["path"], size, channels)
    x = data.open_pictures(packed, size, channels)
    assert isinstance(x, data.Shards) and len(x._files) > 1
    assert x.shape == expected.shape and x.dtype == expected.dtype
    assert len(x) == len(expected) and x.ndim == expected.ndim
    mask = np.arange(len(x)) % 3 == 1
    for index in (
        3,
        -1,
        np.int64(2),
        slice(None),
        slice(7, 1, -2),
        [4, 4, 0],
        [],
        mask,
    ):
        index = np.array(index, int) if isinstance(index, list) else index
        np.testing.assert_array_equal(x[index], expected[index], strict=True)
    with pytest.raises(IndexError):
        _ = x[len(x)]


OPTIONS = [
    {},
    {"labeled_per_batch": 12},
    {"labeled_per_batch": 12, "class_balanced": True, "with_index": True},
    {"class_share": {2: 0.2}, "start": 5},
    {"start": 9, "with_index": True, "seed": 3},
]


@pytest.fixture(scope="session")
def both(films, packed):
    """The training films as array and as shards, and their labels."""
    rows = [data.select(data.read_manifest(f), "train") for f in (films, packed)]
    x, sharded = (data.open_pictures(part, 32) for part in rows)
    y = data.encode_labels(rows[0], data.class_names(rows[0]))
    return x, sharded, np.where(np.arange(len(y)) % 3, y, -1)


@pytest.mark.parametrize("options", OPTIONS)
def test_batches_from_shards_are_those_from_memory(both, options):
    x, sharded, y = both
    y = np.where(np.arange(len(y)) == np.argmax(y == 2), 2, y)
    streams = [data.batches(pictures, y, 24, **options) for pictures in (x, sharded)]
    assert streams[0].element_spec == streams[1].element_spec
    pairs = itertools.islice(zip(*streams, strict=True), 12)
    for memory, disk in pairs:
        tf.nest.map_structure(np.testing.assert_array_equal, memory, disk)


def test_the_number_of_data_threads_does_not_matter(both, monkeypatch):
    """Also where some batches take longer to read than others."""
    _, x, y = both
    whole, streams = x.read, []
    monkeypatch.setattr(
        x, "read", lambda rows: time.sleep(rows[0] % 2 * 0.03) or whole(rows)
    )
    for threads in (1, 16):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        stream = data.batches(x, y, 24, with_index=True)
        streams.append(stream.with_options(options))
    for one, many in itertools.islice(zip(*streams, strict=True), 12):
        tf.nest.map_structure(np.testing.assert_array_equal, one, many)


class SecondOfTwo:
    """Asks for the stream of the second of two machines, as a strategy would."""

    num_replicas_in_sync = 2

    def distribute_datasets_from_function(self, make):
        return make(tf.distribute.InputContext(2, 1, 2))


def test_a_machine_reads_its_own_rows_and_no_others(both, monkeypatch):
    _, x, y = both
    whole, read = x.read, []
    monkeypatch.setattr(x, "read", lambda rows: read.append(rows) or whole(rows))
    options = {"with_index": True, "strategy": SecondOfTwo()}
    stream = data.batches(x, y, 7, **options).as_numpy_iterator()
    own = [index for (_, index), _ in itertools.islice(stream, 60)]
    del stream
    drawn = data.batches(np.zeros((len(y), 1, 1, 1)), y, 7, with_index=True)
    steps = itertools.islice(drawn.as_numpy_iterator(), 60)
    for (_, index), rows in zip((pair for pair, _ in steps), own, strict=True):
        np.testing.assert_array_equal(rows, index[4:])
    wanted = {tuple(rows) for rows in own}
    assert wanted <= {tuple(rows) for rows in read} and len(read) < 60 + 10
    assert all(len(rows) == 3 for rows in read)


def test_pictures_in_order_come_once(both):
    x, sharded, _ = both
    parts = [*sharded.in_order(50).as_numpy_iterator()]
    assert [len(part) for part in parts] == [50, 50, 50, len(x) - 150]
    np.testing.assert_array_equal(np.concatenate(parts), x)
    assert sharded.in_order(50).cardinality() == 4


def test_a_network_learns_the_same_from_shards(both):
    *pictures, y = both
    weights = []
    for x in pictures:
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3)]
        layers += [keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(3)]
        model = keras.Sequential(layers)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
        stream = data.batches(x, np.maximum(y, 0), 32)
        model.fit(stream, steps_per_epoch=5, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_damaged_picture_stops_training_with_its_row(packed, tmp_path):
    folder = copy(packed, tmp_path / "damaged")
    rows = data.select(data.read_manifest(folder), "train")
    flip(folder, rows.iloc[7], 100)
    message = rf"row {rows['row'][7]} of .* shard .*{rows['shard'][7]} .* checksum"
    x = data.Shards(rows, 32)
    with pytest.raises(ValueError, match=message):
        _ = x[5:9]
    stream = data.batches(x, np.zeros(len(x), int), 16)
    with pytest.raises(ValueError, match=message), data.shards.plain_errors():
        for _ in stream.take(20):
            pass
    change(folder, rows["row"][8] - 2, offset="17")
    with pytest.raises(ValueError, match="17 of shard"):
        data.Shards(data.read_manifest(folder), 32)[rows["row"][8] - 2]


def test_a_missing_or_short_shard_is_named_before_training(packed, tmp_path):
    folder = copy(packed, tmp_path / "missing")
    table = data.read_manifest(folder)
    path = Path(table["path"][9])
    first = table["row"][table["shard"] == path.name].iloc[0]
    data.check_pictures(table)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=rf"{path.name}, the first is row .* 2000 by"):
        data.Shards(table, 32)
    path.unlink()
    with pytest.raises(ValueError, match=f"{path.name}.* row {first} .*no such file"):
        data.Shards(table, 32)
    with pytest.raises(FileNotFoundError, match=f"of 240 .*row {first}: .*{path.name}"):
        data.check_pictures(table)


def test_places_must_be_numbers(packed, tmp_path):
    folder = copy(packed, tmp_path / "words")
    change(folder, 17, offset="-5")
    with pytest.raises(ValueError, match="column offset .*row 19: '-5'"):
        data.Shards(data.read_manifest(folder), 32)


def test_shards_outside_of_the_folder_are_refused(packed, tmp_path):
    folder = copy(packed, tmp_path / "outside")
    change(folder, 17, shard="../train.tfrecord")
    with pytest.raises(ValueError, match=r"row 19: '\.\./train"):
        data.read_manifest(folder)


def test_a_run_from_shards_equals_one_from_files(films, packed, tmp_path):
    small = dict(image_size=32, filters=(4, 8), epochs=1, batch_size=64)
    small |= dict(method="supervised", precision="float32")
    for name, folder in (("files", films), ("shards", packed)):
        run, wanted = RunFolder(tmp_path / name), Settings(str(folder), **small)
        with run.started(wanted.to_json()):
            run.saved_model.mkdir()  # Takes half a minute and is tested elsewhere.
        training.train(wanted, run.path)
    for name in ("predictions.csv", "history.csv"):
        first, second = (
            (tmp_path / run / name).read_text() for run in ("files", "shards")
        )
        assert first == second
    scores = [use.evaluate_run(tmp_path / "files", f, "train") for f in (films, packed)]
    assert scores[0] == scores[1]
    inputs = [[str(films / "images")], [str(packed)]]
    tables = [use.predict_files(tmp_path / "shards", each)[0] for each in inputs]
    for table, folder in zip(tables, (films, packed), strict=True):
        table["image"] = [str(Path(p).relative_to(folder)) for p in table["image"]]
    first, second = (table.sort_values("image", ignore_index=True) for table in tables)
    pd.testing.assert_frame_equal(first, second)


MEMORY = """
import sys
from sskeras import data
table = data.read_manifest(sys.argv[1])
x = data.Shards(table, 64)
y = data.encode_labels(table, ("x",))
stream = iter(data.batches(x, y, 256))
def peak(steps):
    for _ in range(steps):
        next(stream)
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
first = peak(10)
print(peak(40) - first)
del stream
running = iter(data.batches(x, y, 256))
for _ in range(10):
    next(running)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of memory")
def test_memory_does_not_grow_with_what_was_read(tmp_path):
    """10,000 pictures of 64×64 are 40 MiB in an array.

    The script also ends while a stream is running, which once made it hang.
    """
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), "uint8")).save(
        tmp_path / "a.png"
    )
    with open(tmp_path / "manifest.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("image", "label"), *[("a.png", "x")] * 10_000])
    shards.write(tmp_path, tmp_path / "packed")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEMORY, str(tmp_path / "packed")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not done.returncode, done.stderr
    assert float(done.stdout) < 15
