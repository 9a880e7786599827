import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from ssl_tf.evaluation import features
from ssl_tf.evaluation.features import FeatureReader
from tests.data.opened import source_of
from tests.evaluation.multi_label_source import Shades


@pytest.fixture(autouse=True)
def three_at_once(monkeypatch):
    monkeypatch.setattr(features, "BATCH", 3)


def test_too_many_unreadable_images_are_one_line(tmp_path):
    for i in range(4):
        pixels = tf.fill([8, 8, 3], tf.constant(i, tf.uint8))
        tf.io.write_file(f"{tmp_path}/{i}.png", tf.io.encode_png(pixels))
    (tmp_path / "no.png").write_text("no image")
    source = source_of(image_folder=str(tmp_path))

    def mean(images):
        return tf.reduce_mean(tf.cast(images, tf.float32), axis=(1, 2))

    source.unreadable = UnreadableImages(1)
    read, labels = FeatureReader(mean, source, 8).read()
    assert labels is None and read[:, 0].tolist() == [0, 1, 2, 3]
    source.unreadable = UnreadableImages(0)
    with pytest.raises(UserError, match="no.png.*--max_bad_images=0") as told:
        FeatureReader(mean, source, 8).read()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_one_line_that_names_the_image(bad):
    source = Shades(20, 0)

    def encode(images):
        return tf.where(tf.range(len(images))[:, None] == 2, bad, tf.ones([len(images), 3]))

    with pytest.raises(UserError, match="shades: the features of image 2 are not finite"):
        FeatureReader(encode, source, 16).read()
    read, _ = FeatureReader(encode, source, 16, finite=False).read()
    assert (~np.isfinite(read)).sum() == 6 * 3


def test_features_whose_squares_are_beyond_float32_are_refused_too():
    """Their cosines would all be 0: near-duplicates were lost without a word."""

    def encode(images):
        return tf.where(tf.range(len(images))[:, None] == 2, 2e34, tf.ones([len(images), 3]))

    with pytest.raises(UserError, match="features of image 2 are not finite: .*file is damaged"):
        FeatureReader(encode, Shades(20, 0), 16).read()


def test_a_source_without_any_readable_image_is_one_line(tmp_path):
    (tmp_path / "no.png").write_text("no image")
    source = source_of(image_folder=str(tmp_path))
    with pytest.raises(UserError, match="none of its 1 images can be decoded; mend"):
        FeatureReader(lambda images: tf.zeros([len(images), 3]), source, 8).read()
