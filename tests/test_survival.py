"""A run that is killed again and again ends where the run that nobody touched ends, to the bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time

from ssl_tf.training.run_directory import MACHINE_FIGURES
from tests import two_blocks

FLAGS = (
    "--dataset=scenes --scenes=48 --scene_size=16 --image_size=16 --depth=18 --width=0.0625 "
    "--projector_hidden=16 --projection=8 --batch_size=16 --epochs=14 --warmup_epochs=1 "
    "--base_learning_rate=3 --weight_decay=1e-4 --monitor_bank=32 --monitor_queries=12 "
    "--monitor_every=8 --log_every=1 --checkpoint_every=0.67 --view_strategies=plain,plain"
).split()
LAST = 42


def start(directory):
    command = [
        sys.executable, two_blocks.__file__, "ssl_tf.pretrain", *FLAGS, f"--run_dir={directory}",
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def newest(directory):
    names = [path.name for path in directory.glob("checkpoints/step_*") if path.suffix == ""]
    return max((int(name.removeprefix("step_")) for name in names), default=0)


def wait_until(process, reached):
    while not reached():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def kill_within_a_write(process, directory):
    """Stops the process each time it may be writing, and kills it once it certainly is."""
    while True:
        wait_until(process, lambda: any(directory.glob("checkpoints/*.writing")))
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        if any(directory.glob("checkpoints/*.writing")):
            return process.kill()
        process.send_signal(signal.SIGCONT)


def content(directory):
    """Bytes of the last checkpoint, and the metrics that do not depend on the machine."""
    checkpoint = directory / "checkpoints" / f"step_{LAST:08d}"
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return files, [{k: v for k, v in x.items() if k not in MACHINE_FIGURES} for x in lines]


def test_kills_leave_no_trace(tmp_path):
    draw = random.Random(0)
    untouched, killed = tmp_path / "untouched", tmp_path / "killed"
    reference = start(untouched)

    first = start(killed)
    wait_until(first, lambda: newest(killed) >= draw.randrange(4, 12, 2))
    kill_within_a_write(first, killed)
    assert first.wait() == -signal.SIGKILL
    left = newest(killed)
    assert any(killed.glob("checkpoints/*.writing")) and 4 <= left < LAST

    second = start(killed)
    wait_until(second, lambda: newest(killed) >= left + 4)
    time.sleep(draw.uniform(0, 0.1))
    second.kill()
    assert f"resumed from its step {left}" in second.communicate()[1]
    left = newest(killed)

    third = start(killed)
    wait_until(third, lambda: newest(killed) >= left + 2)
    time.sleep(draw.uniform(0, 0.1))
    third.terminate()
    told = third.communicate()[1]
    assert third.returncode == 128 + signal.SIGTERM, told
    left = newest(killed)
    assert f"stopped by SIGTERM at step {left}, which is saved" in told

    last = start(killed)
    told = last.communicate()[1]
    assert last.returncode == 0 and f"resumed from its step {left}" in told, told
    assert reference.communicate() and reference.returncode == 0
    (files, lines), (expected_files, expected_lines) = content(killed), content(untouched)
    assert [line["step"] for line in lines] == list(range(LAST + 1))
    assert lines == expected_lines
    assert files.keys() == expected_files.keys() and len(files) == 3
    assert files == expected_files
