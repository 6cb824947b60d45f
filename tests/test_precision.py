"""What "auto" chooses, says and keeps; oneDNN where sskeras comes first."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import sskeras
from sskeras import methods, networks, precision
from sskeras.experiments import train as training
from sskeras.experiments.folder import RunFolder
from sskeras.experiments.settings import Settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def machine(monkeypatch):
    """Makes this machine another one: processor flags, and GPUs by capability."""

    def become(flags="", gpus=()):
        monkeypatch.setattr(precision, "processor_flags", lambda: set(flags.split()))
        devices = [tf.config.PhysicalDevice(f"gpu {g}", "GPU") for g in gpus]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices)
        details = {
            device: {} if gpu is None else {"compute_capability": gpu}
            for device, gpu in zip(devices, gpus, strict=True)
        }
        monkeypatch.setattr(
            tf.config.experimental, "get_device_details", details.__getitem__
        )

    return become


@pytest.fixture
def policy():
    """The dtype policy before the test is that after it."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    ("flags", "gpus", "expected"),
    [
        ("fpu avx2", [], "float32"),
        ("fpu avx2 avx512f avx512_vnni", [], "float32"),
        ("fpu avx512_bf16", [], "mixed_bfloat16"),
        ("fpu amx_bf16 amx_tile", [], "mixed_bfloat16"),
        ("", [], "float32"),
        ("avx2", [(9, 0)], "mixed_bfloat16"),
        ("avx2", [(8, 0), (9, 0)], "mixed_bfloat16"),
        ("avx2", [(7, 5), (9, 0)], "mixed_float16"),
        ("avx512_bf16", [(6, 1)], "float32"),
        ("avx512_bf16", [None], "float32"),
    ],
)
def test_auto_chooses_what_the_machine_does_fast(machine, flags, gpus, expected):
    machine(flags, gpus)
    assert precision.choose("auto")[0] == expected
    assert precision.choose("mixed_float16")[0] == "mixed_float16"


def test_the_flags_are_those_of_this_processor():
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file() or "\nflags" not in cpuinfo.read_text():
        pytest.skip("this machine does not tell what its processor can do")
    assert "fpu" in precision.processor_flags()


def test_set_precision_says_what_it_chose(machine, policy, capsys, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    machine("avx512_bf16")
    assert sskeras.set_precision() == "mixed_bfloat16"
    assert capsys.readouterr().out == (
        "precision mixed_bfloat16: this processor has bfloat16 instructions\n"
    )
    network = networks.resnet((16, 16, 1), filters=(4, 8))
    assert network.get_layer("shared_conv").compute_dtype == "bfloat16"
    machine("avx2")
    assert sskeras.set_precision("auto") == "float32"
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(ValueError, match="Expected one of .*'auto'.*Received: 'half'"):
        sskeras.set_precision("half")


@pytest.mark.parametrize(
    ("flags", "asked", "slow"),
    [
        ("avx2", None, True),
        ("avx2", "0", False),
        ("avx2 avx512_vnni", None, False),
        ("avx2 avx_vnni", None, False),
        ("sse4_1", None, False),
    ],
)
def test_a_slow_tensorflow_is_said(
    machine, policy, capsys, monkeypatch, flags, asked, slow
):
    machine(flags)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if asked:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    sskeras.set_precision("float32")
    assert ("`import sskeras` first" in capsys.readouterr().out) == slow


@pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64",
    reason="oneDNN is asked for on Linux with x86-64 only",
)
def test_onednn_is_asked_for_only_before_tensorflow():
    show = "import os; print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))"
    assert output(f"import sskeras; {show}") == "1"
    assert output(f"import tensorflow, sskeras; {show}") == "None"
    assert output(f"import sskeras; {show}", TF_ENABLE_ONEDNN_OPTS="0") == "0"


def output(code, **variables):
    """What a fresh interpreter prints."""
    inherited = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_run_keeps_the_precision_it_began_with(machine, tmp_path, capsys):
    (tmp_path / "manifest.csv").write_text("image,label\n")
    settings = Settings(str(tmp_path))
    assert settings.precision == "auto"
    folder = RunFolder(tmp_path / "run")
    machine("avx512_bf16")
    begun = training.with_precision(settings, folder)
    assert begun == dataclasses.replace(settings, precision="mixed_bfloat16")
    with folder.started(begun.to_json()):
        pass
    machine("avx2")
    assert training.with_precision(settings, folder) == begun
    assert "mixed_bfloat16: as the run began" in capsys.readouterr().out
    stored = json.loads(folder.settings.read_text())
    assert stored["precision"] == "mixed_bfloat16"
    asked = dataclasses.replace(settings, precision="float32")
    assert training.with_precision(asked, folder) == asked


def test_float16_comes_with_a_scaled_loss(policy, batch):
    sskeras.set_precision("mixed_float16")
    model = methods.Supervised(networks.resnet((16, 16, 1), filters=(4, 8)))
    model.compile("adam")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(model.train_on_batch(*batch, return_dict=True)["loss"])
