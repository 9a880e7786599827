import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import ssl_tf
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import export_encoder
from ssl_tf.networks import resnet
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import FormatSettings, ModelSettings
from ssl_tf.views.evaluation_crop import evaluation_crop
from tests.data.tiny_images import picture
from tests.exporters.random_encoder import ONE_BLOCK_A_STAGE, random_encoder

MODEL = ModelSettings(depth=18, width=0.0625, stem="small")


@pytest.fixture(scope="module", autouse=True)
def one_block_a_stage():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.DEPTHS, 18, (ONE_BLOCK_A_STAGE, False))
        yield


@pytest.fixture(scope="module")
def encoder():
    return random_encoder(MODEL)


@pytest.fixture(scope="module")
def directory(encoder, tmp_path_factory):
    """Its SavedModel, and its file of Keras."""
    path = tmp_path_factory.mktemp("exports") / "encoder"
    facts = {"depth": MODEL.depth, "width": MODEL.width, "stem": MODEL.stem}
    formats = FormatSettings(format=("saved_model", "keras"))
    export_encoder(Exported(encoder, MODEL, 16, formats), path, facts)
    return path


def gradients(model, images):
    """Of the sum of the squared features, by all trainable variables, with batch statistics."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True) ** 2)
    return tape.gradient(loss, model.trainable_variables)


def test_a_saved_model_becomes_the_encoder_that_was_exported(encoder, directory):
    loaded = ssl_tf.load_encoder(directory)
    for one, two in zip(encoder.variables, loaded.variables, strict=True):
        assert one.name == two.name
        np.testing.assert_array_equal(one, two)
    images = normalize_images(picture(0, 16, 16)[np.newaxis].repeat(3, axis=0))
    assert len(loaded.trainable_variables) == len(encoder.trainable_variables) > 20
    # Called first, with the moving statistics that both still have.
    np.testing.assert_array_equal(loaded(images), encoder(images))
    copied = tf.keras.models.clone_model(encoder)
    copied.set_weights(encoder.get_weights())
    for one, two in zip(gradients(copied, images), gradients(loaded, images), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    # Batch normalization has moved by a tenth of the way.
    old, new = (model.get_layer("bn1").moving_mean.numpy() for model in (encoder, loaded))
    batch = encoder.get_layer("conv1")(images).numpy().mean(axis=(0, 1, 2))
    np.testing.assert_allclose(new, 0.9 * old + 0.1 * batch, rtol=1e-4, atol=1e-5)


def test_a_file_of_keras_becomes_the_encoder_that_was_exported(encoder, directory):
    loaded = ssl_tf.load_encoder(directory / "encoder.keras")
    for one, two in zip(encoder.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(one, two)
    assert loaded.preprocess(picture(0, 30, 41)).shape == (16, 16, 3)


def test_fit_moves_what_trains_and_nothing_else(directory):
    encoder = ssl_tf.load_encoder(directory)
    classifier = tf.keras.Sequential([encoder, tf.keras.layers.Dense(2)])
    images = normalize_images(np.stack([picture(n, 16, 16) for n in range(8)]))
    labels = np.arange(8) % 2

    def moved_by_fit():
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        classifier.compile("sgd", loss, jit_compile=False)
        before = [v.numpy() for v in encoder.variables]
        classifier.fit(images, labels, batch_size=8, verbose=0)
        return [np.any(v != b) for v, b in zip(encoder.variables, before)]

    assert all(moved_by_fit())
    encoder.trainable = False
    assert not any(moved_by_fit())


def test_preprocess_is_that_of_evaluation(directory):
    encoder = ssl_tf.load_encoder(directory)
    photographs = np.stack([picture(n, 30, 41) for n in range(3)])
    expected = tf.stack([normalize_images(evaluation_crop(p, 16)) for p in photographs])
    np.testing.assert_array_equal(encoder.preprocess(photographs), expected)
    np.testing.assert_array_equal(encoder.preprocess(photographs[0]), expected[0])
    contents = [tf.io.encode_png(p).numpy() for p in photographs]
    decoded = tf.data.Dataset.from_tensor_slices(contents).map(
        lambda x: encoder.preprocess(tf.io.decode_image(x, channels=3, expand_animations=False))
    )
    assert decoded.element_spec == tf.TensorSpec([16, 16, 3], tf.float32)
    np.testing.assert_array_equal(next(iter(decoded.batch(3))), expected)
    with pytest.raises(TypeError, match="float64: give the uint8 pixels"):
        encoder.preprocess(photographs / 255)


def test_what_an_encoder_learned_upright_is_told(directory, tmp_path, capsys):
    ssl_tf.load_encoder(directory)
    assert "upright" not in capsys.readouterr().err
    upright = tmp_path / "upright"
    shutil.copytree(directory, upright)
    facts = json.loads((upright / "export.json").read_text())
    (upright / "export.json").write_text(json.dumps({**facts, "orient": True}))
    ssl_tf.load_encoder(upright)
    assert "turn yours as EXIF says before preprocess" in capsys.readouterr().err


def test_a_saved_model_has_one_step(directory):
    with pytest.raises(SettingsError, match="is no run.*leave step out"):
        ssl_tf.load_encoder(directory, step=3)


def damage(directory, tmp_path, change):
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    change(copy)
    with pytest.raises(UserError) as told:
        ssl_tf.load_encoder(copy)
    assert "\n" not in str(told.value) and str(copy) in str(told.value)


def test_a_saved_model_without_its_facts_is_one_line(directory, tmp_path):
    damage(directory, tmp_path, lambda copy: (copy / "export.json").unlink())


def test_truncated_variables_are_one_line(directory, tmp_path):
    def change(copy):
        (data,) = (copy / "variables").glob("*data*")
        data.write_bytes(data.read_bytes()[:1000])

    damage(directory, tmp_path, change)


def test_a_saved_model_of_others_is_one_line(directory, tmp_path):
    other = tf.Module()
    other.images = tf.function(tf.identity, input_signature=[tf.TensorSpec([None])])
    damage(directory, tmp_path, lambda copy: tf.saved_model.save(other, str(copy)))
