"""The machines that take part in a run, read from TF_CONFIG or Slurm."""

import dataclasses
import json
import os
import re
import subprocess
from collections.abc import Mapping

from ssl_tf.errors import SettingsError

_SLURM_PORT = 23456
_LARGEST = 65_535  # of ports; more tasks are no run


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes of a run; one process alone is a cluster of one.

    Attributes:
        addresses: host:port of every worker.
        index: number of this process; worker 0 is the chief, which alone writes.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0

    @property
    def workers(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def name(self, index: int) -> str:
        """The name of a worker in messages."""
        return f"worker {index} ({self.addresses[index]})"

    def environment(self) -> dict[str, str]:
        """TF_CONFIG in the format of TensorFlow; empty for one process."""
        if self.workers == 1:
            return {}
        task = {"type": "worker", "index": self.index}
        return {"TF_CONFIG": json.dumps({"cluster": {"worker": self.addresses}, "task": task})}


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster of TF_CONFIG; else of the Slurm step, one task a node; else of one process.

    TF_CONFIG may name the first worker "chief". Slurm's tasks connect by the node names of the step
    and port 23456, or MASTER_PORT.

    Raises:
        SettingsError: TF_CONFIG or a variable of Slurm cannot be parsed, or Slurm runs several
            tasks on one node.
    """
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment and _number(environment, "SLURM_NTASKS", "1", low=1) > 1:
        return _from_slurm(environment)
    return Cluster()


def _number(environment: Mapping[str, str], name: str, default: str, low: int = 0) -> int:
    """A variable as a number of tasks or of a port.

    Raises:
        SettingsError: it is none.
    """
    text = environment.get(name, default)
    if not re.fullmatch(r"[0-9]{1,5}", text) or not low <= int(text) <= _LARGEST:
        raise SettingsError(
            f"{name}={text[:200]!r}: expected a whole number from {low} to {_LARGEST}; correct the "
            "environment variable, or unset it"
        )
    return int(text)


def _from_tf_config(text: str) -> Cluster:
    try:
        config = json.loads(text)
        tasks = config["cluster"]
        chiefs, workers = tasks.get("chief", []), tasks.get("worker", [])
        addresses = tuple(chiefs + workers)
        if not all(isinstance(address, str) for address in addresses):
            raise ValueError("an address is no text")
        kind, number = config["task"]["type"], int(config["task"]["index"])
        index = {"chief": 0, "worker": len(chiefs)}[kind] + number
        if set(tasks) - {"chief", "worker"} or not 0 <= index < len(addresses):
            raise ValueError("chief and worker tasks only")
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise SettingsError(
            f"TF_CONFIG={text[:200]!r} cannot be understood ({error}); expected "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    return Cluster(addresses, index)


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    tasks = _number(environment, "SLURM_NTASKS", "1", low=1)
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    if not nodes:
        raise SettingsError(
            f"SLURM_NTASKS={tasks}: neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST names the "
            "nodes; start by srun, set TF_CONFIG, or unset SLURM_NTASKS"
        )
    # Slurm abbreviates node lists, and ships the command that expands them.
    try:
        expanded = subprocess.run(
            ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise SettingsError(
            f"SLURM_NTASKS={tasks}: scontrol cannot be run ({error.strerror}); set TF_CONFIG, or "
            "unset SLURM_NTASKS"
        ) from None
    hosts = expanded.stdout.split()
    if expanded.returncode or len(hosts) != tasks:
        raise SettingsError(
            f"Slurm runs {tasks} tasks on {len(hosts)} nodes ({nodes}); start one task a node "
            "(--ntasks-per-node=1), which takes all GPUs of its node, or set TF_CONFIG"
        )
    port = _number(environment, "MASTER_PORT", str(_SLURM_PORT), low=1)
    index = _number(environment, "SLURM_PROCID", "")
    if index >= tasks:
        raise SettingsError(f"SLURM_PROCID={index}: there are only {tasks} tasks; start by srun")
    return Cluster(tuple(f"{host}:{port}" for host in hosts), index)
