"""keras.applications's own ResNet-50 is the other side: what it computes is what we compute."""

import dataclasses

import h5py
import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import UserError
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import InitEncoderSettings, ModelSettings
from ssl_tf.weights.keras_files import read_keras
from ssl_tf.weights.loading import check_encoder, load_init_encoder, read_weights
from tests.weights.random_tensors import randomize


@pytest.fixture(scope="module")
def theirs():
    """With random biases, gammas and statistics, and variances to which the epsilon matters.

    The first kernel has its centre only, so that the border of the image, where Keras pads with
    another colour, does not tell the two apart.
    """
    model = tf.keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(None, None, 3), pooling="avg"
    )
    random = np.random.default_rng(0)
    for variable in model.weights:
        name, shape = variable.name, variable.shape
        if "kernel" in name:
            continue
        low, high = (1e-4, 1e-3) if "conv1_bn/moving_variance" in name else (-0.2, 0.2)
        if "gamma" in name or ("moving_variance" in name and low < 0):
            low, high = 0.3, 1.0
        variable.assign(random.uniform(low, high, shape))
    kernel = model.get_layer("conv1_conv").kernel
    centre = np.zeros(kernel.shape, np.float32)
    centre[3, 3] = 1e-4 * random.normal(size=[3, 64])
    kernel.assign(centre)
    return model


def test_resnet50_computes_what_keras_computes_of_the_same_pixels(theirs, tmp_path):
    path = tmp_path / "weights.h5"
    theirs.save_weights(path)
    ours, model, _ = load_init_encoder(InitEncoderSettings(init_encoder=str(path)))
    assert (model.depth, model.width, model.stem, model.stride_in_1x1) == (50, 1, "imagenet", True)
    pixels = np.random.default_rng(1).integers(0, 256, [2, 41, 64, 3], np.uint8)
    given = tf.keras.applications.resnet50.preprocess_input(pixels.astype(np.float32))
    expected = theirs(given, training=False).numpy()
    found = ours(normalize_images(pixels), training=False).numpy()
    assert expected.std() > 0.01 and np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    # The stride elsewhere, with the same weights, is another network.
    other = build_encoder(ModelSettings(depth=50), 0)
    other.set_weights(ours.get_weights())
    wrong = other(normalize_images(pixels), training=False).numpy()
    assert np.abs(wrong - expected).max() > 0.05 * np.abs(expected).max()


def test_both_kinds_of_files_hold_the_same(theirs, tmp_path):
    theirs.save(tmp_path / "model.keras")
    theirs.save(tmp_path / "model.h5")
    variables, stride = read_keras(tmp_path / "model.keras")
    of_h5, _ = read_keras(tmp_path / "model.h5")
    assert stride is None and variables.keys() == of_h5.keys() and len(of_h5) == 318
    for name, value in of_h5.items():
        np.testing.assert_array_equal(variables[name], value)


def test_our_own_models_come_back_from_keras_files(tmp_path):
    model = ModelSettings(depth=50, width=0.0625, stem="small", stride_in_1x1=True)
    encoder = randomize(build_encoder(model, 0))
    encoder.save(tmp_path / "encoder.keras")
    variables, stride = read_keras(tmp_path / "encoder.keras")
    assert stride is True and len(variables) == len(encoder.weights)
    settings = InitEncoderSettings(init_encoder=str(tmp_path / "encoder.keras"))
    again, found, _ = load_init_encoder(settings)
    assert found == model
    for old, new in zip(encoder.weights, again.weights, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("strided", [False, True])
def test_the_strides_of_our_own_models_are_those_of_their_files(strided, tmp_path):
    model = ModelSettings(depth=50, width=0.0625, stem="small", stride_in_1x1=strided)
    encoder = build_encoder(model, 0)
    encoder.save(tmp_path / "whole.h5")
    encoder.save_weights(tmp_path / "alone.h5")
    _, found, _ = load_init_encoder(InitEncoderSettings(init_encoder=str(tmp_path / "whole.h5")))
    assert found == model
    alone = InitEncoderSettings(init_encoder=str(tmp_path / "alone.h5"))
    with pytest.raises(UserError, match="alone.h5 holds weights alone.*give --init_convention=to"):
        load_init_encoder(alone)
    told = dataclasses.replace(alone, init_convention="torchvision")
    assert not load_init_encoder(told)[1].stride_in_1x1


def test_a_network_without_bottlenecks_has_no_stride_in_them(tmp_path):
    model = ModelSettings(depth=18, width=0.0625, stem="small")
    encoder = build_encoder(model, 0)
    encoder.save(tmp_path / "whole.keras")
    encoder.save_weights(tmp_path / "alone.h5")
    for name in ("whole.keras", "alone.h5"):
        settings = InitEncoderSettings(init_encoder=str(tmp_path / name))
        _, found, _ = load_init_encoder(settings)
        assert found == model
        check_encoder(encoder, read_weights(settings), settings)


def test_weights_without_the_names_of_layers_are_told(tmp_path):
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.ones(3)
    with pytest.raises(UserError, match="names no layers; save the whole model as a .keras file"):
        read_keras(tmp_path / "model.weights.h5")
