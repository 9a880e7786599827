"""Four logical CPU devices, so that strategies with replicas run in any test."""

import gc
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # One worker a core: threads of TensorFlow, OpenMP and BLAS beyond that would only contend. The
    # processes that a test starts inherit it.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TF_NUM_INTEROP_THREADS"] = "2"

# The package first: it says which Keras TensorFlow 2.21 has, which is read at its import, too.
import ssl_tf  # noqa: E402, F401, I001
import tensorflow as tf  # noqa: E402  (all of these are read at import)

from tests.longest import LONGEST  # noqa: E402

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration() for _ in range(4)],
)

# Detection needs TensorFlow's Model Garden, of which there is none for TensorFlow 2.21 (setup.py).
NO_MODEL_GARDEN = sys.version_info >= (3, 12)
collect_ignore_glob = ["detection/test_*.py"] if NO_MODEL_GARDEN else []


@pytest.fixture(scope="module", autouse=True)
def only_new_objects_are_searched_for_garbage():
    """What a file leaves is not looked at again: that took a twentieth of the suite's time."""
    yield
    gc.collect()
    gc.freeze()


def pytest_report_header():
    if NO_MODEL_GARDEN:
        return "tests/detection is left out: TensorFlow 2.21 has no Model Garden"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The longest files first and marked slow."""
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    for item in items:
        if item.path in ranks:
            item.add_marker("slow")
