"""An encoder whose features are known without it, and images for it."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.networks.normalization import MEAN, STD
from tests.data.tiny_images import picture, png, write_folder

SIDE = 8


class MeanColours(tf.Module):
    """The mean colour of the left and of the right half of an image, and a share of a weight."""

    def __init__(self, weight):
        self.weight = tf.Variable(weight)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def images(self, images):
        halves = tf.split(images, 2, axis=2)
        means = [self.weight * tf.reduce_mean(half, axis=[1, 2]) for half in halves]
        return {"features": tf.concat(means, axis=1)}


def export(path, weight=1.0):
    """Writes a SavedModel with the signature and the facts of an export."""
    module = MeanColours(weight)
    tf.saved_model.save(module, str(path), signatures={"images": module.images})
    (path / "export.json").write_text(json.dumps({"image_size": SIDE}))
    return path


def expected(number, weight=1.0):
    """The features of `png(number, SIDE, SIDE)`, float32 [6]."""
    normalized = (picture(number, SIDE, SIDE) / 255 - MEAN) / STD
    halves = normalized[:, : SIDE // 2], normalized[:, SIDE // 2 :]
    return np.concatenate([weight * half.mean(axis=(0, 1)) for half in halves]).astype(np.float32)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("exported") / "encoder")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Two classes of 12 and 11 images; pictures number 0 to 22 in the order of the source."""
    names = [f"cat/{n:02d}.png" for n in range(12)] + [f"dog & <b>/{n:02d}.png" for n in range(11)]
    files = {name: png(number, SIDE, SIDE) for number, name in enumerate(names)}
    path = tmp_path_factory.mktemp("images") / "folder"
    write_folder(path, files)
    return path
