"""SSResNet against Algorithm 1 and against supervised learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sskeras import methods, networks, schedules

SHAPE = (16, 16, 1)


class Given(keras.layers.Layer):
    """Ignores the picture and returns given logits, one row per picture."""

    def __init__(self, z, **kwargs):
        super().__init__(**kwargs)
        self.z = self.add_weight(shape=np.shape(z), initializer=lambda *_, **__: z)

    def call(self, x):
        return self.z + 0 * keras.ops.mean(keras.ops.cast(x, "float32"))


def test_the_total_equals_the_reference(oracle):
    expected = oracle("ssresnet_losses")
    reference = expected["total_lambda_0.3_weights_1_1_2"]
    x = keras.Input((4, 4, 1), batch_size=4)
    z_sup = Given(np.float32(expected["z_sup"]), name="sup")
    z_un = Given(np.float32(expected["z_unsup"]), name="un")
    network = keras.Model(x, [z_sup(x), z_un(x)])
    model = methods.SSResNet(network, (1, 1, 2), unsupervised_weight=0.3)
    y = np.full(4, -1, "int32")
    y[reference["labelled_rows"]] = reference["labels"]
    before = [layer.z.numpy() for layer in (z_sup, z_un)]
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    logs = model.train_step((np.zeros((4, 4, 4, 1)), y))
    assert float(logs["supervised"]) == pytest.approx(reference["wcel"], abs=1e-6)
    assert float(logs["loss"]) == pytest.approx(reference["loss"], abs=1e-6)
    # A step of SGD with rate 1 moves by minus the gradient.
    moved = [z - layer.z.numpy() for z, layer in zip(before, (z_sup, z_un))]  # noqa: B905
    np.testing.assert_allclose(moved[0], reference["grad_sup"], atol=1e-6)
    np.testing.assert_allclose(moved[1], reference["grad_unsup"], atol=1e-6)


def test_lambda_zero_is_supervised_learning_to_the_bit(batch):
    x, y = batch
    keras.utils.set_random_seed(0)
    two_path = networks.two_path_resnet(SHAPE, 3, (4, 8), dropout=0)
    resnet = networks.resnet(SHAPE, 3, (4, 8), dropout=0)
    for layer in resnet.layers:
        layer.set_weights(two_path.get_layer(layer.name).get_weights())
    semi = methods.SSResNet(two_path, (1, 1, 2), unsupervised_weight=0.0)
    supervised = methods.Supervised(resnet, (1, 1, 2))
    for model in (semi, supervised):
        model.compile("adam")
        model.fit(x, y, epochs=5, batch_size=8, shuffle=False, verbose=0)
    for layer in resnet.layers:
        twin = two_path.get_layer(layer.name)
        for a, b in zip(layer.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        semi.predict(x, verbose=0), supervised.predict(x, verbose=0)
    )


def test_lambda_follows_its_schedule_and_is_saved_with_its_step(batch, tmp_path):
    x, y = batch
    network = networks.two_path_resnet(SHAPE, 3, (4, 8))
    ramp_up = schedules.GaussianRampUp(1.0, steps=10)
    model = methods.SSResNet(network, unsupervised_weight=ramp_up)
    model.compile("adam")
    history = model.fit(x, y, epochs=4, batch_size=16, shuffle=False, verbose=0).history
    expected = [float(ramp_up(step)) for step in range(4)]
    assert history["unsupervised_weight"] == pytest.approx(expected)
    assert expected[0] == 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    history = loaded.fit(x, y, batch_size=16, verbose=0).history
    assert history["unsupervised_weight"] == pytest.approx([float(ramp_up(4))])


@pytest.mark.parametrize(
    ("stop", "moved"),
    [
        ("none", (True, True)),
        ("supervised", (False, True)),
        ("unsupervised", (True, False)),
    ],
)
@pytest.mark.parametrize("space", ["logits", "probabilities"])
def test_the_consistency_loss_moves_the_paths_it_should(batch, stop, moved, space):
    network = networks.two_path_resnet(SHAPE, 3, (4, 8))
    model = methods.SSResNet(network, stop_gradient=stop, consistency_space=space)
    with tf.GradientTape() as tape:
        _, losses = model.objective(*batch, training=True)
    heads = [network.get_layer(f"{p}supervised_logits").kernel for p in ("", "un")]
    gradients = tape.gradient(losses["unsupervised"], [head.value for head in heads])
    assert tuple(g is not None and bool(tf.norm(g) > 0) for g in gradients) == moved


def test_probabilities_bound_the_consistency_loss(batch):
    network = networks.two_path_resnet(SHAPE, 3, (4, 8))
    for head in ("supervised_logits", "unsupervised_logits"):
        network.get_layer(head).kernel.assign(
            100 * network.get_layer(head).kernel.value
        )
    losses = {
        space: methods.SSResNet(network, consistency_space=space).objective(
            *batch, training=False
        )[1]["unsupervised"]
        for space in ("logits", "probabilities")
    }
    assert float(losses["logits"]) > 10
    assert 0 < float(losses["probabilities"]) <= 2 / 3 + 1e-6


def test_the_default_ramp_is_that_of_the_paper():
    model = methods.SSResNet(networks.two_path_resnet(SHAPE, 3, (4, 8)))
    assert (
        repr(model.unsupervised_weight)
        == "GaussianRampUp(peak=1.0, steps=765, start=1)"
    )
