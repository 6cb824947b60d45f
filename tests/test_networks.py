"""Networks: sizes, names, shapes."""

import keras
import numpy as np
import pytest

from sskeras import networks


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def test_parameter_counts_are_those_of_the_reference(oracle):
    expected = oracle("ssresnet_params_keras")
    two_path, resnet = networks.two_path_resnet(), networks.resnet()
    assert count(two_path.trainable_weights) == expected["ssresnet"] == 1_482_310
    assert two_path.count_params() == expected["ssresnet_total_incl_bn_stats"]
    assert count(resnet.trainable_weights) == expected["resnet_baseline"] == 816_835
    shared = [w for w in resnet.trainable_weights if w.path.startswith("shared")]
    assert count(shared) == expected["shared"]
    assert [*resnet.get_layer("shared_pool").output.shape[1:]] == expected["shared_out"]


@pytest.mark.parametrize("shape", [(33, 50, 1), (64, 64, 3), (8, 8, 1)])
@pytest.mark.parametrize("classes", [2, 5])
def test_any_size_channels_and_classes(shape, classes):
    network = networks.two_path_resnet(shape, classes, filters=(4, 8))
    outputs = network(np.zeros((2, *shape), "uint8"))
    assert [tuple(z.shape) for z in outputs] == [(2, classes)] * 2


def test_the_graph_is_flat_with_named_last_convolutions():
    network = networks.two_path_resnet((32, 32, 1), 3, filters=(4, 8))
    assert not any(isinstance(layer, keras.Model) for layer in network.layers)
    for name in ("supervised_block2_conv2", "unsupervised_block2_conv2"):
        assert network.get_layer(name).output.shape == (None, 4, 4, 8)


def test_the_supervised_network_is_the_two_path_network_without_its_second_path():
    two_path = networks.two_path_resnet((16, 16, 1), 3, filters=(4, 8))
    resnet = networks.resnet((16, 16, 1), 3, filters=(4, 8))
    for layer in resnet.layers:
        layer.set_weights(two_path.get_layer(layer.name).get_weights())
    x = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1))
    np.testing.assert_array_equal(resnet(x), two_path(x)[0])
