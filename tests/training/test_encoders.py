"""The step that "the newest" is, for processes that open a run's encoder one after the other."""

import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.settings import FeatureSettings
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.training.encoders import with_step


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
