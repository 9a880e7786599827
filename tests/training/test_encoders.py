"""What is known of a run's encoder before it is opened: the newest step, and how images lay."""

import json

import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.settings import FeatureSettings
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.encoders import known_images, with_step
from ssl_tf.weights.encoder_images import EncoderImages


def test_the_newest_checkpoint_of_a_run_is_named(tmp_path):
    settings = FeatureSettings(encoder=str(tmp_path))
    assert with_step(settings) == settings  # no run
    (tmp_path / "flags.txt").touch()
    with pytest.raises(UserError, match="has no checkpoint yet"):
        with_step(settings)
    for step in (4, 8):
        Checkpoints(tmp_path / "checkpoints", 9, encoder=tf.Module()).save(step)
    assert with_step(settings) == FeatureSettings(encoder=str(tmp_path), step=8)
    four = FeatureSettings(encoder=str(tmp_path), step=4)
    assert with_step(four) == four
    (tmp_path / "saved_model.pb").touch()  # is opened as such
    assert with_step(settings) == settings
    assert with_step(FeatureSettings(encoder="vgg16")).step == 0


@pytest.mark.parametrize(
    "flags, upright",
    [("--image_folder=F --orient", True), ("--image_folder=F", False), ("--prepared=P", True)],
)
def test_runs_and_exports_tell_whether_images_were_upright(flags, upright, tmp_path, monkeypatch):
    (tmp_path / "flags.txt").write_text("\n".join(flags.split()))
    assert known_images(str(tmp_path)).orient is upright
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/export.json").write_text(json.dumps({"orient": upright}))
    (tmp_path / "saved/encoder.keras").touch()
    for place in ("saved", "saved/encoder.keras"):
        assert known_images(str(tmp_path / place)).orient is upright
    # What is no file is not of this directory.
    monkeypatch.chdir(tmp_path / "saved")
    assert known_images("vgg16") == EncoderImages()
