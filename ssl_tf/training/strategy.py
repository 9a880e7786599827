"""The devices a run uses, as a `tf.distribute` strategy."""

import tensorflow as tf

from ssl_tf.errors import SettingsError


def make_strategy(logical_cpus: int, batch_size: int) -> tf.distribute.Strategy:
    """MirroredStrategy over all GPUs, or over the CPU split into `logical_cpus` devices.

    Must run before TensorFlow first touches a device.

    Args:
        logical_cpus: CPU replicas; 0 uses the GPUs, or one CPU where there is none.
        batch_size: global batch, to be divided equally.

    Raises:
        SettingsError: the batch does not divide.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if logical_cpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        if len(tf.config.get_logical_device_configuration(cpu) or ()) < logical_cpus:
            split = [tf.config.LogicalDeviceConfiguration()] * logical_cpus
            tf.config.set_logical_device_configuration(cpu, split)
        devices = [f"CPU:{index}" for index in range(logical_cpus)]
    elif gpus:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        devices = [f"GPU:{index}" for index in range(len(gpus))]
    else:
        devices = ["CPU:0"]
    if batch_size % len(devices):
        raise SettingsError(
            f"--batch_size={batch_size}: does not divide over {len(devices)} replicas; give a "
            f"multiple of {len(devices)}"
        )
    return tf.distribute.MirroredStrategy(devices)
