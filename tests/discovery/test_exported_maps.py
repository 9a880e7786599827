import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.discovery.exported_maps import as_map
from ssl_tf.discovery.feature_maps import open_encoder
from ssl_tf.discovery.images import equal_batches
from ssl_tf.errors import UserError
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import FeatureSettings

IMAGES = np.random.default_rng(0).integers(0, 256, [2, 64, 96, 3], np.uint8)


def test_an_encoder_without_a_map_is_refused_in_one_line(tmp_path):
    class Pooled(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
        def __call__(self, images):
            return {"features": tf.reduce_mean(images, [1, 2])}

    module = Pooled()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.__call__)
    with pytest.raises(UserError, match="has no spatial map .*features.*") as caught:
        open_encoder(FeatureSettings(encoder=str(tmp_path / "m")))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no run directory"):
        open_encoder(FeatureSettings(encoder=str(tmp_path)))


def write_model(path, outputs, shape=(None, None, None, 3), **more):
    """A SavedModel of the outputs of a function; more inputs by name."""
    specs = [tf.TensorSpec(shape, tf.float32, "images")]
    specs += [tf.TensorSpec(s, tf.float32, name) for name, s in more.items()]
    function = tf.function(lambda *given: outputs(*given), input_signature=specs)
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, str(path), signatures=function)
    return FeatureSettings(encoder=str(path))


def pooled(images, channels=512, stride=16):
    return tf.tile(tf.nn.avg_pool2d(images, stride, stride, "SAME"), [1, 1, 1, channels])[
        ..., :channels
    ]


@pytest.mark.parametrize("channels", [14, 28, 512])
@pytest.mark.parametrize("order", [(0, 3, 1, 2), (0, 2, 1, 3)])
def test_maps_with_channels_first_are_refused(channels, order, tmp_path):
    settings = write_model(
        tmp_path / "m", lambda images: {"map": tf.transpose(pooled(images, channels), order)}
    )
    with pytest.raises(UserError, match=r"its output map is .* no map \[h, w, D\].*NHWC") as raised:
        open_encoder(settings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("stride", [7, 8, 30, 32])
def test_maps_with_channels_last_are_taken(stride, tmp_path):
    """Whatever the border: SAME counts a cell more than VALID where the stride does not divide."""
    settings = write_model(tmp_path / "m", lambda images: {"map": pooled(images, 5, stride)})
    (found,) = open_encoder(settings).maps(IMAGES)
    assert found.shape == (2, -(-64 // stride), -(-96 // stride), 5)


def test_a_model_of_one_size_is_tried_in_that(tmp_path):
    shape = [None, 32, 64, 3]
    settings = write_model(tmp_path / "m", lambda images: {"map": pooled(images, 5)}, shape)
    (found,) = open_encoder(settings).maps(IMAGES[:, :32, :64])
    assert found.shape == (2, 2, 4, 5)


def test_other_models_are_one_line(tmp_path):
    def unknown(images):
        return {"map": tf.py_function(lambda x: x, [images], tf.float32)}

    def of_channels(images):
        return {"map": tf.einsum("nchw,cd->nhwd", images, tf.ones([3, 5]))}

    first = write_model(tmp_path / "first", of_channels, (None, 3, None, None))
    of_rank = write_model(tmp_path / "rank", unknown)
    two = write_model(tmp_path / "two", lambda x, y: {"map": x + y}, other=(None, None, None, 3))
    damaged = write_model(tmp_path / "damaged", lambda x: {"map": pooled(x)})
    (tmp_path / "damaged" / "variables" / "variables.index").write_bytes(b"no index")
    told = [
        "takes no images .*NHWC",
        "has no spatial map",
        "has no spatial map",
        "cannot be loaded",
    ]
    for settings, words in zip([first, of_rank, two, damaged], told):
        with pytest.raises(UserError, match=words) as raised:
            open_encoder(settings)
        assert "\n" not in str(raised.value) and settings.encoder in str(raised.value)


def test_patch_tokens_of_a_saved_model_become_a_map(tmp_path):
    class Tokens(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
        def __call__(self, images):
            pooled = tf.nn.avg_pool2d(images, 16, 16, "VALID")
            patches = tf.reshape(pooled, [tf.shape(images)[0], -1, 3])
            return {"tokens": tf.concat([0 * patches[:, :1] - 9, patches], axis=1)}

    module = Tokens()
    tf.saved_model.save(module, str(tmp_path / "vit"), signatures=module.__call__)
    (found,) = open_encoder(FeatureSettings(encoder=str(tmp_path / "vit"))).maps(IMAGES)
    expected = tf.nn.avg_pool2d(normalize_images(IMAGES), 16, 16, "VALID")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(UserError, match="5 tokens are no square patches of 64x96 pixels"):
        as_map(tf.zeros([1, 5, 3]), (64, 96))


@pytest.mark.parametrize(
    "patch, long_side, size",
    [(14, 224, (224, 154)), (14, 0, (196, 140)), (16, 224, (224, 160)), (16, 0, (208, 144))],
)
def test_images_have_whole_patches(patch, long_side, size, tmp_path):
    def tokens(images):
        cells = tf.nn.avg_pool2d(images, patch, patch, "VALID")
        patches = tf.reshape(cells, [tf.shape(images)[0], -1, 3])
        return {"tokens": tf.concat([0 * patches[:, :1], patches], axis=1)}

    encoder = open_encoder(write_model(tmp_path / "vit", tokens))
    assert (encoder.patch, encoder.fixed_size) == (patch, None)
    examples = [{"image": np.zeros([202, 138, 3], np.uint8), "readable": True}]
    ((_, images),) = equal_batches(examples, long_side, 1, encoder)
    assert images.shape[1:3] == size
    assert encoder.maps(images)[0].shape[1:3] == (size[0] // patch, size[1] // patch)


def test_a_model_of_one_size_gets_all_images_in_that(tmp_path):
    settings = write_model(
        tmp_path / "m", lambda images: {"map": pooled(images, 5)}, [None, 32, 64, 3]
    )
    encoder = open_encoder(settings)
    examples = [{"image": np.zeros([90, 50, 3], np.uint8), "readable": True}]
    ((_, images),) = equal_batches(examples, 224, 1, encoder)
    assert images.shape == (1, 32, 64, 3) and encoder.maps(images)[0].shape == (1, 2, 4, 5)


def test_weights_that_are_constants_are_told_apart(tmp_path):
    found = []
    for name, value in (("one", 1.0), ("two", 2.0)):
        module = tf.Module()
        images = tf.TensorSpec([None, None, None, 3], tf.float32, "images")
        module.run = tf.function(
            lambda images, value=value: {"map": value * pooled(images, 5)}, input_signature=[images]
        )
        tf.saved_model.save(module, str(tmp_path / name), signatures=module.run)
        found.append(open_encoder(FeatureSettings(encoder=str(tmp_path / name))).sha256)
    assert found[0] != found[1]
