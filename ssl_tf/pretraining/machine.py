"""What a run finds on its machine: cores, memory and GPUs."""

import dataclasses
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from ssl_tf.cores import available_cores

_GIB = 2**30
# Of a GPU that does not tell.
_UNKNOWN_GIB = 8.0
# The limit of a container, in the two versions of Linux's control groups.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclasses.dataclass(frozen=True)
class Machine:
    """One machine of a run.

    Attributes:
        cores: processor cores that this process may use.
        memory: of the host, in GiB, at most the limit of the container.
        gpus: number of GPUs.
        gpu_memory: of the smallest GPU, in GiB; 0 without a GPU.
    """

    cores: int
    memory: float
    gpus: int = 0
    gpu_memory: float = 0.0

    def __str__(self) -> str:
        gpus = f"{self.gpus} GPU(s) of {self.gpu_memory:.0f} GiB" if self.gpus else "no GPU"
        return f"{self.cores} core(s), {self.memory:.0f} GiB of memory, {gpus}"


def read_machine() -> Machine:
    """The machine of this process; no GPU is initialized."""
    gpus = tf.config.get_visible_devices("GPU")
    return Machine(
        cores=len(available_cores()),
        memory=_host_bytes() / _GIB,
        gpus=len(gpus),
        gpu_memory=_gpu_gib(gpus) if gpus else 0.0,
    )


def _host_bytes() -> int:
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in map(Path, _LIMITS):
        text = path.read_text().strip() if path.exists() else ""
        found += [int(text)] if text.isdigit() else []
    return min(found)


def _gpu_gib(gpus: Sequence[tf.config.PhysicalDevice]) -> float:
    """The memory of the smallest of these GPUs, as the driver tells it."""
    # TensorFlow tells the memory of a GPU only after it has taken it.
    command = ["nvidia-smi", "--query-gpu=memory.total,name", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
        pairs = [line.split(", ", 1) for line in told.splitlines()]
        found = [(int(mib) / 1024, name.strip()) for mib, name in pairs]
    except (OSError, ValueError, subprocess.SubprocessError):
        found = []
    # The driver lists those that CUDA_VISIBLE_DEVICES hides, too.
    names = {tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus}
    seen = [gib for gib, name in found if name in names] or [gib for gib, _ in found]
    return min(seen, default=_UNKNOWN_GIB)
