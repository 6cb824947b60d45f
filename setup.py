from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="sskeras",
    version="0.1.0",
    description="Semi-supervised image classification for Keras",
    long_description=Path(__file__).with_name("README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["sskeras*", "data_tools*"]),
    package_data={"sskeras.experiments": ["demo.html"], "sskeras": ["distributed.md"]},
    python_requires=">=3.11",
    install_requires=[
        "tensorflow>=2.19",  # SavedModel, tf.data; brings Keras 3
        "keras>=3.14.1",  # model files: no program in a layer, no endless loop
        "numpy>=2.0",  # counts the differing bits of perceptual hashes
        "pandas>=2.2.2",  # manifests; with numpy 2
        "matplotlib>=3.10",  # figures
        "pillow>=10.3",  # reads and writes pictures without TensorFlow
        "pydicom>=3.0.1",  # films of RSNA and RICORD; MIT, 2.4 MB
        "google-crc32c>=1.6",  # checksums of TFRecord files; Apache-2.0, 0.04 MB
        "scikit-learn>=1.5",  # the audit's model, AUC; BSD-3, 9 MB
        "scipy>=1.15",  # temperature; BSD-3, 35 MB, which scikit-learn needs anyway
        "threadpoolctl>=3.1",  # small fits on one thread; comes with scikit-learn
        "tqdm>=4.66",  # progress bars; MPL-2.0/MIT, 0.1 MB
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.19"],
        # Makes notebooks from their sources; MIT and BSD-3, 1 MB beside jupyterlab.
        "tutorials": ["jupyterlab", "jupytext", "nbclient", "ipykernel"],
        # JPEG Lossless, JPEG-LS and 12-bit JPEG in DICOM; Apache-2.0 and BSD, 13 MB.
        "dicom": ["python-gdcm"],
        # Converts and runs what was converted; Apache-2.0 and MIT, 37 MB.
        "onnx": ["onnx", "tf2onnx", "onnxruntime"],
        "litert": [
            "ai-edge-litert"
        ],  # runs what TensorFlow converts; Apache-2.0, 22 MB
        "benchmarks": [
            "opencv-python-headless",  # a peer; Apache-2.0, 61 MB
            "onnx",
            "tf2onnx",
            "onnxruntime",  # runs what is exported; MIT, 18 MB
            "atheris; sys_platform == 'linux'",  # guides a fuzzer; Apache-2.0, 62 MB
        ],
        # ruff lints as part of the tests; pytest-xdist runs them on two cores, and
        # pytest-timeout ends one that hangs; the rest runs networks as those who import
        # them do (ai-edge-litert: Apache-2.0, 22 MB).
        "test": [
            "pytest>=8",
            "pytest-xdist",
            "pytest-timeout",
            "build",
            "ruff>=0.17.6,<0.18",
            "onnx",
            "tf2onnx",
            "onnxruntime",
            "ai-edge-litert",
            "jupytext",
            "nbclient",
            "ipykernel",
            "pyyaml",
            "pyspellchecker",
            "selenium",
        ],
    },
    entry_points={"console_scripts": ["sskeras = sskeras.cli:main"]},
)
