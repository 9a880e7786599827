"""A job of Slurm is queued again where that helps, and never after an error of its user."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts/launch_slurm.sh"


def executable(path, text):
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def job(tmp_path):
    """Starts the script in a checkout whose `srun` ends with a code; the result and all calls."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    # Slurm starts a copy, away from the checkout.
    shutil.copy(SCRIPT, tmp_path / "job")
    for name, ending in (("srun", 'exit "$SRUN_ENDS"'), ("scontrol", "")):
        calls = f'echo "{name} ${{SRUN_CPUS_PER_TASK-}} $*" >> {tmp_path}/calls'
        executable(tmp_path / "bin" / name, f"{calls}\n{ending}")

    def start(code, environment="true", **variables):
        (tmp_path / "scripts/environment.sh").write_text(environment)
        path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        slurm = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7", "SRUN_ENDS": str(code)}
        given = ["bash", str(tmp_path / "job"), "--run_dir=A RUN"]
        done = subprocess.run(given, env={**path, **slurm, **variables}, cwd="/", check=False)
        calls = tmp_path / "calls"
        return done.returncode, calls.read_text().splitlines() if calls.exists() else []

    return start


SRUN = "srun  --kill-on-bad-exit=0 python -m ssl_tf.pretrain --run_dir=A RUN"


@pytest.mark.parametrize("code", [0, 1, 2, 137])
def test_a_run_that_ended_or_was_wrong_is_not_queued_again(job, code):
    assert job(code) == (code, [SRUN])


@pytest.mark.parametrize("code", [3, 138])
def test_a_run_that_saved_or_lost_a_worker_is_queued_again(job, code):
    assert job(code) == (code, [SRUN, "scontrol  requeue 7"])


def test_nothing_starts_without_the_environment(job):
    assert job(138, environment="return 1") == (1, [])


def test_a_task_has_the_cores_that_were_asked_for(job):
    assert job(0, SLURM_CPUS_PER_TASK="64")[1] == [SRUN.replace("srun ", "srun 64", 1)]
