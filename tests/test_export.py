"""The SavedModel: alone, in float32, on arrays and on files."""

import importlib.util
import io
import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from sskeras import export, methods, networks
from sskeras.data import load_pictures, pictures

SAVED_MODEL = sys.modules["sskeras.export.saved_model"]


def method(policy="float32", shape=(24, 32, 1)):
    """A method with distinct weights, moving statistics included."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        network = networks.two_path_resnet(shape, 3, filters=(4, 8))
    finally:
        keras.config.set_dtype_policy("float32")
    names = ("normal", "pneumonia", "covid-19")
    model = methods.SSResNet(network, class_names=names)
    model.compile("adam")
    x = np.random.default_rng(0).integers(0, 256, (16, *shape)).astype("uint8")
    model.fit(x, np.arange(16) % 3, epochs=2, verbose=0)
    return model, x


def encode(picture, format="PNG", mode="L"):
    data = io.BytesIO()
    Image.fromarray(picture[..., 0]).convert(mode).save(data, format)
    return data.getvalue()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model, x = method()
    folder = tmp_path_factory.mktemp("export") / "saved_model"
    export.saved_model(model, folder)
    return model, x, tf.saved_model.load(folder), folder


def test_arrays_give_the_answers_of_predict(exported):
    model, x, loaded, _ = exported
    answer = loaded.serve(x)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    assert answer["probabilities"].dtype == tf.float32
    names = [[*map(bytes.decode, row)] for row in answer["class_names"].numpy()]
    assert names == [["normal", "pneumonia", "covid-19"]] * len(x)
    top = [model.class_names[i] for i in model.predict(x, verbose=0).argmax(-1)]
    assert [*map(bytes.decode, answer["prediction"].numpy())] == top


def test_bytes_give_the_answers_of_the_pictures_inside(exported):
    model, x, loaded, _ = exported
    for mode in ("L", "RGB", "RGBA", "P"):
        encoded = tf.constant([encode(picture, mode=mode) for picture in x])
        answer = loaded.serve_bytes(encoded)["probabilities"]
        np.testing.assert_allclose(answer, model.predict(x, verbose=0), atol=1e-6)


def test_files_of_any_size_are_resized_as_in_training(exported, tmp_path):
    model, _, loaded, _ = exported
    big = np.random.default_rng(1).integers(0, 256, (61, 47, 1)).astype("uint8")
    for name, format in (("film.png", "PNG"), ("film.jpg", "JPEG")):
        (tmp_path / name).write_bytes(encode(big, format))
        x = load_pictures([tmp_path / name], (24, 32))
        answer = loaded.serve_bytes([(tmp_path / name).read_bytes()])
        np.testing.assert_allclose(
            answer["probabilities"], model.predict(x, verbose=0), atol=1e-6
        )
    answer = loaded.serve(big[None])
    expected = model.predict(pictures.resize(big[None], (24, 32)), verbose=0)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)


def test_bytes_that_are_no_picture_are_said_and_harm_no_others(exported):
    model, x, loaded, _ = exported
    good = [encode(picture) for picture in x[:3]]
    huge = good[0][:16] + (20_000).to_bytes(4, "big") * 2 + good[0][24:]
    cmyk = encode(x[0], "JPEG", "CMYK")
    bad = [b"", b"GIF89a, perhaps, but longer than that", good[0][:-40], huge, cmyk]
    answer = loaded.serve_bytes([good[0], *bad[:3], good[1], *bad[3:], good[2]])
    sound = np.array([True, False, False, False, True, False, False, True])
    np.testing.assert_array_equal(answer["error"].numpy() == b"", sound)
    assert {*answer["error"].numpy()[~sound]} == {export.NO_PICTURE.encode()}
    assert {*answer["prediction"].numpy()[~sound]} == {b""}
    expected = np.zeros((8, 3))
    expected[sound] = model.predict(x[:3], verbose=0)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    assert answer["class_names"].shape == (8, 3)
    assert loaded.serve_bytes(bad)["error"].shape == (5,)


def test_signatures_are_what_a_server_expects(exported):
    signatures = exported[2].signatures
    assert {"serve", "serve_bytes", "serving_default"} <= set(signatures)
    outputs = {"probabilities", "class_names", "prediction"}
    assert {*signatures["serve"].structured_outputs} == outputs
    assert {*signatures["serve_bytes"].structured_outputs} == {*outputs, "error"}


def test_a_fresh_process_without_sskeras_gives_the_same(exported, tmp_path):
    model, x, _, folder = exported
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy, tensorflow\n"
        "sys.modules['sskeras'] = None  # importing it is an error\n"
        "model = tensorflow.saved_model.load(sys.argv[1])\n"
        "answer = model.serve(numpy.load('x.npy'))\n"
        "numpy.save('p.npy', answer['probabilities'])\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, check=True, cwd=tmp_path)
    np.testing.assert_allclose(
        np.load(tmp_path / "p.npy"), model.predict(x, verbose=0), atol=1e-6
    )


def nodes(loaded):
    """Operations of a SavedModel, inside its functions too."""
    graph = loaded.signatures["serve"].graph.as_graph_def()
    return [*graph.node, *(n for f in graph.library.function for n in f.node_def)]


def half_precision_nodes(folder):
    """How many operations of a SavedModel give half floats."""
    half = {tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum}
    attributes = [node.attr.values() for node in nodes(tf.saved_model.load(folder))]
    return sum(a.type in half for values in attributes for a in values)


def test_only_the_path_that_classifies_is_exported_and_as_constants(exported):
    _, _, loaded, _ = exported
    convolutions = [n.name for n in nodes(loaded) if n.op == "Conv2D"]
    assert convolutions
    assert not [name for name in convolutions if "unsupervised" in name]
    assert not [n.name for n in nodes(loaded) if n.op == "ReadVariableOp"]


def test_a_large_network_keeps_its_variables(tmp_path, monkeypatch):
    monkeypatch.setattr(SAVED_MODEL, "MOST_CONSTANTS", 0)
    model, x = method()
    export.saved_model(model, tmp_path / "saved_model")
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    assert [n for n in nodes(loaded) if n.op == "ReadVariableOp"]
    stored = tf.train.list_variables(tmp_path / "saved_model/variables/variables")
    numbers = sum(int(np.prod(shape)) for _, shape in stored if shape)
    assert numbers <= model.network.count_params()  # And not twice as many.
    answer = loaded.serve(x)["probabilities"]
    np.testing.assert_allclose(answer, model.predict(x, verbose=0), atol=1e-6)


def test_a_picture_of_the_right_size_is_the_same_with_and_without_a_resize(exported):
    """`resize` is the identity there, to the bit, so that it can be left out."""
    x = np.random.default_rng(2).integers(0, 256, (4, 24, 32, 1)).astype("uint8")
    np.testing.assert_array_equal(pictures.resize(tf.constant(x), (24, 32)), x)
    dynamic = tf.function(
        lambda batch: pictures.resize(batch, (24, 32)),
        input_signature=[tf.TensorSpec((None, None, None, 1), tf.uint8)],
    )
    np.testing.assert_array_equal(dynamic(x), x)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_savedmodel_computes_in_float32_whatever_the_training(policy, tmp_path):
    model, x = method(policy)
    export.saved_model(model, tmp_path / "saved_model")
    assert not half_precision_nodes(tmp_path / "saved_model")
    SAVED_MODEL._write(model, tmp_path / "as_trained")
    assert half_precision_nodes(tmp_path / "as_trained")
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    answer = loaded.serve(x)["probabilities"]
    np.testing.assert_allclose(answer, model.predict(x, verbose=0), atol=0.03)


def test_color_pictures(tmp_path):
    model, x = method(shape=(16, 16, 3))
    export.saved_model(model, tmp_path / "saved_model")
    loaded = tf.saved_model.load(tmp_path / "saved_model")
    np.testing.assert_allclose(
        loaded.serve(x)["probabilities"], model.predict(x, verbose=0), atol=1e-6
    )


def test_an_existing_folder_is_not_overwritten(exported):
    model, _, _, folder = exported
    with pytest.raises(FileExistsError, match="exists"):
        export.saved_model(model, folder)


def test_a_savedmodel_that_answers_differently_does_not_appear(tmp_path, monkeypatch):
    model, _ = method()
    twin = export.float32_twin(model)
    head = twin.network.get_layer("supervised_logits")
    head.bias.assign([1.0, 0.0, 0.0])
    write = SAVED_MODEL._write
    monkeypatch.setattr(SAVED_MODEL, "_write", lambda _, folder: write(twin, folder))
    with pytest.raises(RuntimeError, match="differs from the model by"):
        export.saved_model(model, tmp_path / "saved_model")
    assert not [*tmp_path.iterdir()]


def metadata_of(path):
    """What a file or a SavedModel says about itself."""
    if path.suffix == ".onnx":
        [found] = onnx.load(path).metadata_props
        assert found.key == "sskeras"
        return json.loads(found.value)
    if path.suffix == ".tflite":
        archive = zipfile.ZipFile(path)
        labels = archive.read("labels.txt").decode().split("\n")
        assert labels == ["normal", "pneumonia", "covid-19"]
        return json.loads(archive.read("sskeras.json"))
    return json.loads((path / "assets.extra/sskeras.json").read_text("utf-8"))


def run(path, x):
    """Probabilities from the runtime of a file."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path)
        return session.run(["probabilities"], {"pictures": x})[0]
    runner = Interpreter(str(path))
    [inputs], [outputs] = runner.get_input_details(), runner.get_output_details()
    runner.resize_tensor_input(inputs["index"], x.shape)
    runner.allocate_tensors()
    runner.set_tensor(inputs["index"], x)
    runner.invoke()
    return runner.get_tensor(outputs["index"])


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "write, suffix", [(export.onnx, "onnx"), (export.litert, "tflite")]
)
def test_other_runtimes_answer_as_the_model_does(write, suffix, policy, tmp_path):
    model, x = method(policy)
    path = tmp_path / f"model.{suffix}"
    write(model, path, {"epochs": 2})
    assert [*tmp_path.iterdir()] == [path]
    twin = export.float32_twin(model)
    for pictures_ in (x, x[:1]):
        expected = twin.predict(pictures_, verbose=0)
        np.testing.assert_allclose(run(path, pictures_), expected, atol=1e-5)
    found = metadata_of(path)
    assert found["classes"] == ["normal", "pneumonia", "covid-19"]
    assert found["pictures"]["height"] == 24 and found["pictures"]["width"] == 32
    assert found["training"] == {"epochs": 2}
    assert "Not a medical device" in found["intended_use"]
    with pytest.raises(FileExistsError, match="exists"):
        write(model, path)


def test_the_savedmodel_has_metadata(exported):
    *_, folder = exported
    assert metadata_of(folder)["classes"] == ["normal", "pneumonia", "covid-19"]


@pytest.mark.parametrize("write", [export.onnx, export.litert])
def test_a_file_that_answers_differently_does_not_appear(write, tmp_path, monkeypatch):
    model, _ = method()
    other = export.float32_twin(model)
    other.network.get_layer("supervised_logits").bias.assign([1.0, 0.0, 0.0])
    portable = sys.modules["sskeras.export.portable"]
    compare = portable.compare
    monkeypatch.setattr(
        portable, "compare", lambda _, *rest, **more: compare(other, *rest, **more)
    )
    with pytest.raises(RuntimeError, match="differs from the model by"):
        write(model, tmp_path / "model")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "write, package", [(export.onnx, "tf2onnx"), (export.litert, "ai_edge_litert")]
)
def test_a_missing_package_is_named_before_anything(write, package, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == package else find(name),
    )
    with pytest.raises(ImportError, match=f"{package}. Run: pip install 'sskeras"):
        write(None, "nowhere")
