import dataclasses

import h5py
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from ssl_tf.discovery.feature_maps import averaged, open_encoder
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.heads import build_dense_head
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import FeatureSettings, InitEncoderSettings, PretrainSettings, flagfiles
from ssl_tf.training.checkpoints import Checkpoints
from ssl_tf.weights.torch_names import to_torch, torch_variables

IMAGES = np.random.default_rng(0).integers(0, 256, [2, 64, 96, 3], np.uint8)


def test_an_export_and_a_run_give_the_maps_of_the_stages(exported, tiny_encoder, tmp_path):
    encoder = open_encoder(FeatureSettings(encoder=str(exported)))
    assert encoder.layers == ("C3", "C4")
    maps = [layer.numpy() for layer in encoder.maps(IMAGES)]
    # strides 8 and 16, a quarter and half of 512 channels times the width
    assert [layer.shape for layer in maps] == [(2, 8, 12, 16), (2, 4, 6, 32)]
    names = [layer.name for layer in tiny_encoder.layers]
    inner = tiny_encoder.layers[names.index("layer2_0_relu")].output
    expected = tf.keras.Model(tiny_encoder.input, inner)(normalize_images(IMAGES), training=False)
    np.testing.assert_allclose(maps[0], expected, atol=1e-5)
    assert min(layer.min() for layer in maps) >= 0
    squares = IMAGES[:, :64, :64]
    described = encoder.describe(squares).numpy()
    np.testing.assert_allclose(
        described, tiny_encoder(normalize_images(squares), training=False), atol=1e-5
    )

    flags = "--dataset=scenes --depth=18 --width=0.125".split()
    settings = flagfiles.parse(flags, PretrainSettings)
    flagfiles.write_flagfile(settings, tmp_path / "flags.txt")
    Checkpoints(tmp_path / "checkpoints", 1, encoder=tiny_encoder).save(5)
    run = open_encoder(FeatureSettings(encoder=str(tmp_path), layers=("C4", "layer2_0_relu")))
    again = [layer.numpy() for layer in run.maps(IMAGES)]
    np.testing.assert_allclose(again[0], maps[1], atol=1e-5)
    np.testing.assert_allclose(again[1], maps[0], atol=1e-5)
    np.testing.assert_allclose(run.describe(squares), described, atol=1e-5)
    state = {name: to_torch(v.numpy()) for name, v in torch_variables(tiny_encoder).items()}
    save_file(state, tmp_path / "a.safetensors")
    init = InitEncoderSettings(init_encoder=str(tmp_path / "a.safetensors"))
    file = open_encoder(FeatureSettings(init=init, layers=("C4", "layer2_0_relu")))
    for layer, expected in zip(file.maps(IMAGES), again, strict=True):
        np.testing.assert_array_equal(layer, expected)
    for name, message in (("layer9", "the encoder has C2"), ("pooled_features", "no spatial map")):
        with pytest.raises(UserError, match=message):
            open_encoder(FeatureSettings(encoder=str(tmp_path), layers=(name,)))


def test_keras_weights_give_vgg_maps_of_strides_8_and_16(tmp_path):
    with pytest.raises(UserError, match="--encoder_weights"):
        open_encoder(FeatureSettings(encoder="vgg16"))
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.applications.VGG16(include_top=False, weights=None)
    model.save_weights(tmp_path / "vgg.weights.h5")
    settings = FeatureSettings(encoder="vgg16", encoder_weights=str(tmp_path / "vgg.weights.h5"))
    encoder = open_encoder(settings)
    maps = encoder.maps(IMAGES[:1])
    assert [tuple(layer.shape) for layer in maps] == [(1, 8, 12, 512), (1, 4, 6, 512)]
    block = tf.keras.Model(model.input, model.get_layer("block5_conv3").output)
    prepared = tf.keras.applications.vgg16.preprocess_input(IMAGES[:1].astype(np.float32))
    expected = block(prepared)
    np.testing.assert_allclose(maps[1], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        encoder.describe(IMAGES[:1]), tf.reduce_mean(expected, [1, 2]), rtol=1e-4, atol=1e-6
    )


@pytest.fixture(scope="module")
def part_of_vgg(tmp_path_factory):
    """A model of the first layers of VGG16, saved in each way."""
    tmp_path = tmp_path_factory.mktemp("part")
    whole = tf.keras.applications.VGG16(include_top=False, weights=None)
    part = tf.keras.Model(whole.input, whole.get_layer("block3_conv3").output)
    for name in ("part.h5", "part.weights.h5", "part.ckpt"):
        part.save_weights(tmp_path / name)
    part.save(tmp_path / "part.keras")
    (tmp_path / "bad.h5").write_bytes(b"no weights")
    with h5py.File(tmp_path / "other.weights.h5", "w") as file:
        file["x"] = 1
    return tmp_path


