"""GPUs that TensorFlow does not use are told, once."""

import pytest
import tensorflow as tf

from ssl_tf.pretraining.machine import read_machine
from ssl_tf.training.devices import warn_of_idle_gpus
from ssl_tf.training.strategy import split_cpu


@pytest.mark.parametrize(
    "visible, lines, told",
    [
        (
            None,
            ["GPU 0: NVIDIA L4 (UUID: a)", "GPU 1: NVIDIA L4 (UUID: b)"],
            "lists 2 GPU(s)",
        ),
        # As Slurm sets it.
        ("0", ["GPU 0: NVIDIA L4 (UUID: a)"], "lists 1 GPU(s)"),
        ("", ["GPU 0: NVIDIA L4 (UUID: a)"], ""),
        ("-1", ["GPU 0: NVIDIA L4 (UUID: a)"], ""),
        (None, ["No devices found"], ""),
    ],
)
def test_gpus_that_are_not_used_are_told(visible, lines, told, tmp_path, monkeypatch, capsys):
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    warn_of_idle_gpus.cache_clear()
    for _ in range(2):
        warn_of_idle_gpus()
    found = capsys.readouterr().err
    assert found.count("warning: nvidia-smi") == bool(told) and told in found
    warn_of_idle_gpus.cache_clear()


def test_gpus_that_logical_cpus_has_hidden_are_told_to_the_next_training(monkeypatch, capsys):
    visible = {"CPU": ["CPU:0"], "GPU": ["GPU:0"]}
    monkeypatch.setattr(tf.config, "get_visible_devices", visible.get)
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda some, kind: visible.update({kind: some})
    )
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setattr(tf.config, "get_logical_device_configuration", lambda cpu: None)
    monkeypatch.setattr(tf.config, "set_logical_device_configuration", lambda cpu, split: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    warn_of_idle_gpus.cache_clear()
    split_cpu(2)
    assert read_machine().gpus == 0
    warn_of_idle_gpus()
    assert "--logical_cpus has hidden the GPUs" in capsys.readouterr().err
    warn_of_idle_gpus.cache_clear()


def test_a_machine_without_a_driver_is_silent(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    warn_of_idle_gpus.cache_clear()
    warn_of_idle_gpus()
    assert capsys.readouterr().err == ""
