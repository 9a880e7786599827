import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import export_encoder
from ssl_tf.exporters.saved_model import ExportedEncoder, _check_encoded
from ssl_tf.networks.normalization import MEAN, STD, normalize_images
from ssl_tf.settings import InitEncoderSettings, ModelSettings
from ssl_tf.views.evaluation_crop import evaluation_crop
from ssl_tf.weights.loading import load_init_encoder
from tests.exporters.random_encoder import random_encoder
from tests.preparation.odd_files import SMOOTH, exif, saved

# Nothing but TensorFlow: the package must not be needed to use an export.
FRESH = """
import sys
sys.modules["ssl_tf"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
inputs = np.load(sys.argv[2])
images = model.signatures["images"](images=tf.constant(inputs["normalized"]))["features"]
encoded = [tf.io.read_file(path) for path in sys.argv[4:]]
encoded.insert(1, b"no image")
decoded = model.signatures["encoded"](encoded=tf.stack(encoded))
none = {
    "images": model.signatures["images"](images=tf.zeros([0, 16, 16, 3]))["features"],
    "encoded": model.signatures["encoded"](encoded=tf.constant([], tf.string))["features"],
    "C5": model.signatures["maps"](images=tf.zeros([0, 16, 16, 3]))["C5"],
}
np.savez(
    sys.argv[3],
    images=images.numpy(),
    encoded=decoded["features"].numpy(),
    readable=decoded["readable"].numpy(),
    **{f"no {name}": value.numpy() for name, value in none.items()},
)
"""


def test_a_fresh_process_gets_the_same_features(one_block_a_stage, tmp_path):
    model = ModelSettings(depth=18, width=0.125, stem="small")
    encoder, random = random_encoder(model), np.random.default_rng(0)
    reports = export_encoder(Exported(encoder, model, 16), tmp_path / "export", {"step": 7})
    assert re.search(
        r"read back by TensorFlow, .* within (0|\de-0[6-9]) of", reports["saved_model"][0]
    )
    pixels = random.integers(0, 256, [3, 16, 16, 3], np.uint8)
    photographs = [random.integers(0, 256, [24, 40, 3], np.uint8), pixels[0]]
    paths = [tmp_path / "wide.png", tmp_path / "square.png"]
    for path, image in zip(paths, photographs):
        tf.io.write_file(str(path), tf.io.encode_png(image))
    np.savez(tmp_path / "inputs.npz", normalized=((pixels / 255 - MEAN) / STD).astype(np.float32))
    arguments = [str(tmp_path / name) for name in ("export", "inputs.npz", "outputs.npz")]
    subprocess.run([sys.executable, "-c", FRESH, *arguments, *map(str, paths)], check=True)
    got = np.load(tmp_path / "outputs.npz")
    np.testing.assert_allclose(
        got["images"], encoder(normalize_images(pixels), training=False), rtol=1e-4, atol=1e-5
    )
    crops = tf.stack([evaluation_crop(tf.constant(image), 16) for image in photographs])
    assert got["readable"].tolist() == [True, False, True]
    assert not got["encoded"][1].any()
    np.testing.assert_allclose(
        got["encoded"][[0, 2]],
        encoder(normalize_images(crops), training=False),
        rtol=1e-4,
        atol=1e-5,
    )
    assert got["no images"].shape == got["no encoded"].shape == (0, 64)
    assert got["no C5"].shape == (0, 2, 2, 64)
    again, found, _ = load_init_encoder(InitEncoderSettings(init_encoder=str(tmp_path / "export")))
    assert found == model
    for old, new in zip(encoder.weights, again.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    facts = json.loads((tmp_path / "export" / "export.json").read_text())
    assert (facts["feature_dim"], facts["image_size"], facts["step"]) == (64, 16, 7)
    assert facts["orient"] is False and "upright" not in json.dumps(facts)


@pytest.mark.parametrize(
    ("size", "shape", "top", "left"),
    [
        # Up to 64 pixels the short side is what is kept.
        (64, (64, 81), 0, 8),
        # Above, 224 of its 256 parts: 64.75 of 74 pixels.
        (65, (91, 74), 13, 4),
    ],
)
def test_files_are_cropped_at_the_centre_at_any_size(
    size, shape, top, left, one_block_a_stage, tmp_path
):
    model = ModelSettings(depth=18, width=0.0625, stem="imagenet")
    encoder = random_encoder(model)
    export_encoder(Exported(encoder, model, size), tmp_path / "export", {})
    pixels = np.random.default_rng(0).integers(0, 256, [*shape, 3], np.uint8)
    encoded = tf.constant([tf.io.encode_png(pixels).numpy()])
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    centre = pixels[top : top + size, left : left + size]
    np.testing.assert_allclose(
        loaded.signatures["encoded"](encoded=encoded)["features"],
        encoder(normalize_images(centre[np.newaxis]), training=False),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("size", [32, 96])
def test_the_check_of_an_export_sees_another_crop(size, one_block_a_stage):
    encoder = random_encoder(ModelSettings(depth=18, width=0.125, stem="small"))
    module, other = (ExportedEncoder(encoder, n, orient=False) for n in (size, size + 1))
    signatures = {"images": module.images, "encoded": module.encoded}
    _check_encoded(signatures, size, orient=False)
    with pytest.raises(UserError, match="encoded images differ"):
        _check_encoded({**signatures, "encoded": other.encoded}, size, orient=False)


def test_an_encoder_of_upright_images_turns_the_files_that_it_is_given(one_block_a_stage):
    encoder = random_encoder(ModelSettings(depth=18, width=0.125, stem="small"))
    upright, lying = (ExportedEncoder(encoder, 24, orient) for orient in (True, False))
    content = saved(SMOOTH, "jpeg", quality=95, exif=exif(6))
    seen = np.rot90(tf.io.decode_jpeg(content), -1)
    crops = normalize_images(evaluation_crop(tf.constant(seen), 24)[tf.newaxis])
    found = upright.encoded(tf.constant([content]))["features"]
    np.testing.assert_allclose(found, upright.images(crops)["features"], rtol=1e-4, atol=1e-5)
    # The check of the export sees an encoder that does not turn.
    _check_encoded({"images": upright.images, "encoded": upright.encoded}, 24, orient=True)
    with pytest.raises(UserError, match="encoded images differ"):
        _check_encoded({"images": lying.images, "encoded": lying.encoded}, 24, orient=True)
