"""Workers that watch each other, as processes that are stopped, killed and misled."""

import signal
import subprocess
import sys
import time

import pytest

from ssl_tf.errors import EXIT_FAILURE, EXIT_LOST_WORKER, LostWorker
from ssl_tf.training.cluster import Cluster
from ssl_tf.training.workers import Workers, _difference

TIMEOUT = 4.0
WORKER = """
import errno, sys, time
from pathlib import Path
from ssl_tf.errors import UserError
from ssl_tf.training.cluster import Cluster
from ssl_tf.training.workers import Workers

directory, index, behaviour = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
try:
    with Workers(directory, Cluster(("a:1", "b:1"), index), 4.0) as workers:
        workers.agree("start step", 7 if behaviour != "another step" else 5)
        workers.publish(step=12)
        print("running", flush=True)
        if behaviour == "has a full disk":
            replace = Path.replace
            def refuse_once(*arguments):
                Path.replace = replace
                print("refused", flush=True)
                raise OSError(errno.ENOSPC, "No space left on device")
            Path.replace = refuse_once
        if behaviour == "breaks":
            raise RuntimeError("the device has an error")
        if behaviour == "fails":
            raise UserError("the disk is full")
        time.sleep(60 if behaviour in ("works", "has a full disk") else 0.5)
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def start(directory, index, behaviour):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(directory), str(index), behaviour],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def pair(tmp_path):
    started = []

    def run(first, second):
        started.extend(start(tmp_path, i, b) for i, b in enumerate((first, second)))
        return started

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_and_a_hung_worker_end_the_other_in_time(pair, number):
    one, two = pair("works", "works")
    assert one.stdout.readline() == two.stdout.readline() == "running\n"
    time.sleep(2)
    two.send_signal(number)
    began = time.monotonic()
    told = one.communicate(timeout=30)[1]
    # The time-out, and a beat or two; a busy machine adds to it.
    assert TIMEOUT - 2 < time.monotonic() - began < TIMEOUT + 10
    assert one.returncode == EXIT_LOST_WORKER
    assert "worker 1 (b:1) has not been heard of for" in told and "last at step 12" in told
    assert told.count("\n") == 1


def test_a_disk_that_is_full_for_a_moment_costs_one_heartbeat(pair):
    one, two = pair("works", "has a full disk")
    assert [two.stdout.readline() for _ in range(2)] == ["running\n", "refused\n"]
    time.sleep(TIMEOUT + 3)
    assert (one.poll(), two.poll()) == (None, None)


def test_a_worker_that_fails_takes_the_other_along_with_its_reason(pair):
    one, two = pair("works", "fails")
    told = one.communicate(timeout=30)[1]
    assert one.returncode == EXIT_FAILURE
    assert "worker 1 (b:1) has left: the disk is full" in told and "resumes" not in told
    two.wait()


def test_what_breaks_without_a_report_may_pass(pair):
    one, two = pair("works", "breaks")
    told = one.communicate(timeout=30)[1]
    assert one.returncode == EXIT_LOST_WORKER
    assert "worker 1 (b:1) has left: the device has an error" in told
    two.wait()


def test_a_worker_that_is_done_does_not(pair):
    one, two = pair("ends", "ends")
    assert (one.wait(30), two.wait(30)) == (0, 0)


def test_workers_that_disagree_say_so(pair):
    one, two = pair("works", "another step")
    told = [process.communicate(timeout=30)[1] for process in (one, two)]
    # Whoever sees it first says so; the other hears of it from it, or sees it too.
    assert all(
        "worker 1 (b:1) has start step 5, this worker 7" in text
        or "worker 0 (a:1) has start step 7, this worker 5" in text
        for text in told
    )
    assert 0 not in (one.returncode, two.returncode)


def test_a_worker_whose_partner_never_comes_ends(tmp_path):
    # The beats of an earlier start are no partner.
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "worker_1.json").write_text('{"state": "running"}')
    alone = start(tmp_path, 0, "works")
    told = alone.communicate(timeout=30)[1]
    assert alone.returncode == EXIT_LOST_WORKER
    assert "worker 1 (b:1) did not start within 4 s" in told and "--worker_timeout" in told
    alone.wait()


def test_of_values_with_names_those_that_differ_are_told():
    ours = {"--seed": "0", "--tau": "0.9", "--depth": "18"}
    theirs = {"--seed": "1", "--tau": "0.9", "--width": "2"}
    assert _difference("flags", theirs, ours) == (
        "--seed '1', this worker '0'; --depth None, this worker '18'; --width '2', this worker None"
    )
    assert _difference("start step", 5, 7) == "start step 5, this worker 7"


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xfe", b"{", b"[]", b"{}", b"3", b'{"state": "lost", "facts": {}}']
    + [b'{"state": "running"}', b'{"state": [], "facts": {}}', b'{"state": "running", "facts": 3}'],
)
def test_a_file_that_is_no_heartbeat_is_none(tmp_path, content):
    workers = Workers(tmp_path, Cluster(("a:1", "b:1"), 0), TIMEOUT)
    (tmp_path / "workers").mkdir()
    file = tmp_path / "workers" / "worker_1.json"
    file.write_bytes(content)
    workers._read_heartbeats()
    (peer,) = workers._peers
    assert (peer.beats, workers.lost_worker()) == (0, None)
    file.write_text('{"state": "running", "facts": {"step": 3}}')
    workers._read_heartbeats()
    assert (peer.beats, workers.shared_value("step")) == (1, 3)


@pytest.mark.parametrize("reported, code", [(1, 1), (2, 2), (3, 3), (138, 3), (143, 3), (None, 3)])
def test_an_error_that_is_reported_ends_all_workers_alike(reported, code):
    """A launcher starts all of them again after 3; after an error they would only end alike."""
    assert LostWorker("a worker has left", reported).exit_code == code
