import json

import pytest

from ssl_tf.errors import UserError
from ssl_tf.training.encoder_record import keep_encoder


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
