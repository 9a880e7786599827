"""Files that are complete or absent, on a disk that refuses too."""

import os
import subprocess
import sys

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.files import (
    NotWritten,
    prepare_output,
    refusal,
    remove_unfinished,
    replacing,
    write_json,
)

# Runs the code in its argument with files limited to 20,000 bytes, which stands for a full disk:
# EFBIG in the place of ENOSPC.
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
exec(sys.argv[1])
"""

WRITERS = {
    "write_json": """
from ssl_tf import command
from ssl_tf.files import write_json
from ssl_tf.settings import MonitorSettings
command.run(lambda settings: write_json(Path("out"), list(range(9000))), MonitorSettings, [])
""",
    "import": """
from ssl_tf import command, proposals
command.run(*proposals.ACTIONS["import"], ["--input=boxes.csv", "--output=out"])
""",
    "export": """
from ssl_tf import command
from ssl_tf.settings import MonitorSettings
def main(settings):
    from ssl_tf.exporters.exported import Exported
    from ssl_tf.exporters.formats import export_encoder
    from ssl_tf.networks.encoder import build_encoder
    from ssl_tf.settings import ModelSettings
    model = ModelSettings(depth=18, width=0.0625, stem="small")
    export_encoder(Exported(build_encoder(model, 0), model, 16), Path("out"), {})
command.run(main, MonitorSettings, [])
""",
    "safetensors": """
import numpy as np
from safetensors.numpy import save_file
from ssl_tf import command
from ssl_tf.files import replacing
from ssl_tf.settings import MonitorSettings
def main(settings):
    with replacing(Path("out")) as temporary:
        temporary.mkdir()
        save_file({"a": np.zeros(9000)}, temporary / "a.safetensors")
command.run(main, MonitorSettings, [])
""",
}


@pytest.mark.parametrize("code", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, code):
    rows = [f"image_{n:0>60}.jpg,0.1,0.1,0.9,0.9" for n in range(2000)]
    text = "\n".join(["id,ymin,xmin,ymax,xmax", *rows])
    (tmp_path / "boxes.csv").write_text(text)
    # As a user starts it: the command itself silences TensorFlow.
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "from pathlib import Path\n" + code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line == (
        "error: out is not written (File too large): make room and start the same command again"
    )
    assert os.listdir(tmp_path) == ["boxes.csv"]


def test_other_errors_pass_and_remove_the_temporary_file(tmp_path):
    for error in (FileNotFoundError(2, "no such file", "input.csv"), KeyError("x")):
        with pytest.raises(type(error)), replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise error
    assert os.listdir(tmp_path) == [] and refusal(KeyError("No space left on device")) is None


def test_a_refused_file_leaves_the_one_before(tmp_path):
    write_json(tmp_path / "a", 1)
    with pytest.raises(NotWritten, match="a is not written .No space left on device."):
        with replacing(tmp_path / "a"):
            raise OSError(28, "No space left on device")
    assert (tmp_path / "a").read_text() == "1\n" and os.listdir(tmp_path) == ["a"]


def test_writers_of_one_process_number_do_not_share_a_temporary_file(tmp_path, monkeypatch):
    # As in two containers: the second begins and is done while the first one writes.
    monkeypatch.setattr(os, "getpid", lambda: 7)
    path = tmp_path / "000000.bin"
    with replacing(path, shared=True) as first, first.open("wb") as file:
        file.write(b"A" * 10)
        with replacing(path, shared=True) as second:
            second.write_bytes(b"B" * 20)
        assert path.read_bytes() == b"B" * 20
        file.write(b"A" * 10)
    assert path.read_bytes() == b"A" * 20 and first != second
    assert os.listdir(tmp_path) == ["000000.bin"]


def test_what_killed_writers_left_is_removed(tmp_path):
    (tmp_path / "shards").mkdir()
    for path in (tmp_path / "a", tmp_path / "shards" / "b"):
        for shared in (False, True):
            with replacing(path, shared=shared) as temporary:
                temporary.touch()
            temporary.touch()  # as if the kill had come before the end of the block
        path.unlink()
    (tmp_path / "shards" / "kept").touch()
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["shards", "kept"]


def test_an_output_is_prepared_or_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    prepare_output(tmp_path / "new" / "parent" / "knn.json")
    assert os.listdir(tmp_path / "new" / "parent") == []
    prepare_output(tmp_path / "sheets", is_directory=True)
    prepare_output(tmp_path / "sheets", is_directory=True)
    prepare_output(tmp_path / "file")
    for path, is_directory, told in [
        (tmp_path / "sheets", False, "sheets is a directory; give a file"),
        (tmp_path / "file", True, "file is a file; give a directory"),
        (tmp_path / "file" / "knn.json", False, "cannot be written"),
        (tmp_path / "file" / "sheets", True, "cannot be written"),
        ("/proc/knn.json", False, "cannot be written"),
    ]:
        with pytest.raises(SettingsError, match=f"--output=.*{told}"):
            prepare_output(type(tmp_path)(path), is_directory=is_directory)
