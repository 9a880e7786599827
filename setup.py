"""Installs ssl_tf: `pip install -c constraints.txt -e .`"""

from setuptools import find_packages, setup

setup(
    name="ssl_tf",
    version="0.1.0",
    description="Self-supervised pre-training in TensorFlow: MA-SSRL and object-aware cropping",
    packages=find_packages(include=["ssl_tf", "ssl_tf.*"]),
    package_data={"ssl_tf.views": ["tables/*.json"]},
    python_requires=">=3.11,<3.12",
    # TensorFlow 2.15 is the newest on which addons and keras-cv work beside it; the exact set that
    # was tested stands in constraints.txt.
    install_requires=[
        "tensorflow~=2.15.0",
        "tensorflow-addons~=0.23.0",
        "tensorflow-datasets~=4.9.4",
        # TFDS needs it to prepare a data set, and does not say so.
        "importlib_resources",
        "keras-cv~=0.9.0",
        "absl-py",
        "numpy<2",
        "pillow",
        # Object discovery: sparse matrices and connected components; shards over processes or
        # clusters.
        "scipy>=1.11",
        "apache-beam~=2.77.0",
    ],
    extras_require={"test": ["pytest", "pytest-xdist", "scikit-learn"]},
)
