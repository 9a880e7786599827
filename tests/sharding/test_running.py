import concurrent.futures
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.sharding.running import _loopback, _pipeline

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def listening(port):
    """Addresses, as the kernel prints them, on which somebody listens at a port."""
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(table).exists():
            rows += [line.split() for line in Path(table).read_text().splitlines()[1:]]
    return {
        address
        for address, number, state in ((*row[1].split(":"), row[3]) for row in rows)
        if int(number, 16) == port and state == "0A"
    }


def addresses_of_a_server():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port("[::]:0")
        server.start()
        found = listening(port)
        server.stop(None).wait()
    return found


def test_ports_of_local_workers_are_open_to_this_machine_only():
    with _loopback():
        inside = addresses_of_a_server()
    assert inside and inside <= LOOPBACK
    assert not addresses_of_a_server() <= LOOPBACK  # that of others is left as it is


@pytest.mark.parametrize(
    "options, told",
    [
        (["--runner=Foo"], "--beam_options=--runner=Foo: Unexpected pipeline runner: Foo"),
        (["--direct_num_workers=abc"], "--direct_num_workers=abc: .*invalid int value: 'abc'"),
    ],
)
def test_options_that_beam_has_not_are_one_line(tmp_path, options, told, capsys):
    with pytest.raises(SettingsError, match=told) as raised:
        _pipeline(1, tmp_path / "log", 0, options)
    assert "\n" not in str(raised.value) and not capsys.readouterr().err


def test_threads_of_workers_are_no_concern_of_this_process(tmp_path, monkeypatch):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    before = dict(os.environ)
    pipeline = _pipeline(8, tmp_path / "log", 2, ())
    assert dict(os.environ) == before
    command = pipeline.runner._default_environment.command_string
    assert "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=3 TF_NUM_INTRAOP_THREADS=1 " in command


FAULTS = """
import resource, numpy as np
from ssl_tf.sharding.running import _keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        arrays = [np.ones(2**18, np.float32) for _ in range(16)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
_keep_freed_memory()
faults()
print(before, faults())
"""


def test_freed_memory_is_taken_again_without_page_faults():
    # in a process of its own, whose malloc nobody else has used
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True).stdout
    before, after = map(int, told.split())
    # 20 times 16 MiB are 81,920 pages of 4 KiB
    assert after < 2000 and before > 20_000
