"""What a study would do, told before it does it."""

import sys

import pytest

from ssl_tf.errors import UserError
from ssl_tf.experiments import preview
from tests.experiments.small_file import ARMS, HEAD, trials_of

# Answers as `pretrain --dry_run`, and refuses one method.
ANSWERS = """
import sys
assert sys.argv[1] == "ssl_tf.pretrain" and sys.argv[-1] == "--dry_run"
sys.exit("error: no" if "--method=byol" in sys.argv else print("steps             12"))
"""


def test_every_arm_is_asked_and_a_refusal_is_told(tmp_path, monkeypatch, capfd):
    (tmp_path / "answers.py").write_text(ANSWERS)
    monkeypatch.setattr(preview, "LAUNCH", (sys.executable, str(tmp_path / "answers.py")))
    study, trials = trials_of(tmp_path, 'title = "Two"\n' + HEAD + ARMS)
    with pytest.raises(UserError, match="arms two cannot be pre-trained"):
        preview.preview(study, trials)
    told = capfd.readouterr().out
    assert told.startswith("Two\n4 runs: one-0 two-0 one-1 two-1\n")
    assert "    steps             12\n" in told and "    error: no\n" in told
    assert (
        f"  python -m ssl_tf.linear --dataset=scenes --checkpoint={tmp_path}/out/runs/one-0" in told
    )
    assert not (tmp_path / "out").exists()
    study, trials = trials_of(tmp_path, 'title = "One"\n' + HEAD + "[arms.one]\n")
    preview.preview(study, trials)
