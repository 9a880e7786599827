"""Installs ssl_tf: `pip install -c constraints.txt -e .`"""

import re
from pathlib import Path

from setuptools import find_packages, setup

# Read, not imported: the package's requirements are not installed yet.
init = Path(__file__).with_name("ssl_tf").joinpath("__init__.py").read_text()
version = re.search(r'^__version__ = "(.+)"$', init, re.MULTILINE)[1]

# onnx 1.19 installs beside TensorFlow 2.15, and fails at import: it needs a newer ml_dtypes.
onnx = ["tf2onnx~=1.17.0", "onnx>=1.18,<1.19", "onnxruntime"]
# Its other requirements serve models of text, and are pinned in constraints-downstream.txt.
downstream = ['tf-models-official==2.15.0; python_version < "3.12"', "pycocotools"]

setup(
    name="ssl_tf",
    version=version,
    description="Self-supervised pre-training in TensorFlow: MA-SSRL and object-aware cropping",
    license="Apache-2.0",
    # Flagfiles and studies are part of the package: configs/NAME and studies/NAME work anywhere.
    packages=[
        *find_packages(include=["ssl_tf", "ssl_tf.*"]),
        "ssl_tf.configs",
        "ssl_tf.studies",
    ],
    package_dir={"ssl_tf.configs": "configs", "ssl_tf.studies": "studies"},
    package_data={
        "ssl_tf": ["py.typed"],
        "ssl_tf.views": ["tables/*.json"],
        "ssl_tf.configs": ["*.flags"],
        "ssl_tf.studies": ["*.toml"],
    },
    entry_points={"console_scripts": ["ssl_tf=ssl_tf.__main__:main"]},
    python_requires=">=3.11,<3.14",
    # Two stacks, told apart by Python's version: 3.11 with TensorFlow 2.15, the newest beside which
    # tensorflow-addons works; 3.12 and 3.13 with TensorFlow 2.21 and Keras 2 as tf-keras. The exact
    # sets that were tested stand in constraints.txt and constraints-tf2.21.txt.
    install_requires=[
        'tensorflow~=2.15.0; python_version < "3.12"',
        # TensorBoard 2.15 imports pkg_resources, which setuptools 81 and later do not have.
        'setuptools<81; python_version < "3.12"',
        'tensorflow-addons~=0.23.0; python_version < "3.12"',
        'tensorflow~=2.21.0; python_version >= "3.12"',
        'tf-keras~=2.21.0; python_version >= "3.12"',
        # TensorFlow 2.21 brings none.
        'tensorboard~=2.21.0; python_version >= "3.12"',
        "tensorflow-datasets~=4.9.4",
        # TFDS needs it to prepare a data set, and does not say so.
        "importlib_resources",
        "keras-cv~=0.9.0",
        "absl-py",
        'numpy<2; python_version < "3.12"',
        'numpy>=2; python_version >= "3.12"',
        "pillow",
        # Weights of encoders to and from torch's world, without torch and without pickles.
        "safetensors",
        # Weights of Keras, and bfloat16 in files of torch; TensorFlow needs them too.
        "h5py",
        "ml-dtypes",
        # Progress on a terminal.
        "tqdm",
        # The curves of `compare`, and the picture of the architecture.
        "matplotlib>=3.10",
        # Object discovery: sparse matrices and connected components; shards over processes or
        # clusters.
        "scipy>=1.11",
        "apache-beam~=2.77.0",
        # Tables of features; TFDS and Beam bring it anyway.
        "pyarrow",
    ],
    extras_require={
        # Detectors. Model Garden goes with one version of TensorFlow; none goes with 2.21.
        "downstream": downstream,
        # The map of `embed` by t-SNE.
        "embed": ["scikit-learn"],
        "onnx": onnx,
        "test": ["pytest", "pytest-xdist", "ruff", "scikit-learn", *onnx],
        "docs": ["mkdocs", "mkdocstrings[python]"],
        # Reads exports for torchvision and timm back, to compare their outputs.
        "torch": ["torch", "torchvision", "timm"],
    },
)
