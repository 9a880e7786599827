"""The devices a run uses, as a `tf.distribute` strategy."""

import itertools
import os

import tensorflow as tf

from ssl_tf.errors import SettingsError
from ssl_tf.training.cluster import Cluster
from ssl_tf.training.devices import warn_of_idle_gpus

# One strategy has fewer collectives than lie between two of these.
_COLLECTIVE_KEYS = itertools.count(0, 100_000)


def make_strategy(
    logical_cpus: int, batch_size: int, accumulate: int = 1, cluster: Cluster = Cluster()
) -> tf.distribute.Strategy:
    """The replicas of this process and, in a cluster, of the others.

    One process: MirroredStrategy over all GPUs, or over the CPU split into `logical_cpus` devices.
    Several: MultiWorkerMirroredStrategy over all their GPUs, or one CPU each; then it must run
    before TensorFlow first touches a device, as `split_cpu` must.

    Args:
        logical_cpus: number of CPU replicas; 0 uses the GPUs, or one CPU if there is none.
        batch_size: global batch size, a multiple of replicas x `accumulate`.
        accumulate: number of parts into which a replica splits its share.
        cluster: of the run.

    Raises:
        SettingsError: the batch does not divide, or `logical_cpus` is given in a cluster.
    """
    if logical_cpus:
        if cluster.workers > 1:
            raise SettingsError(
                f"--logical_cpus={logical_cpus}: a worker of several has one CPU replica, or all "
                "its GPUs; leave the flag out"
            )
        split_cpu(logical_cpus)
        devices = [f"CPU:{index}" for index in range(logical_cpus)]
    else:
        warn_of_idle_gpus()
        gpus = len(tf.config.get_visible_devices("GPU"))
        devices = [f"GPU:{index}" for index in range(gpus)] or ["CPU:0"]
    replicas = len(devices) * cluster.workers
    if batch_size % (replicas * accumulate):
        parts = f" and --accumulate={accumulate} parts" if accumulate > 1 else ""
        raise SettingsError(
            f"--batch_size={batch_size}: does not divide over {replicas} replicas{parts}; give a "
            f"multiple of {replicas * accumulate}"
        )
    if cluster.workers == 1:
        return mirrored_strategy(devices)
    os.environ.update(cluster.environment())
    return tf.distribute.MultiWorkerMirroredStrategy(
        tf.distribute.cluster_resolver.TFConfigClusterResolver()
    )


class _Mirrored(tf.distribute.MirroredStrategy):
    """A MirroredStrategy whose collectives have keys of their own.

    All others of a process number them from the same key, and the runtime remembers the shapes: the
    second training of a notebook failed with "Shape mismatch in the collective instance".
    """

    def __init__(self, devices: list[str]):
        self._collective_key_base = next(_COLLECTIVE_KEYS)
        super().__init__(devices)


def mirrored_strategy(devices: list[str]) -> tf.distribute.Strategy:
    """Replicas on devices of this process, as many times in it as one likes.

    Args:
        devices: such as GPU:0 and GPU:1.
    """
    return _Mirrored(devices)


def split_cpu(logical_cpus: int) -> None:
    """Splits the CPU into as many devices, unless it has them; before TensorFlow's first operation.

    GPUs are hidden from this process, so that nothing is chosen or told by what they have.

    Raises:
        SettingsError: TensorFlow has begun to use the CPU as it is.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or ()) >= logical_cpus:
        return
    split = [tf.config.LogicalDeviceConfiguration()] * logical_cpus
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.set_logical_device_configuration(cpu, split)
    except RuntimeError:
        raise SettingsError(
            f"--logical_cpus={logical_cpus}: TensorFlow uses the CPU of this process already, and "
            "splits it no more; start a new process"
        ) from None


def should_jit_compile(xla: str, strategy: tf.distribute.Strategy) -> bool:
    """Whether the training step runs as one XLA program.

    Collectives (gradients, batch statistics, keys of several replicas) have no XLA kernel
    (tensorflow#45940), and XLA's convolutions on a CPU run several times slower than without.

    Args:
        xla: auto, on or off.
        strategy: of the run.

    Raises:
        SettingsError: `xla` is "on" and the step cannot be compiled.
    """
    reason = None
    if strategy.num_replicas_in_sync > 1:
        reason = "the collectives of several replicas cannot be compiled"
    if xla == "on" and reason:
        raise SettingsError(f"--xla=on: {reason}; give --xla=auto, which knows")
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    return xla == "on" or (xla == "auto" and on_gpu and not reason)
