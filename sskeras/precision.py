"""Which numbers a network computes with: "auto" looks at what the machine does fast."""

import os
from pathlib import Path

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def set_precision(precision="auto"):
    """Sets Keras's dtype policy for the networks built from now on, and says which.

    Weights, logits, losses and the exported model are float32 under every policy.

    Args:
        precision: "auto", or the name of a dtype policy. "auto" stands for
            "mixed_bfloat16" on a GPU from compute capability 8.0 and on a processor
            with bfloat16 instructions (AVX512-BF16 or AMX, on Linux),
            "mixed_float16" on a GPU from 7.0, where `Method.compile` scales the loss,
            and "float32" elsewhere: without such hardware half precision is slower,
            on processors many times.

    Returns:
        The name of the policy.

    Example:
    >>> import sskeras
    >>> sskeras.set_precision("auto")
    precision float32: this processor has no bfloat16 instructions
    'float32'
    """
    import keras

    policy, reason = choose(precision)
    keras.config.set_dtype_policy(policy)
    print(f"precision {policy}: {reason}", flush=True)
    if _slow_tensorflow():
        print(
            "TensorFlow was imported before sskeras and leaves oneDNN off on this "
            "processor. Training is faster with `import sskeras` first."
        )
    return policy


def choose(precision):
    """Returns the name of a dtype policy, and why it was chosen.

    Raises:
        ValueError: If there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"Invalid `precision`. Expected one of {PRECISIONS}. "
            f"Received: {precision!r}"
        )
    if precision != "auto":
        return precision, "as asked for"
    capability = _gpu_capability()
    if capability is None:
        if {"avx512_bf16", "amx_bf16"} & processor_flags():
            return "mixed_bfloat16", "this processor has bfloat16 instructions"
        return "float32", "this processor has no bfloat16 instructions"
    reason = "this GPU has compute capability {}.{}".format(*capability)
    if capability >= (8, 0):
        return "mixed_bfloat16", reason
    return ("mixed_float16" if capability >= (7, 0) else "float32"), reason


def processor_flags():
    """Names of what the processor can do; empty where Linux does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return set()
    flags = (line.split(":", 1)[1] for line in lines if line.startswith("flags"))
    return set(next(flags, "").split())


def _gpu_capability():
    """The least compute capability of all GPUs, `None` without a GPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = map(tf.config.experimental.get_device_details, gpus)
    return min((d.get("compute_capability", (0, 0)) for d in details), default=None)


def _slow_tensorflow():
    """Whether TensorFlow came first and did not turn oneDNN on by itself."""
    by_itself = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile"}
    flags = processor_flags()
    unasked = "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    return unasked and "avx2" in flags and not by_itself & flags
