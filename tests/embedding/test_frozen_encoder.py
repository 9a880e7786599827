import numpy as np
from safetensors.numpy import save_file

from ssl_tf.embedding.frozen_encoder import open_encoder
from ssl_tf.evaluation.freezing import digest
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import EmbedSettings, InitEncoderSettings, flagfiles
from ssl_tf.weights.architecture import Architecture
from ssl_tf.weights.loading import load_init_encoder
from tests.weights.random_tensors import random_tensors


def test_the_file_of_others_is_an_encoder(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(random_tensors(Architecture(18, 0.0625, "small")), path)
    flags = [f"--init_encoder={path}", "--image_folder=D", f"--output={tmp_path / 'out'}"]
    found = open_encoder(flagfiles.parse([*flags, "--batch_size=2"], EmbedSettings))
    model, *_ = load_init_encoder(InitEncoderSettings(init_encoder=str(path)))
    assert (found.image_size, found.dimension) == (32, 32)
    assert (found.origin, found.sha256) == (str(path), digest(model))
    images = np.random.default_rng(0).integers(0, 256, [2, 32, 32, 3], np.uint8)
    expected = model(normalize_images(images), training=False)
    np.testing.assert_allclose(found.encode(images), expected, rtol=1e-4, atol=1e-5)
