"""Two workers, as processes of one machine: they are two replicas, and neither waits for the dead.

One run does it all: a worker is killed, the other ends and says which; the same commands go on from
the checkpoint; and the end is that of one process with two replicas.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf import command, pretrain
from ssl_tf.errors import EXIT_LOST_WORKER
from ssl_tf.networks import resnet
from ssl_tf.settings import PretrainSettings
from ssl_tf.training.run_directory import MACHINE_FIGURES
from tests import two_blocks

FLAGS = (
    "--dataset=scenes --scenes=48 --scene_size=16 --image_size=16 --depth=18 --width=0.0625 "
    "--method=moco --queue=32 --recipe=moco --projector_hidden=16 --projection=8 --tau=0.9 "
    "--batch_size=16 --epochs=6 --warmup_epochs=1 --optimizer=sgd --base_learning_rate=0.5 "
    "--monitor_bank=32 --monitor_queries=12 --log_every=1 --checkpoint_every=1 --worker_timeout=20 "
    "--view_strategies=plain,plain"
).split()


def start_workers(directory):
    held = [socket.socket() for _ in range(2)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    pretraining = [sys.executable, two_blocks.__file__, "ssl_tf.pretrain", *FLAGS]
    started = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        started.append(
            subprocess.Popen(
                [*pretraining, f"--run_dir={directory}"],
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def checkpoint(directory, step):
    reader = tf.train.load_checkpoint(str(directory / f"checkpoints/step_{step:08d}/state"))
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {name: reader.get_tensor(name) for name in names}


def metrics(directory):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in x.items() if k not in MACHINE_FIGURES} for x in lines]


@pytest.fixture
def kill_at_the_end():
    processes = []
    yield processes
    for process in processes:
        process.kill()


def test_two_workers_are_two_replicas_also_when_one_is_killed_between(
    tmp_path, kill_at_the_end, monkeypatch
):
    monkeypatch.setitem(resnet.DEPTHS, 18, two_blocks.TWO_BLOCKS)
    two = tmp_path / "two"
    workers = start_workers(two)
    kill_at_the_end.extend(workers)
    while not (two / "checkpoints" / "step_00000003").exists():
        assert all(worker.poll() is None for worker in workers), workers[0].stderr.read()
        time.sleep(0.05)
    workers[1].kill()
    killed = time.monotonic()
    with ThreadPoolExecutor() as watching:
        end = watching.submit(lambda: (workers[0].communicate()[1], time.monotonic()))
        # The other takes its time to notice; meanwhile the same run on one worker.
        one = tmp_path / "one"
        flags = [*FLAGS, "--logical_cpus=2", f"--run_dir={one}"]
        command.run(pretrain.main, PretrainSettings, flags)
        told, noticed = end.result()
    # The time-out of 20 s and a few beats; a busy machine adds to it.
    assert noticed - killed < 60
    assert workers[0].returncode == EXIT_LOST_WORKER, told
    assert re.search(r"error: worker 1 \(127.0.0.1:\d+\) has not been heard of for 2\d s", told)
    assert "Traceback" not in told

    workers = start_workers(two)
    kill_at_the_end.extend(workers)
    told = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    resumed = r"on 2 replica\(s\), moco with views of moco, resumed from its step \d+"
    assert all(re.search(resumed, text) for text in told)

    expected, found = metrics(one), metrics(two)
    assert [line["step"] for line in found] == [line["step"] for line in expected]
    for line, other in zip(expected, found):
        assert line["loss"] == pytest.approx(other["loss"], rel=1e-5) if "loss" in line else True
    expected, found = checkpoint(one, 18), checkpoint(two, 18)
    assert expected.keys() == found.keys() and any("queue" in name for name in found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    # Only the chief writes: one set of files, and no half of one.
    assert {path.name for path in two.iterdir()} - {"workers"} == {
        path.name for path in one.iterdir()
    }
