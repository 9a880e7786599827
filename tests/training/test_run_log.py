"""The log of a run, as TensorBoard shows it."""

import json
import re
import subprocess
import sys
import urllib.request


def test_tensorboard_starts_where_the_package_is_installed(tmp_path):
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
