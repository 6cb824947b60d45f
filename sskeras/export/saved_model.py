"""Export to a SavedModel that takes pictures and needs no sskeras."""

import keras
import tensorflow as tf

from sskeras.data import pictures
from sskeras.export.about import metadata
from sskeras.export.common import appears_whole, compare, float32_twin, quiet

# As constants, TensorFlow folds weights: batch normalization into the convolutions. It
# also copies them two dozen times, which is too much for a large network.
MOST_CONSTANTS = 10_000_000
# What `serve_bytes` says of bytes that `pictures.decode` does not take.
NO_PICTURE = (
    "These bytes are no whole PNG or JPEG file in grey or RGB of at most "
    f"{pictures.MAX_PIXELS:,} pixels, {pictures.MAX_SCANS} scans and sides of "
    f"1:{pictures.MAX_RATIO}."
)


def saved_model(model, folder, training=None):
    """Writes a SavedModel, reloads it in a process of its own and compares.

    The SavedModel computes in float32 whatever the precision of the training. Weights
    are constants up to 10 million, which is faster and rounds otherwise. It has two
    endpoints, which resize pictures of any size, sides up to 1:100, as training did:

    - `serve` (also `serving_default`) takes `pictures`, a uint8 tensor of shape
      `(batch, height, width, channels)` in 0-255. (TensorFlow cuts off numpy floats
      without a word: a film in 0-1 would be black.)
    - `serve_bytes` takes `encoded`, a string tensor of shape `(batch,)` with the
      bytes of PNG or JPEG files.

    `assets.extra/sskeras.json` holds what a user must know, see `metadata`.

    Both return a dict with `probabilities` of shape `(batch, num_classes)`,
    `class_names` of the same shape, and `prediction`, the name of the likeliest class,
    of shape `(batch,)`. `serve_bytes` adds `error` of that shape: an empty text, or
    what is wrong with these bytes; their probabilities are 0 and their prediction is
    empty. The other pictures of the batch are answered all the same.

    Args:
        model: A `Method`, built, for example by `fit` or `load_model`.
        folder: Where to write. It must not exist, so that nothing is overwritten; it
            appears only when the comparison has succeeded.

        training: JSON-serializable dict of how it was trained, for the metadata.

    Raises:
        FileExistsError: If the folder exists.
        RuntimeError: If the reloaded SavedModel does not give the same answers.
    """
    twin = float32_twin(model)
    height, width = model.network.input_shape[1:3]
    with appears_whole(folder) as partial:
        _write(twin, partial / "model")
        extra = partial / "model" / "assets.extra"
        extra.mkdir()
        (extra / "sskeras.json").write_text(metadata(model, training), "utf-8")
        compare(twin, partial, RELOAD, size=(height + 7, 2 * width))


def _write(model, folder):
    height, width, channels = model.network.input_shape[1:]
    answer = _answer(model)

    def resize(picture):
        same = tf.reduce_all(tf.shape(picture)[-3:-1] == (height, width))
        return tf.cond(
            same, lambda: picture, lambda: pictures.resize(picture, (height, width))
        )

    def serve(batch):
        return answer(tf.ensure_shape(resize(batch), (None, height, width, channels)))

    def serve_bytes(encoded):
        batch, sound = pictures.decode_each(encoded, (height, width, channels))
        found = answer(batch)
        return {
            "probabilities": tf.where(sound[:, None], found["probabilities"], 0.0),
            "class_names": found["class_names"],
            "prediction": tf.where(sound, found["prediction"], ""),
            "error": tf.where(sound, "", NO_PICTURE),
        }

    archive = keras.export.ExportArchive()
    spec = tf.TensorSpec((None, None, None, channels), tf.uint8, name="pictures")
    archive.add_endpoint("serve", serve, input_signature=[spec])
    spec = tf.TensorSpec((None,), tf.string, name="encoded")
    archive.add_endpoint("serve_bytes", serve_bytes, input_signature=[spec])
    with quiet(tf.get_logger()):  # It tells where the partial folder is.
        archive.write_out(str(folder), verbose=False)


def _answer(model):
    """What both endpoints call, with pictures of the size of the network."""
    num_classes = model.network.outputs[0].shape[-1]
    names = model.class_names or tuple(map(str, range(num_classes)))
    weights = [model.trainable_variables, model.non_trainable_variables]
    if model.count_params() <= MOST_CONSTANTS:
        weights = [[weight.numpy() for weight in part] for part in weights]

    def answer(batch):  # (batch, height, width, channels) uint8
        probabilities, _ = model.stateless_call(*weights, batch, training=False)
        top = tf.argmax(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "class_names": tf.broadcast_to(tf.constant(names), tf.shape(probabilities)),
            "prediction": tf.gather(tf.constant(names), top),
        }

    spec = tf.TensorSpec((None, *model.network.input_shape[1:]), tf.uint8)
    whole = tf.compat.v1.wrap_function(answer, [spec])
    # Leaves out what the answer does not need, such as the path that does not classify.
    return whole.prune(whole.inputs, whole.structured_outputs)


# The SavedModel must stand alone: to import sskeras or Keras is an error here.
RELOAD = """
import gc, sys
gc.disable()  # The import takes less long.
sys.modules.update({"sskeras": None, "keras": None})
import numpy, tensorflow
folder, pictures, answers = sys.argv[1:]
model = tensorflow.saved_model.load(folder)
x = numpy.load(pictures)["x"]
png = [tensorflow.io.encode_png(picture) for picture in x]
outputs = {
    "serve": model.serve(x)["probabilities"],
    "serve_bytes": model.serve_bytes(tensorflow.stack(png))["probabilities"],
}
numpy.savez(answers, **outputs)
"""
