"""COVID-Net: published counts, the graph of its figure, and that it trains."""

import gc

import keras
import numpy as np
import pytest

from sskeras import methods, networks

SMALL = {"filters": (32, 64, 128, 256), "dense": (32, 32), "stem": 32}


def counts(**kwargs):
    """All and trainable weights of a network, which is then forgotten."""
    found = networks.covid_net(**kwargs)
    trainable = sum(int(np.prod(w.shape)) for w in found.trainable_weights)
    total = found.count_params()
    del found
    gc.collect()
    return {"total": total, "trainable": trainable}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "total", "kwargs"),
    [
        ("calib_in_1/4_1/2_3/16", 117_403_343, {}),
        ("calib_in_1/4_1/2_3/16_withBN", 117_463_759, {"batch_norm": True}),
        (
            "ilias_in_1/2_3/4_1/2_fc256",
            134_513_939,
            {"widths": "iliasprc", "dense": (1024, 256)},
        ),
    ],
)
def test_the_counts_are_those_of_the_reference(oracle, name, total, kwargs):
    expected = oracle("covidnet_params_keras")["keras_built"][name]
    assert expected["total"] == total
    assert counts(**kwargs) == expected


def test_the_stages_have_the_sizes_of_the_figure():
    network = networks.covid_net((224, 224, 3), **SMALL)
    assert network.get_layer("stem").output.shape[1:] == (112, 112, 32)
    for stage, (modules, side, channels) in enumerate(
        [(3, 56, 32), (4, 28, 64), (6, 14, 128), (3, 7, 256)], 1
    ):
        last = network.get_layer(f"stage{stage}_sum{modules}")
        assert last.output.shape[1:] == (side, side, channels)
        assert f"stage{stage}_sum{modules + 1}" not in {x.name for x in network.layers}


def test_a_module_is_five_convolutions_with_relu_and_bias():
    network = networks.covid_net((32, 32, 1), **SMALL)
    parts = ["project1", "expand", "depthwise", "project2", "extend"]
    module = [network.get_layer(f"stage3_pepx2_{part}") for part in parts]
    # 128 channels come in; a quarter, a half, a half, three sixteenths, all go out.
    assert [layer.output.shape[-1] for layer in module] == [32, 64, 64, 24, 128]
    assert [layer.kernel_size for layer in module] == [(n, n) for n in (1, 1, 3, 1, 1)]
    assert isinstance(module[2], keras.layers.DepthwiseConv2D)
    assert all(layer.activation is keras.activations.relu for layer in module[:4])
    assert all(layer.use_bias for layer in module)
    chain = network.get_layer("stage3_long_range")
    assert chain.activation is keras.activations.linear
    assert chain.use_bias


def test_every_module_receives_the_sum_of_its_stage_so_far():
    network = networks.covid_net((32, 32, 1), **SMALL)

    def outputs(*names):
        tensors = [network.get_layer(name).output for name in names]
        x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1))
        return keras.Model(network.inputs[0], tensors)(x)

    chain, *modules, last = outputs(
        "stage1_long_range", *(f"stage1_pepx{n}_relu" for n in (1, 2, 3)), "stage1_sum3"
    )
    np.testing.assert_allclose(last, chain + sum(modules), rtol=1e-5, atol=1e-6)
    for name, source in [
        ("stage2_pepx1_project1", "stage2_pool"),
        ("stage2_long_range", "stage2_pool"),
        ("stage2_pool", "stage1_sum3"),
        ("stage1_pepx3_project1", "stage1_sum2"),
    ]:
        assert network.get_layer(name).input is network.get_layer(source).output


@pytest.mark.parametrize("widths", ["calibrated", "iliasprc"])
def test_activations_neither_vanish_nor_explode_at_the_start(widths):
    keras.utils.set_random_seed(0)
    network = networks.covid_net((64, 64, 1), **SMALL, widths=widths)
    names = ["stem", "stage1_sum3", "stage2_sum4", "stage3_sum6", "stage4_sum3"]
    names += ["dense1", "dense2", "logits", "stage2_pepx1_expand"]
    tensors = [network.get_layer(name).output for name in names]
    tensors += [network.get_layer("stage2_pepx1_depthwise").output]
    x = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1))
    sizes = [
        float(np.sqrt(np.mean(np.square(y))))
        for y in keras.Model(network.inputs[0], tensors)(x)
    ]
    assert all(0.1 < size < 10 for size in sizes[:8]), sizes
    # Beside the chain, which carries the signal anyway, a module must do so as well.
    assert 0.5 < sizes[9] / sizes[8] < 2


def test_the_small_network_has_the_size_its_docstring_says():
    assert networks.small_covid_net().count_params() == 381_531
    assert "381,531" in networks.small_covid_net.__doc__


def test_the_small_network_learns_which_side_is_bright():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    y = np.arange(64) % 2
    x = rng.integers(0, 128, (64, 32, 32, 1))
    for picture, side in zip(x, y, strict=True):
        picture[:, 16 * side : 16 * side + 16] += 100
    model = methods.Supervised(networks.small_covid_net((32, 32, 1), num_classes=2))
    model.compile(keras.optimizers.SGD(0.003))
    # Variables that are made inside the compiled step double the time to compile it.
    model.optimizer.build(model.trainable_variables)
    loss = model.fit(x, y, batch_size=16, epochs=5, verbose=0).history["loss"]
    assert loss[-1] < 0.2 < 0.4 < loss[0] < 1.5


def test_logits_are_float32_in_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = networks.small_covid_net((32, 32, 1))
    finally:
        keras.config.set_dtype_policy(policy)
    assert network.get_layer("stage4_sum3").output.dtype == "bfloat16"
    assert network(np.zeros((2, 32, 32, 1), "uint8")).dtype == "float32"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"filters": (40, 64, 128, 256)}, "multiples of 16.*40"),
        ({"stem": 8}, "multiples of 16.*stem=8"),
        ({"filters": (32, 64)}, "each of the 4 stages"),
        ({"widths": "cxr_large"}, "calibrated.*cxr_large"),
        ({"input_shape": (31, 64, 1)}, "at least 32.*31"),
        ({"input_shape": (None, None, 3)}, "at least 32"),
    ],
)
def test_what_cannot_be_built_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        networks.covid_net(**kwargs)
