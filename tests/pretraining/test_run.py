"""What a run refuses before its first step."""

import pytest

from ssl_tf.errors import SettingsError
from ssl_tf.pretraining.run import run
from ssl_tf.settings import PretrainSettings, flagfiles


def test_monitors_need_two_images(tmp_path):
    flags = ["--dataset=scenes", "--scenes=24", "--scene_size=16", "--image_size=16", "--holdout=1"]
    settings = flagfiles.parse(
        [
            *flags,
            "--batch_size=8",
            "--epochs=1",
            "--warmup_epochs=0",
            f"--run_dir={tmp_path / 'r'}",
        ],
        PretrainSettings,
    )
    with pytest.raises(SettingsError, match="1 held out: .* give --holdout=2 or more"):
        run(settings)
    assert not (tmp_path / "r" / "flags.txt").exists()
