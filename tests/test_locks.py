"""The lock on a directory, between this process and others."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from ssl_tf.errors import UserError
from ssl_tf.locks import LOCK, exclusive

# Takes the lock, says so, and holds it until it is killed.
HOLDER = """
import sys, time
from pathlib import Path
from ssl_tf.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "run"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_and_told_the_first(tmp_path, holder):
    with pytest.raises(UserError) as refused, exclusive(tmp_path / "run"):
        pass
    assert f"process {holder.pid} on {socket.gethostname()} since 20" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "run" / LOCK).exists()


@pytest.mark.parametrize("received", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path, holder, received):
    holder.send_signal(received)
    holder.wait()
    assert (tmp_path / "run" / LOCK).exists()
    with exclusive(tmp_path / "run"):
        assert f'"process": {os.getpid()}' in (tmp_path / "run" / LOCK).read_text()
    assert not (tmp_path / "run" / LOCK).exists()


@pytest.mark.parametrize("left", [b"", b"\xff\xfe", b"[]", b'{"process": 1, "host": "elsewhere"}'])
def test_a_file_left_by_an_earlier_boot_is_taken_over_whatever_it_holds(tmp_path, left):
    (tmp_path / LOCK).write_bytes(left)
    with exclusive(tmp_path):
        with pytest.raises(UserError, match=f"process {os.getpid()} on"), exclusive(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_locks_of_several_names_do_not_exclude_each_other(tmp_path):
    with exclusive(tmp_path / "run"), exclusive(tmp_path / "run", "worker_1.lock"):
        assert sorted(os.listdir(tmp_path / "run")) == [LOCK, "worker_1.lock"]


def test_a_directory_that_stays_empty_is_removed_again(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / "new"):
        1 / 0
    assert not (tmp_path / "new").exists()
    with exclusive(tmp_path / "new"):
        (tmp_path / "new" / "flags.txt").touch()
    assert os.listdir(tmp_path / "new") == ["flags.txt"]


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"), exclusive(tmp_path / "file" / "run"):
        pass
