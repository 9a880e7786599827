"""The log of a run, as TensorBoard shows it."""

import json
import re
import subprocess
import sys
import urllib.request
from importlib import metadata


def test_tensorboard_starts_where_the_package_is_installed(tmp_path):
    # pkg_resources, which TensorBoard 2.15 imports, is gone from setuptools 81.
    assert int(metadata.version("setuptools").partition(".")[0]) < 81
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={tmp_path}"]
    board = subprocess.Popen(
        [*command, "--host=127.0.0.1", "--port=0"], stderr=subprocess.PIPE, text=True
    )
    told = []
    try:
        for line in board.stderr:
            told.append(line)
            address = re.search(r"at (http://127\.0\.0\.1:\d+/)", line)
            if address:
                break
        else:
            raise AssertionError("".join(told))
        with urllib.request.urlopen(f"{address[1]}data/environment", timeout=60) as page:
            assert json.load(page)["data_location"] == str(tmp_path)
    finally:
        board.terminate()
        board.wait(timeout=60)
        board.stderr.close()
