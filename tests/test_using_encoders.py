"""The worked examples of docs/using_encoders.md, run as they stand."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import export_encoder
from ssl_tf.networks import resnet
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import FormatSettings, ModelSettings
from tests.data.opened import source_of
from tests.data.tiny_images import write_folder
from tests.exporters.random_encoder import ONE_BLOCK_A_STAGE, random_encoder

PAGE = Path(__file__).parents[1] / "docs" / "using_encoders.md"
MODEL = ModelSettings(depth=18, width=0.125, stem="small")
FORMATS = FormatSettings(
    format=("saved_model", "keras", "onnx", "tflite"),
    onnx_layout="nchw",
    onnx_maps=True,
    tflite_types=("int8",),
    calibration_images=8,
)


def photographs():
    """Name -> PNG: dark and bright noise, each picture twice with a few pixels changed."""
    random = np.random.default_rng(0)
    files = {}
    for kind, low in (("bright", 150), ("dark", 0)):
        for number in range(8):
            pixels = random.integers(low, low + 100, [40, 40, 3], np.uint8)
            changed = pixels.copy()
            changed[:2, 4:8] += 5
            for suffix, image in (("", pixels), ("_again", changed)):
                files[f"{kind}/{number}{suffix}.png"] = tf.io.encode_png(image).numpy()
    return files


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("examples")
    folder = write_folder(directory / "photographs", photographs())
    facts = {"depth": MODEL.depth, "width": MODEL.width, "stem": MODEL.stem}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, (ONE_BLOCK_A_STAGE, False))
        exported = Exported(
            random_encoder(MODEL), MODEL, 32, FORMATS, source_of(image_folder=folder)
        )
        export_encoder(exported, directory / "encoder", facts)
        patch.chdir(directory)
        yield directory


def example(heading):
    """What the block of Python below a heading leaves behind."""
    section = re.search(rf"^#+ {heading}\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.M | re.S)[1]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.S)
    names = {}
    exec(compile(block, heading, "exec"), names)
    return names


def test_fine_tuning(directory):
    left = example("Fine-tune it in Keras")
    normalization, encoder, _ = left["classifier"].layers
    pixels = np.random.default_rng(0).integers(0, 256, [2, 8, 8, 3], np.uint8)
    np.testing.assert_allclose(normalization(pixels), normalize_images(pixels), atol=1e-5)
    started = tf.keras.models.load_model("encoder/encoder.keras")
    for old, new in zip(started.variables, encoder.variables, strict=True):
        assert np.any(old.numpy() != new.numpy()), old.name
    saved = tf.keras.models.load_model("classifier.keras")
    photographs = next(iter(left["images"]))[0]
    np.testing.assert_allclose(saved(photographs), left["classifier"](photographs), atol=1e-5)


def test_serving(directory):
    left = example("Serve it")
    assert left["readable"].numpy().tolist() == [True] * 32 + [False]
    features = left["features"].numpy()
    assert features.shape == (33, 64) and not features[-1].any()
    assert len(np.unique(features, axis=0)) == 33


def test_similarity_search(directory):
    left = example("Find similar images")
    assert left["paths"][0].endswith("bright/0.png")
    assert left["neighbours"][0].endswith("bright/0_again.png")
    assert all("bright" in path for path in left["neighbours"])


def test_onnx(directory):
    left = example("ONNX")
    assert left["features"].shape == (1, 64)
    # The stem for small images, so that the map of stride 16 has stride 4.
    assert left["map_16"].shape == (1, 32, 56, 56)


def test_tflite(directory):
    assert example("TensorFlow Lite")["features"].shape == (1, 64)
