import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.exporters import keras_file
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.keras_file import plain_layers, write_keras_file
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import InitEncoderSettings, ModelSettings
from ssl_tf.weights.loading import load_init_encoder
from tests.data.tiny_images import picture
from tests.exporters.random_encoder import random_encoder

# Keras alone: the package must not be needed to use and to train an export.
FRESH = """
import sys
sys.modules["ssl_tf"] = None
import numpy as np, tensorflow as tf
model = tf.keras.models.load_model(sys.argv[1])
images = np.load(sys.argv[2])
inference = model(images, training=False).numpy()
with tf.GradientTape() as tape:
    features = model(images, training=True)
    loss = tf.reduce_sum(features**2)
gradients = tape.gradient(loss, model.trainable_variables)
after = [variable.numpy() for variable in model.variables]

def moved_by_fit():
    classifier = tf.keras.Sequential([model, tf.keras.layers.Dense(2)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("sgd", loss, jit_compile=False)
    before = [variable.numpy() for variable in model.variables]
    classifier.fit(images, np.arange(len(images)) % 2, verbose=0)
    return np.array([np.any(v.numpy() != b) for v, b in zip(model.variables, before)])

moved = moved_by_fit()
model.trainable = False
frozen = moved_by_fit()
np.savez(
    sys.argv[3], inference=inference, features=features, moved=moved, frozen=frozen,
    **{f"gradient{i}": value for i, value in enumerate(gradients)},
    **{f"after{i}": value for i, value in enumerate(after)},
)
"""


def test_keras_alone_loads_and_trains_it_as_we_do(one_block_a_stage, tmp_path):
    model = ModelSettings(depth=50, width=0.03125, stem="small")
    encoder = random_encoder(model)
    written = write_keras_file(Exported(encoder, model, 16), tmp_path)
    assert written.entries["keras"]["largest_difference"] < 1e-6
    # An odd batch: there a strided 1x1 convolution of fewer than 16 channels is faulty. The second
    # stage has 8 of them here, the third 16.
    images = normalize_images(np.stack([picture(n, 16, 16) for n in range(5)])).numpy()
    np.save(tmp_path / "images.npy", images)
    arguments = [str(tmp_path / name) for name in ("encoder.keras", "images.npy", "got.npz")]
    subprocess.run([sys.executable, "-c", FRESH, *arguments], check=True)
    got = np.load(tmp_path / "got.npz")
    np.testing.assert_allclose(got["inference"], encoder(images), rtol=1e-5, atol=1e-6)
    with tf.GradientTape() as tape:
        features = encoder(images, training=True)
        loss = tf.reduce_sum(features**2)
    np.testing.assert_allclose(got["features"], features, rtol=1e-4, atol=1e-5)
    for i, gradient in enumerate(tape.gradient(loss, encoder.trainable_variables)):
        tolerance = 1e-4 * np.abs(gradient).max()
        np.testing.assert_allclose(got[f"gradient{i}"], gradient, rtol=0, atol=tolerance)
    # Batch normalization has moved alike.
    for i, variable in enumerate(encoder.variables):
        np.testing.assert_allclose(got[f"after{i}"], variable, rtol=1e-4, atol=1e-5)
    assert got["moved"].all() and not got["frozen"].any()


def test_layers_are_those_of_keras(one_block_a_stage):
    encoder = random_encoder(ModelSettings(depth=50, width=0.0625))
    copied = plain_layers(encoder)
    modules = {type(layer).__module__.split(".")[0] for layer in copied.layers}
    assert modules == {tf.keras.layers.Layer.__module__.split(".")[0]}
    names = [layer.name for layer in copied.layers]
    assert names == [layer.name for layer in encoder.layers]
    assert copied.get_layer("layer2_0_downsample_0").strides == (2, 2)
    # Its weights are its own.
    copied.get_layer("conv1").set_weights([np.zeros([7, 7, 3, 4])])
    assert np.any(encoder.get_layer("conv1").get_weights()[0])


@pytest.mark.parametrize("width", [0.03125, 0.0625])
def test_the_place_of_the_stride_is_read_back(width, one_block_a_stage, tmp_path):
    model = ModelSettings(depth=50, width=width, stem="small", stride_in_1x1=True)
    path = tmp_path / "encoder.keras"
    plain_layers(random_encoder(model)).save(path)
    _, found, _ = load_init_encoder(InitEncoderSettings(init_encoder=str(path)))
    assert found == model


def test_a_file_that_computes_something_else_is_refused(one_block_a_stage, tmp_path, monkeypatch):
    model = ModelSettings(depth=18, width=0.0625)
    other = random_encoder(ModelSettings(depth=18, width=0.0625))
    other.get_layer("bn1").set_weights([v + 1e-3 for v in other.get_layer("bn1").get_weights()])
    monkeypatch.setattr(keras_file, "plain_layers", lambda encoder: plain_layers(other))
    with pytest.raises(UserError, match="of encoder.keras differs from the encoder"):
        write_keras_file(Exported(random_encoder(model), model, 16), tmp_path)
