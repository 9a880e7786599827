import json

import pytest

from ssl_tf.errors import UserError
from ssl_tf.training.encoder_record import first_step, keep_encoder, place_of


def test_a_directory_goes_on_with_its_encoder_alone(tmp_path):
    facts = {"sha256": "a", "origin": "step 7 of run", "image_size": 16}
    keep_encoder(tmp_path, facts)
    keep_encoder(tmp_path, {**facts, "origin": "a copy of it"})
    assert json.loads((tmp_path / "encoder.json").read_text()) == facts
    with pytest.raises(UserError, match=r"another encoder \(step 7 of run\), not of step 8 of run"):
        keep_encoder(tmp_path, {"sha256": "b", "origin": "step 8 of run"})
    with pytest.raises(UserError, match="of images of 16 pixels, not of 32; give --image_size=16"):
        keep_encoder(tmp_path, {**facts, "image_size": 32})
    # A directory of an earlier version has no size.
    keep_encoder(tmp_path, {"sha256": "a", "origin": "step 7 of run"})


def test_the_first_step_is_that_of_the_encoder_that_is_given_again(tmp_path):
    run = tmp_path / "run"
    (tmp_path / "link").symlink_to(run)
    assert first_step(tmp_path, str(run)) == 0
    keep_encoder(tmp_path, {"sha256": "a", "step": 7, "given": place_of(str(run))})
    assert first_step(tmp_path, str(run)) == first_step(tmp_path, str(tmp_path / "link")) == 7
    assert first_step(tmp_path, str(tmp_path / "other")) == first_step(tmp_path, "") == 0
