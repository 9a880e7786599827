import pytest
import tensorflow as tf

from ssl_tf.data.sources.opening import open_source
from ssl_tf.data.unreadable import UnreadableImages
from ssl_tf.errors import UserError
from ssl_tf.evaluation.features import FeatureReader


def test_too_many_unreadable_images_are_one_line(tmp_path):
    for i in range(4):
        pixels = tf.fill([8, 8, 3], tf.constant(i, tf.uint8))
        tf.io.write_file(f"{tmp_path}/{i}.png", tf.io.encode_png(pixels))
    (tmp_path / "no.png").write_text("no image")
    source = open_source(image_folder=str(tmp_path))

    def mean(images):
        return tf.reduce_mean(tf.cast(images, tf.float32), axis=(1, 2))

    source.unreadable = UnreadableImages(1)
    features, labels = FeatureReader(mean, source, 8, 3).read()
    assert labels is None and features[:, 0].tolist() == [0, 1, 2, 3]
    source.unreadable = UnreadableImages(0)
    with pytest.raises(UserError, match="no.png.*--max_bad_images=0") as told:
        FeatureReader(mean, source, 8, 3).read()
    assert "\n" not in str(told.value)
