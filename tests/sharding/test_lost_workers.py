"""A stage goes on after its end by a worker that was killed, as it is where memory runs out."""

import subprocess
import sys

STAGE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from ssl_tf.errors import UserError
from ssl_tf.sharding.running import run_shards
folder = Path(sys.argv[1])
paths = [folder / str(number) for number in range(4)]
def prepare():
    def work(number):
        if number == 1 and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        paths[number].touch()
    return work
if __name__ == "__main__":
    try:
        given = "stage", prepare, paths, np.ones(4, int), "images"
        run_shards(*given, log=folder / "log", workers=2)
    except UserError as error:
        print(error)
        sys.exit(1)
"""


def test_a_killed_worker_is_one_line_and_the_same_command_goes_on(tmp_path):
    script = tmp_path / "stage.py"
    script.write_text(STAGE)
    command = [sys.executable, script, tmp_path]
    # As in what a script starts with "&", SIGINT is ignored.
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    lost = subprocess.run(ignoring, capture_output=True, text=True, timeout=300)
    assert lost.returncode == 1 and "Traceback" not in lost.stderr
    assert lost.stdout.startswith("stage: a worker process ended with code 137, where 137 is one")
    assert lost.stdout.endswith("what is done stays, the same command resumes\n")
    assert not (tmp_path / "1").exists()
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert all((tmp_path / str(number)).exists() for number in range(4))
