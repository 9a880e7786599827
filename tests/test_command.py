"""The start of every command: a reader that leaves, and values that no flag can take."""

import os
import subprocess
import sys

import pytest

COMMANDS = {
    "overview": ("ssl_tf",),
    "help": ("ssl_tf.knn", "--help"),
    "actions": ("ssl_tf.proposals", "--help"),
}


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_has_seen_enough_is_no_error(name, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", *COMMANDS[name]],
            stdout=writing,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            text=True,
            timeout=120,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_work_goes_on_when_nobody_reads_what_it_prints(tmp_path):
    """A file that is written after the first print is there, and the exit code is 0."""
    program = (
        "import dataclasses, pathlib, sys\n"
        "from ssl_tf import command\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Settings: pass\n"
        "def main(settings):\n"
        "    print('x' * 100_000, flush=True)\n"
        "    print('more')\n"
        "    pathlib.Path('result').write_text('whole')\n"
        "command.run(main, Settings, [])\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "result").read_text() == "whole"