@pytest.mark.parametrize(
    "name, told",
    [
        ("bad.h5", "are no vgg16 weights"),
        ("other.weights.h5", "are no vgg16 weights"),
        ("part.h5", "are no vgg16 weights"),
        ("part.weights.h5", "are no vgg16 weights"),
        ("part.keras", "are no vgg16 weights"),
        ("part.ckpt", "is no Keras weights file; give one that ends in .h5 or"),
        ("missing.ckpt", "is no Keras weights file"),
        ("missing.h5", "there is no such file"),
    ],
)
def test_weights_that_are_not_all_there_are_one_line(part_of_vgg, name, told):
    """Of a checkpoint that holds a part, Keras left the other layers random without a word."""
    with pytest.raises(UserError, match=told) as raised:
        open_encoder(FeatureSettings(encoder="vgg16", encoder_weights=str(part_of_vgg / name)))
    assert "\n" not in str(raised.value) and name in str(raised.value)


def test_averaged_maps_are_the_mean_over_mirrored_and_resized_images():
    def maps(images):
        images = tf.cast(images, tf.float32)
        return [images[:, ::4, ::4, :1] ** 2, tf.nn.avg_pool2d(images, 8, 8, "VALID")]

    found = averaged(maps, (1.0, 0.5), True)(IMAGES)
    expected = []
    small = np.round(tf.image.resize(IMAGES, (32, 48), antialias=True))
    for images in (IMAGES.astype(np.float32), small):
        expected.append(maps(images))
        expected.append([layer[:, :, ::-1] for layer in maps(images[:, :, ::-1])])
    for layer, grid in enumerate([(16, 24), (8, 12)]):
        mean = np.mean([tf.image.resize(one[layer], grid) for one in expected], axis=0)
        np.testing.assert_allclose(found[layer], mean, rtol=1e-5, atol=1e-3)


def test_flags_average_and_refine_the_maps_of_a_run(tiny_encoder, tmp_path):
    flags = "--dataset=scenes --depth=18 --width=0.125".split()
    settings = flagfiles.parse(flags, PretrainSettings)
    flagfiles.write_flagfile(settings, tmp_path / "flags.txt")
    Checkpoints(tmp_path / "checkpoints", 1, encoder=tiny_encoder).save(5)
    run = FeatureSettings(encoder=str(tmp_path), layers=("C4",))
    (plain,) = open_encoder(run).maps(IMAGES)
    (finer,) = open_encoder(dataclasses.replace(run, output_stride=8)).maps(IMAGES)
    np.testing.assert_allclose(finer[:, ::2, ::2], plain, atol=1e-4)
    (both,) = open_encoder(dataclasses.replace(run, flip_maps=True)).maps(IMAGES)
    (mirrored,) = open_encoder(run).maps(IMAGES[:, :, ::-1])
    np.testing.assert_allclose(both, (plain + mirrored[:, :, ::-1]) / 2, atol=1e-5)
    with pytest.raises(UserError, match="only densecl has a dense head"):
        open_encoder(dataclasses.replace(run, layers=("dense_keys",)))


def test_dense_keys_are_those_of_the_head_of_a_densecl_run(tiny_encoder, tmp_path):
    flags = "--dataset=scenes --method=densecl --depth=18 --width=0.125 --projector_hidden=12"
    settings = flagfiles.parse([*flags.split(), "--projection=6"], PretrainSettings)
    flagfiles.write_flagfile(settings, tmp_path / "flags.txt")
    head = build_dense_head(64, 12, 6, seed=3)
    Checkpoints(tmp_path / "checkpoints", 1, encoder=tiny_encoder, dense_projector=head).save(5)
    run = FeatureSettings(encoder=str(tmp_path), layers=("C5", "dense_keys"))
    last, keys = open_encoder(run).maps(IMAGES)
    assert keys.shape == (2, 2, 3, 6) and keys.numpy().min() < 0
    np.testing.assert_allclose(keys, head(last), atol=1e-5)


def test_a_saved_model_has_no_steps(exported):
    with pytest.raises(SettingsError, match="--step=500: .* is a SavedModel, which has no"):
        open_encoder(FeatureSettings(encoder=str(exported), step=500))


def test_strides_of_a_saved_model_stay(exported):
    with pytest.raises(UserError, match="a SavedModel keeps its strides"):
        open_encoder(FeatureSettings(encoder=str(exported), output_stride=8))
