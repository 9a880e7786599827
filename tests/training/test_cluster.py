"""Who takes part in a run, from the environment."""

import json

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.training.cluster import Cluster, read_cluster


def tf_config(cluster, kind, index):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_one_process_is_a_cluster_of_one():
    cluster = read_cluster({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"})
    assert cluster == Cluster() and cluster.is_chief and cluster.workers == 1
    assert cluster.environment() == {}


def test_tf_config_with_and_without_a_chief():
    two = read_cluster(tf_config({"worker": ["a:1", "b:2"]}, "worker", 1))
    assert two == Cluster(("a:1", "b:2"), 1) and not two.is_chief
    assert two.name(1) == "worker 1 (b:2)"
    assert read_cluster(two.environment()) == two
    with_chief = {"chief": ["c:1"], "worker": ["a:1", "b:2"]}
    assert read_cluster(tf_config(with_chief, "chief", 0)) == Cluster(("c:1", "a:1", "b:2"), 0)
    assert read_cluster(tf_config(with_chief, "worker", 1)).index == 2


@pytest.mark.parametrize(
    "wrong",
    [
        "no json",
        "[]",
        json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}),
        json.dumps({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}),
        json.dumps({"cluster": {"worker": ["a:1"]}}),
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1e999}}',
        '{"cluster": {"worker": [1, 2]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": "ab"}, "task": {"type": "worker", "index": 0}}',
        "[" * 100_000,
    ],
)
def test_a_tf_config_that_cannot_be_understood_is_one_line(wrong):
    with pytest.raises(SettingsError, match="TF_CONFIG=") as raised:
        read_cluster({"TF_CONFIG": wrong})
    assert "\n" not in str(raised.value)


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """What spells out Slurm's node lists, for one list."""
    script = tmp_path / "scontrol"
    script.write_text(
        '#!/bin/sh\n[ "$*" = "show hostnames gpu[1-3]" ] && printf "gpu%s\\n" 1 2 3\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_slurm_has_a_task_a_node(scontrol):
    slurm = {"SLURM_NTASKS": "3", "SLURM_PROCID": "2", "SLURM_STEP_NODELIST": "gpu[1-3]"}
    cluster = read_cluster(slurm)
    assert cluster == Cluster(("gpu1:23456", "gpu2:23456", "gpu3:23456"), 2)
    assert read_cluster({**slurm, "MASTER_PORT": "7"}).addresses[0] == "gpu1:7"
    with pytest.raises(SettingsError, match="6 tasks on 3 nodes .*--ntasks-per-node=1"):
        read_cluster({**slurm, "SLURM_NTASKS": "6"})


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"SLURM_NTASKS": "x"}, "SLURM_NTASKS='x': expected a whole number"),
        ({"SLURM_NTASKS": "-3"}, "SLURM_NTASKS='-3'"),
        ({"SLURM_NTASKS": ""}, "SLURM_NTASKS=''"),
        ({"SLURM_NTASKS": "9" * 5000}, "SLURM_NTASKS='999"),
        ({"SLURM_NTASKS": "\u0663"}, "SLURM_NTASKS="),
        ({"SLURM_PROCID": "x"}, "SLURM_PROCID='x'"),
        ({"SLURM_PROCID": "3"}, "SLURM_PROCID=3: there are only 3 tasks"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT='99999'"),
        ({"SLURM_STEP_NODELIST": ""}, "neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST"),
    ],
)
def test_variables_of_slurm_that_are_no_numbers_are_one_line(wrong, told, scontrol):
    slurm = {"SLURM_NTASKS": "3", "SLURM_PROCID": "2", "SLURM_STEP_NODELIST": "gpu[1-3]"}
    with pytest.raises(SettingsError) as raised:
        read_cluster({**slurm, **wrong})
    assert told in str(raised.value)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400


def test_slurm_without_its_command_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm = {"SLURM_NTASKS": "3", "SLURM_PROCID": "2", "SLURM_STEP_NODELIST": "gpu[1-3]"}
    with pytest.raises(SettingsError, match="scontrol cannot be run .*set TF_CONFIG"):
        read_cluster(slurm)
