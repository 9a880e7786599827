"""The GPUs that the driver has and TensorFlow does not use."""

import functools
import os
import subprocess

import tensorflow as tf

from ssl_tf.errors import warn


@functools.cache
def warn_of_idle_gpus() -> None:
    """Says on stderr, once, that this computes on the CPU of a machine that has GPUs.

    TensorFlow without the libraries of CUDA says so itself, at a level of its log that hides the
    lines that a user has to read.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if tf.config.get_visible_devices("GPU") or hidden:
        return
    if tf.config.list_physical_devices("GPU"):
        warn(
            "--logical_cpus has hidden the GPUs from this process, so this computes on "
            "the CPU; start a new process"
        )
        return
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    if count:
        warn(
            f"nvidia-smi lists {count} GPU(s) and TensorFlow sees none, so this computes "
            "on the CPU; give WITH_CUDA=1 to scripts/environment.sh, or install "
            "tensorflow[and-cuda] (CUDA_VISIBLE_DEVICES= means the CPU)"
        )
