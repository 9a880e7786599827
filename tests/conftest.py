"""Four logical CPU devices, so that strategies with replicas run in any test."""

import itertools
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:
    # One worker a core: threads of TensorFlow, OpenMP and BLAS beyond that would only contend. The
    # processes that a test starts inherit it.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TF_NUM_INTEROP_THREADS"] = "2"

import tensorflow as tf  # noqa: E402  (all of these are read at import)

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration() for _ in range(4)],
)

# Every strategy of a process numbers its collectives from the same key, and the runtime remembers
# the shapes: a second strategy would fail with "Shape mismatch in the collective instance".
COLLECTIVE_KEYS = itertools.count(0, 100_000)
tf.distribute.MirroredStrategy._collective_key_base = property(lambda _: next(COLLECTIVE_KEYS))

# The files that take longest, longest first: they are started first, so that no worker is left with
# one of them when the others are done, and scripts/test.sh --fast leaves them out.
LONGEST = (
    "test_commands.py",
    "methods/test_replicas.py",
    "test_survival.py",
    "test_hosts.py",
    "views/test_device.py",
    "views/test_statistics.py",
    "benchmarking/test_benchmark.py",
    "methods/test_swav.py",
    "methods/test_supervised.py",
    "evaluation/test_finetuning.py",
    "evaluation/test_probe.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    for item in items:
        if item.path in ranks:
            item.add_marker("slow")
